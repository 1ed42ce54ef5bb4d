"""What lies in a place: its GGUF files, the parts of a split model taken together.

The walk is bounded in depth and in entries, visits each folder once (links may lead in circles),
leaves hidden files and folders out, and goes on where a folder cannot be read. Links to files
and folders are followed: many keep their models on another disk.
"""

import os
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from attrs import define, field, frozen

from .malformed import fault, printing
from .parts import PartName
from .paths import OLLAMA_STORE, Place

_MAX_DEPTH = 8
_MAX_ENTRIES = 100_000

_BLOB_STORE = "Ollama's own blob store, without .gguf files; what is in it is served by Ollama"


@frozen
class FileSet:
    """The files of one model, in order: one, or the parts of a split model."""

    place: Place
    parts: tuple[Path, ...]

    @property
    def stem(self) -> str:
        """The file's name without its ending and without what makes it a part."""
        name = PartName.of(self.parts[0])
        return printing(name.stem if name else self.parts[0].stem)

    @property
    def below(self) -> str:
        """The (first) file's path below the place, with its ending."""
        return printing(self.parts[0].relative_to(self.place.path).as_posix())


@frozen
class Contents:
    """What was found in a place.

    Attributes:
        place: The place.
        exists: Whether it is a folder that can be looked into.
        file_sets: The models, those in a folder before those below it, else by name.
        note: Why there is nothing, or not all; None when there is nothing to say.
    """

    place: Place
    exists: bool
    file_sets: tuple[FileSet, ...] = ()
    note: str | None = None


def find(place: Place, most_entries: int = _MAX_ENTRIES) -> Contents:
    """Return the models in a place, searching up to so many files and folders.

    It blocks while it reads folders, so call it in a thread.
    """
    try:
        os.scandir(place.path).close()
    except (OSError, ValueError) as error:
        return Contents(place, exists=False, note=_absent(error))
    walk = _Walk(most_entries)
    file_sets = _file_sets(place, walk.files(place.path))
    return Contents(
        place, exists=True, file_sets=file_sets, note=walk.note or _nothing(place, file_sets)
    )


def _absent(error: OSError | ValueError) -> str:
    match error:
        case FileNotFoundError():
            return "does not exist"
        case NotADirectoryError():
            return "is no folder"
        case PermissionError():
            return "permission denied: the user ORAC runs as may not look into it"
        case OSError():
            return fault(error)
        case _:
            return "is no path"


def _nothing(place: Place, file_sets: tuple[FileSet, ...]) -> str | None:
    if file_sets:
        return None
    return _BLOB_STORE if place.origin == OLLAMA_STORE else "holds no .gguf files"


def _file_sets(place: Place, paths: Iterator[Path]) -> tuple[FileSet, ...]:
    """Return the files, those of one split model together at the place of the first."""
    sets: dict[object, list[Path]] = {}
    for path in paths:
        name = PartName.of(path)
        key = (path.parent, name.stem, name.count, name.ending) if name else path
        sets.setdefault(key, []).append(path)
    return tuple(FileSet(place, tuple(paths)) for paths in sets.values())


@define(eq=False)
class _Walk:
    """One walk through a folder and those below it."""

    _most_entries: int
    _entries_seen: int = field(default=0, init=False)
    note: str | None = field(default=None, init=False)
    _visited: set[tuple[int, int]] = field(factory=set, init=False)

    def files(self, folder: Path, depth: int = 0) -> Iterator[Path]:
        """Yield the GGUF files, those in the folder first."""
        below = []
        for entry in self._entries(folder):
            if _is_folder(entry):
                below.append(Path(entry.path))
            elif entry.name.lower().endswith(".gguf"):
                yield Path(entry.path)
        if depth < _MAX_DEPTH:
            for inner in below:
                yield from self.files(inner, depth + 1)

    def _entries(self, folder: Path) -> list[os.DirEntry[str]]:
        """Return what is in a folder and not hidden; nothing the second time."""
        try:
            found = folder.stat()
            if self._been_at(found.st_dev, found.st_ino):
                return []
            with os.scandir(folder) as entries:
                read = list(islice(entries, self._most_entries - self._entries_seen))
        except OSError as error:
            self.note = f"{printing(folder.name)}: {fault(error)}"
            return []
        self._count(len(read))
        return sorted((entry for entry in read if not entry.name.startswith(".")), key=_order)

    def _been_at(self, device: int, inode: int) -> bool:
        been = (device, inode) in self._visited
        self._visited.add((device, inode))
        return been

    def _count(self, entries: int) -> None:
        self._entries_seen += entries
        if self._entries_seen == self._most_entries:
            self.note = f"searched up to {self._most_entries} files and folders, not all"


def _order(entry: os.DirEntry[str]) -> tuple[bool, str]:
    """Order by name, with ``a.gguf`` before ``a.GGUF``, as the first gets the stem for its id."""
    return not entry.name.endswith(".gguf"), entry.name


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link that leads in a circle, or where we may not look
        return False
