"""What a function says are vectors, as vectors of length 1. Pure."""

import math
from collections.abc import Iterable
from typing import Any

from .._vectors import Vector, shortened


def vectors(answer: Any, texts: int, dimensions: int | None) -> tuple[Vector, ...]:
    """Return one vector for each of so many texts.

    Args:
        answer: Rows of numbers: lists, tuples, or an array of NumPy's or of another library's
            that has ``tolist``.
        texts: How many there have to be.
        dimensions: How long they are to be; None for as long as they are.

    Raises:
        TypeError: when it is something else.
        ValueError: when they are too few, or no numbers.
        InvalidRequest: when they are shorter than *dimensions*.
    """
    rows = [_row(each) for each in _plain(answer)]
    if len(rows) != texts:
        raise ValueError(f"{len(rows)} vectors for {texts} texts")
    if len({len(row) for row in rows}) > 1 or not all(rows):
        raise ValueError("vectors must have one length, and some numbers")
    return tuple(shortened(_of_length_1(row), dimensions) for row in rows)


def _plain(answer: Any) -> Iterable[Any]:
    found = answer.tolist() if hasattr(answer, "tolist") else answer
    if isinstance(found, str) or not isinstance(found, Iterable):
        raise TypeError(f"vectors must be rows of numbers, not {type(answer).__name__}")
    return found


def _row(row: Any) -> Vector:
    numbers = tuple(float(each) for each in _plain(row))
    if not all(map(math.isfinite, numbers)):
        raise ValueError("a vector holds what is no number")
    return numbers


def _of_length_1(row: Vector) -> Vector:
    length = math.hypot(*row)
    return tuple(number / length for number in row) if length else row
