"""Files of the kernel, each of which holds a figure or a few."""

import os
import re
from itertools import islice
from pathlib import Path

from attrs import define, field

MOST_READ = 1 << 16
"""Bytes that are read of one file; /proc/vmstat has 5 KB."""

MOST_READ_AGAIN = 1 << 13
"""The same of one that is kept open, for each reading makes room for as much."""

MOST_ENTRIES = 256
"""Entries that are looked at in one folder."""

WHOLE = re.compile(r"-?[0-9]{1,18}")
"""The 19 digits that the first control groups write for "no limit" are too many."""


class Nodes:
    """Reads a file by its path, opening it each time."""

    def text(self, path: Path) -> str:
        """Return what *path* says; empty when it can not be read."""
        try:
            with path.open("rb") as file:
                return _clean(file.read(MOST_READ))
        except (OSError, ValueError):
            return ""

    def whole(self, path: Path) -> int | None:
        """Return the whole number in *path*; None when it holds no such."""
        text = self.text(path)
        return int(text) if WHOLE.fullmatch(text) else None


@define(eq=False)
class KeptNodes(Nodes):
    """The same for files that are read again and again: they stay open. Not for two threads."""

    _open: dict[Path, int] = field(factory=dict, init=False)

    def text(self, path: Path) -> str:
        """Return what *path* says now; empty when it can not be read."""
        try:
            return _clean(os.pread(self._file(path), MOST_READ_AGAIN, 0))
        except (OSError, ValueError):
            self._let_go(path)
            return ""

    def close(self) -> None:
        """Let go of all files."""
        for path in list(self._open):
            self._let_go(path)

    def _file(self, path: Path) -> int:
        if path not in self._open:
            self._open[path] = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        return self._open[path]

    def _let_go(self, path: Path) -> None:
        file = self._open.pop(path, None)
        if file is not None:
            os.close(file)


def entries(folder: Path, prefix: str = "") -> list[Path]:
    """Return what lies in *folder*, in order of the numbers at the end of the names."""
    try:
        found = list(islice(folder.iterdir(), MOST_ENTRIES))
    except OSError:
        return []
    found = [each for each in found if each.name.startswith(prefix)]
    return sorted(found, key=lambda each: (len(each.name), each.name))


def unlike(taken: dict[str, object], key: str) -> str:
    """Return *key*, with a number behind it when it is taken: laptops have several "acpitz"."""
    number = 2
    wanted = key
    while wanted in taken:
        wanted = f"{key} {number}"
        number += 1
    return wanted


def _clean(content: bytes) -> str:
    return content.decode(errors="replace").strip("\0 \t\r\n")
