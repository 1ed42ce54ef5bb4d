"""The names of a split model's files: ``Name-00002-of-00003.gguf``.

Source: ``llama_split_path`` of llama.cpp, which writes them so and looks for no others.
"""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Self

from attrs import frozen

_PART = re.compile(r"(.+)-([0-9]{5})-of-([0-9]{5})(\.gguf)", re.IGNORECASE | re.DOTALL)


@frozen
class PartName:
    """The name of one part: the model's stem, number from 1, number of parts, the ending."""

    stem: str
    number: int
    count: int
    ending: str

    @classmethod
    def of(cls, path: Path) -> Self | None:
        """Return what a file's name says, or None when it is not the name of a part."""
        match = _PART.fullmatch(path.name)
        if match is None:
            return None
        name = cls(match[1], int(match[2]), int(match[3]), match[4])
        return name if 1 <= name.number <= name.count else None

    def __str__(self) -> str:
        return f"{self.stem}-{self.number:05d}-of-{self.count:05d}{self.ending}"


def first_missing(parts: Sequence[Path]) -> PartName | None:
    """Return the name of the first part that is not among the files; None when all are there.

    The files are of one model and in order.
    """
    names = [name for path in parts if (name := PartName.of(path))]
    if not names:
        return None
    stem, count, ending = names[0].stem, names[0].count, names[0].ending
    there = {name.number for name in names}
    missing = next((number for number in range(1, count + 1) if number not in there), None)
    return None if missing is None else PartName(stem, missing, count, ending)
