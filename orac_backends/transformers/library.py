"""The checkpoints below some folders, looked for again each time and read only when they changed.

A name is looked up among those found; it never becomes a path.
"""

import asyncio
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from attrs import define, field

from .checkpoint import Checkpoint, checkpoint, is_checkpoint

_MAX_DEPTH = 5  # a cache of Hugging Face's has them 3 deep
_MAX_FOLDERS = 5000
_SNAPSHOTS, _CACHED = "snapshots", "models--"

Signature = tuple[tuple[str, int, int, int], ...]


@define(eq=False)
class Library:
    """The checkpoints that there are.

    Attributes:
        paths: Folders that are searched.
        width: Bytes of a number in memory; None for as many as on the disk.
    """

    paths: tuple[Path, ...]
    width: int | None = None
    _known: dict[Path, tuple[Signature, Checkpoint]] = field(factory=dict, init=False)

    async def all(self) -> list[Checkpoint]:
        """Return them, broken ones with their problem; of two with one name both, told apart."""
        return await asyncio.to_thread(self._all)

    async def find(self, model: str) -> Checkpoint | None:
        """Return the one of that name; None where there is none."""
        return next((it for it in await self.all() if it.id == model), None)

    def _all(self) -> list[Checkpoint]:
        found: dict[str, Checkpoint] = {}
        seen: set[Path] = set()
        for path in self.paths:
            root = path.expanduser()
            for folder in _folders(root):
                if (real := folder.resolve()) not in seen:
                    seen.add(real)
                    model = _free(folder, root, found)
                    found[model] = self._read(model, folder)
        self._known = {it.path: self._known[it.path] for it in found.values()}
        return list(found.values())

    def _read(self, model: str, folder: Path) -> Checkpoint:
        signature = _signature(folder)
        known = self._known.get(folder)
        if known is None or known[0] != signature or known[1].id != model:
            known = self._known[folder] = (signature, checkpoint(model, folder, self.width))
        return known[1]


def _free(folder: Path, root: Path, taken: dict[str, Checkpoint]) -> str:
    """Return a name that is free: that of the folder, else its path below *root*, else all of it.

    In a cache of Hugging Face's a model's folder is ``models--OWNER--NAME/snapshots/REVISION``.
    """
    real, above = folder.resolve(), folder.parent.parent.name
    cached = folder.parent.name == _SNAPSHOTS and above.startswith(_CACHED)
    name = above.removeprefix(_CACHED).replace("--", "/") if cached else folder.name or real.name
    below = () if folder == root else (str(folder.relative_to(root)),)
    return next((it for it in (name, *below) if it not in taken), str(real))


def _folders(root: Path) -> Iterator[Path]:
    """Yield the folders with a checkpoint, from the top down, each level by name."""
    level, count = [root], 0
    for _ in range(_MAX_DEPTH + 1):
        below: list[Path] = []
        for folder in level[: max(0, _MAX_FOLDERS - count)]:
            count += 1
            files, folders = _entries(folder)
            if is_checkpoint(files):
                yield folder
            else:
                below += folders
        level = below


def _entries(folder: Path) -> tuple[frozenset[str], list[Path]]:
    """Return the names of the files in a folder, and the folders; nothing where it is not open."""
    files, folders = set(), []
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if not entry.name.isprintable() or entry.name.startswith("."):
                continue
            if _is_folder(entry):
                folders.append(folder / entry.name)
            else:
                files.add(entry.name)
    return frozenset(files), sorted(folders)


def _is_folder(entry: "os.DirEntry[str]") -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link that leads back to itself
        return False


def _signature(folder: Path) -> Signature:
    """Return what is another as soon as one of the files is."""
    found = []
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            with suppress(OSError):
                status = entry.stat()
                found.append((entry.name, status.st_size, status.st_mtime_ns, status.st_ino))
    return tuple(sorted(found))
