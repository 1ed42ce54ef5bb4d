"""Which model has which id, and which model a name means.

A name is only ever a key of the table that is built here; it never becomes a path.
"""

from collections.abc import Iterable, Mapping
from typing import TypeVar

from .folder import FileSet

_ENDING = ".gguf"

Found = TypeVar("Found")


def named(file_sets: Iterable[FileSet]) -> tuple[dict[str, FileSet], tuple[FileSet, ...]]:
    """Return the models by id, and those for which no id was left.

    The first model of a stem has the stem for its id. A later one has its path below its place,
    with the ending (``sub/a.GGUF``). When that is taken too, it is shadowed. A file that is
    reached a second time under the same stem counts once.
    """
    table: dict[str, FileSet] = {}
    shadowed: list[FileSet] = []
    seen: set[object] = set()
    for file_set in file_sets:
        same = (_identity(file_set), file_set.stem)
        if same in seen:
            continue
        seen.add(same)
        free = [name for name in (file_set.stem, file_set.below) if name not in table]
        if free:
            table[free[0]] = file_set
        else:
            shadowed.append(file_set)
    return table, tuple(shadowed)


def look_up(table: Mapping[str, Found], name: str) -> Found | None:
    """Return what a name means: an id, with the ending ``.gguf`` or without; None for nothing."""
    shorter = name[: -len(_ENDING)] if name.lower().endswith(_ENDING) else name
    for candidate in (name, shorter, name + _ENDING):
        if candidate in table:
            return table[candidate]
    return None


def _identity(file_set: FileSet) -> object:
    try:
        found = file_set.parts[0].stat()
    except OSError:  # a link to nowhere is no other file
        return file_set.parts[0]
    return found.st_dev, found.st_ino
