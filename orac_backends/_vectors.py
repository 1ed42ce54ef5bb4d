"""Vectors of texts. Pure.

Engines give them the length 1 (L2). One that is cut has to be given it anew; see "Matryoshka
Representation Learning", https://arxiv.org/abs/2205.13147, for the models that can be cut.
"""

import math
import re

from orac_core import InvalidRequest, PromptTooLong

Vector = tuple[float, ...]

_TOKENS = re.compile(r"\((\d+) tokens\)")


def shortened(vector: Vector, dimensions: int | None) -> Vector:
    """Return the first numbers of a vector as a vector of length 1; None leaves it as it is.

    Raises:
        InvalidRequest: when it has fewer.
    """
    if dimensions is None or dimensions == len(vector):
        return vector
    if dimensions > len(vector):
        raise InvalidRequest(
            f"the vectors of this model have {len(vector)} dimensions, not {dimensions}; "
            "ask for fewer, or leave `dimensions` out",
            {"dimensions": f"must be at most {len(vector)}"},
        )
    kept = vector[:dimensions]
    length = math.hypot(*kept)
    return tuple(number / length for number in kept) if length else kept


def too_long(number: int, count: int, why: str, limit: int | None) -> PromptTooLong:
    """Return the error for a text that an engine found too long.

    Args:
        number: Which text, from 0.
        count: How many texts there are.
        why: What the engine said.
        limit: Tokens that a text may have, where that is known.
    """
    tokens = _TOKENS.search(why)
    has = f"has {tokens[1]} tokens" if tokens else "is too long"
    takes = f", and the model takes {limit} at a time" if limit else " for the model"
    return PromptTooLong(
        f"text {number + 1} of {count} {has}{takes}: shorten or split it",
        {f"texts.{number}": "too long"},
    )
