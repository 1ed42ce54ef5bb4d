"""Whether two lists of samples differ by more than chance (pure).

The test of Mann and Whitney (1947) looks at ranks only, so it asks for no bell curve and one
outlier does not sway it.
"""

import math
from collections import Counter
from collections.abc import Sequence
from itertools import accumulate

ALPHA = 0.05
"""A difference that chance makes less often than this is taken for one."""

MOST_EXACT = 60
"""Of more samples than these, both lists together, the normal distribution tells enough."""


def mann_whitney(one: Sequence[float], other: Sequence[float]) -> float | None:
    """Return the two-sided p of *one* and *other*; None when one of them is empty.

    It is exact, with ties as well, up to `MOST_EXACT` samples. Above that it is that of the normal
    distribution, corrected for ties and continuity.
    """
    if not one or not other:
        return None
    doubled = _doubled_ranks((*one, *other))
    total = sum(doubled[: len(one)])
    if len(doubled) <= MOST_EXACT:
        return _exact(doubled, len(one), total)
    return _normal(doubled, len(one), total)


def least_p(n_one: int, n_other: int) -> float:
    """Return the least p that samples of these numbers can come to, all of one above the other."""
    return min(1.0, 2 / math.comb(n_one + n_other, n_one))


def _doubled_ranks(values: Sequence[float]) -> list[int]:
    """Return twice the rank of each, counted from 1; equal ones share the mean of theirs."""
    counts = Counter(values)
    ordered = sorted(counts)
    ends = accumulate(counts[value] for value in ordered)
    rank = {value: 2 * end - counts[value] + 1 for value, end in zip(ordered, ends, strict=True)}
    return [rank[value] for value in values]


def _exact(doubled: Sequence[int], n: int, total: int) -> float:
    """Return p from all ways to choose *n* of the ranks, counted by the sum they come to.

    How many ways of choosing k ranks have the sum s is digit s of the k-th number below, so adding
    a rank is one shift and one addition.
    """
    width = len(doubled) + 8  # bits of a digit: no count is above 2 ** len(doubled)
    width += -width % 8
    ways = [1] + [0] * n
    for seen, rank in enumerate(doubled, 1):
        for size in range(min(seen, n), 0, -1):
            ways[size] += ways[size - 1] << (rank * width)
    counts = _digits(ways[n], width // 8)
    below, above = sum(counts[: total + 1]), sum(counts[total:])
    return min(1.0, 2 * min(below, above) / math.comb(len(doubled), n))


def _digits(number: int, size: int) -> list[int]:
    packed = number.to_bytes((number.bit_length() // 8 // size + 1) * size, "little")
    return [int.from_bytes(packed[at : at + size], "little") for at in range(0, len(packed), size)]


def _normal(doubled: Sequence[int], n: int, total: int) -> float:
    m, both = len(doubled) - n, len(doubled)
    ties = sum(count**3 - count for count in Counter(doubled).values())
    variance = n * m / 12 * (both + 1 - ties / (both * (both - 1)))
    if variance <= 0:
        return 1.0
    off = max(0.0, abs(total / 2 - n * (both + 1) / 2) - 0.5)
    return math.erfc(off / math.sqrt(2 * variance))
