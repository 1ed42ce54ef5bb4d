"""The hashes of files as they are now, kept over a restart, and which of them no longer hold."""

import hashlib
import threading
from collections.abc import Mapping, Sequence
from itertools import islice
from pathlib import Path

from attrs import define, field

from ..state_directory import StateDirectory
from .remembered import FileState

DOCUMENT = "digests"
MOST = 4096
"""How many hashes are kept: the newest."""


def key_of(parts: Sequence[Path], algorithm: str) -> str:
    """Return what stays the same as long as the bytes of the files should, under any name.

    It blocks.

    Raises:
        ModelFileInvalid: A file is gone.
    """
    return key([FileState.of(part) for part in parts], algorithm)


def key(states: Sequence[FileState], algorithm: str) -> str:
    """Return the key of files in those states; that of many is no longer than that of one."""
    text = " ".join(":".join(map(str, state.contents)) for state in states)
    if len(states) > 1:
        text = f"{len(states)}:{hashlib.sha256(text.encode()).hexdigest()}"
    return f"{algorithm} {text}"


def newest(digests: Mapping[str, str], most: int = MOST) -> dict[str, str]:
    """Return the last *most* of some entries."""
    return dict(islice(digests.items(), max(0, len(digests) - most), None))


@define(eq=False)
class Ledger:
    """What files hashed to when they were read. It blocks; any thread may call it.

    Attributes:
        state: Keeps it over a restart; other processes may write there too.
    """

    state: StateDirectory
    _known: dict[str, str] = field(factory=dict, init=False)
    _rotten: dict[str, str] = field(factory=dict, init=False)
    _unsaved: dict[str, str] = field(factory=dict, init=False)
    _is_loaded: bool = field(default=False, init=False)
    _turn: threading.Lock = field(factory=threading.Lock, init=False)

    def known(self, key: str) -> str | None:
        """Return the hash of the files of that key, in hexadecimal digits; None for none."""
        with self._turn:
            self._load_once()
            return self._known.get(key)

    def rotten(self, key: str) -> str | None:
        """Return what the same files hashed to later, when that was something else."""
        with self._turn:
            self._load_once()
            return self._rotten.get(key)

    def learn(self, key: str, digest: str) -> None:
        """Remember a hash."""
        with self._turn:
            self._load_once()
            self._note(key, digest)

    def verified(self, key: str, found: str, wanted: str | None) -> None:
        """Take note of what files hash to that were read again.

        Args:
            key: Their key.
            found: Their hash.
            wanted: What it has to be, when somebody said.
        """
        with self._turn:
            self._load_once()
            known = self._known.get(key, found)
            if found in (known, wanted):
                self._note(key, found)
            else:
                self._note(key, known, found)

    def _load_once(self) -> None:
        if not self._is_loaded:
            self._is_loaded = True
            self._merge()

    def _note(self, key: str, digest: str, found: str | None = None) -> None:
        before = self._known.get(key), self._rotten.get(key)
        if before == (digest, found):
            return
        self._merge()
        self._known.pop(key, None)
        self._known[key] = self._unsaved[key] = digest
        self._rotten.pop(key, None)
        if found is not None:
            self._rotten[key] = found
        self._save()

    def _merge(self) -> None:
        """Take in what other processes have learned; what could not be written counts more."""
        kept = self.state.read(DOCUMENT)
        if not isinstance(kept, dict):
            return
        rotten = {key: it for key, it in self._rotten.items() if key in self._unsaved}
        known = {**self._known, **_texts(kept.get("digests")), **self._unsaved}
        self._known = newest(known)
        self._rotten = {**_texts(kept.get("rotten")), **rotten}

    def _save(self) -> None:
        self._known = newest(self._known)
        self._rotten = {key: it for key, it in self._rotten.items() if key in self._known}
        self.state.write(DOCUMENT, {"digests": self._known, "rotten": self._rotten})
        if self.state.problem is None:
            self._unsaved.clear()


def _texts(found: object) -> dict[str, str]:
    items = found.items() if isinstance(found, dict) else ()
    return {key: text for key, text in items if isinstance(text, str)}
