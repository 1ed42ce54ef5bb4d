"""Vectors as OpenAI's API tells them: checked, and put in order. Pure."""

import base64
import math
from array import array
from collections.abc import Mapping
from sys import byteorder
from typing import Any

from orac_core import Embeddings, Usage

from .._vectors import Vector, shortened

_OFF = 1e-3


def vectors(told: Mapping[str, Any], count: int, dimensions: int | None) -> Embeddings:
    """Return one vector of length 1 (L2) for each of *count* texts, in their order.

    Raises:
        InvalidRequest: when they are shorter than *dimensions*.
        TypeError, ValueError, LookupError: when the answer of a server holds something else.
    """
    found = {int(each["index"]): _numbers(each["embedding"]) for each in told["data"]}
    if sorted(found) != list(range(count)) or len(told["data"]) != count:
        raise ValueError(f"there are {len(told['data'])} vectors of {count} texts")
    ordered = tuple(shortened(_of_length_one(found[it]), dimensions) for it in range(count))
    tokens = (told.get("usage") or {}).get("prompt_tokens")
    return Embeddings(ordered, Usage(prompt_tokens=tokens if isinstance(tokens, int) else None))


def _numbers(told: Any) -> Vector:
    """Return a vector, told as numbers or as 32-bit floats in base64, the lowest byte first."""
    if isinstance(told, str):
        numbers = array("f", base64.b64decode(told, validate=True))
        if byteorder == "big":
            numbers.byteswap()
        told = numbers
    vector = tuple(map(float, told))
    if not vector or not all(map(math.isfinite, vector)):
        raise ValueError("a vector is empty, or holds something that is no number")
    return vector


def _of_length_one(vector: Vector) -> Vector:
    length = math.hypot(*vector)
    if not length or abs(length - 1.0) < _OFF:
        return vector
    return tuple(number / length for number in vector)
