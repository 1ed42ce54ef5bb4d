"""What a soak comes to: whether the same, asked again and again, stays the same (pure)."""

import math
from collections.abc import Sequence
from statistics import fmean, median, pvariance
from typing import Any

from attrs import frozen

from ..statistics import Z95
from .request import Limit
from .results import Sample
from .summarise import rates

FIRST = 5
"""Missions that the last ones are compared with, and as many of these."""

SLOWER_RATIO = 0.85
"""Below this share of the first missions' rate a soak has failed."""

GROWTH_RATIO = 0.05
"""Memory may grow by this share over the whole, or by GROWTH_BYTES."""

GROWTH_BYTES = 16 << 20


@frozen
class Mission:
    """One pass over everything that is asked.

    Attributes:
        samples: Its requests.
        memory_bytes: What the model took after it; None where that is not known.
    """

    samples: tuple[Sample, ...]
    memory_bytes: int | None = None

    @property
    def seconds(self) -> float:
        """How long its requests took together."""
        return sum(it.elapsed_s for it in self.samples)

    @property
    def rate(self) -> float | None:
        """Its median decode rate; None when no answer has one."""
        found = rates(self.samples)
        return median(found) if found else None


def broken(mission: Mission, limit: Limit) -> str | None:
    """Return which *limit* a mission breaks, with the numbers; None when it breaks none."""
    slowest = max((it.elapsed_s for it in mission.samples), default=0.0)
    if limit.answer_over_s is not None and slowest > limit.answer_over_s:
        return f"an answer took {slowest:.1f} s, more than {limit.answer_over_s:g} s"
    memory, most = mission.memory_bytes, limit.memory_over_bytes
    if most is not None and memory is not None and memory > most:
        return f"it takes {_mib(memory)} of memory, more than {_mib(most)}"
    rate, least = mission.rate, limit.rate_under_tokens_per_second
    if least is not None and rate is not None and rate < least:
        return f"it writes {rate:.1f} tokens/s, fewer than {least:g}"
    return None


def slope(values: Sequence[float]) -> tuple[float, tuple[float, float] | None] | None:
    """Return by how much *values* grow each step, by least squares, with its 95 % interval.

    The interval is the normal one, without it there are fewer than three values; None for fewer
    than two.
    """
    n = len(values)
    if n < 2:  # noqa: PLR2004 - two points make a line
        return None
    middle, mean = (n - 1) / 2, fmean(values)
    spread = sum((x - middle) ** 2 for x in range(n))
    steep = sum((x - middle) * (y - mean) for x, y in enumerate(values)) / spread
    if n == 2:  # noqa: PLR2004 - a line through two points leaves nothing over
        return steep, None
    left = sum((y - mean - steep * (x - middle)) ** 2 for x, y in enumerate(values))
    half = Z95 * math.sqrt(left / (n - 2) / spread)
    return steep, (steep - half, steep + half)


def soak(missions: Sequence[Mission], wanted: int, aborted: str | None = None) -> dict[str, Any]:
    """Return what *missions* of one model came to, in plain JSON values, with a verdict.

    Args:
        missions: All of them, in their order.
        wanted: How many there were to be.
        aborted: Which limit was broken, if one was.
    """
    seconds = [it.seconds for it in missions]
    memory = [float(it.memory_bytes) for it in missions if it.memory_bytes is not None]
    failures = sum(sample.error is not None for it in missions for sample in it.samples)
    grown, ratio = slope(memory), ratio_to_first([it.rate for it in missions])
    faults = [
        *([aborted] if aborted else []),
        *([f"{failures} requests had no answer"] if failures else []),
        *([f"{len(missions)} of {wanted} missions"] if len(missions) < wanted else []),
        *_grew(memory, grown),
        *_slowed(ratio),
    ]
    return {
        "missions": len(missions),
        "failures": failures,
        "passed": not faults,
        "verdict": "; ".join(faults) or f"{wanted} missions, and it is as it was",
        "mission_s": fmean(seconds) if seconds else None,
        "mission_variance_s2": pvariance(seconds) if seconds else None,
        "memory_bytes_per_mission": grown[0] if grown else None,
        "memory_bytes_per_mission_ci95": list(grown[1]) if grown and grown[1] else None,
        "rate_ratio": ratio,
    }


def ratio_to_first(found: Sequence[float | None]) -> float | None:
    """Return the median rate of the last five missions over that of the first five.

    None until there are more than five with a rate.
    """
    known = [rate for rate in found if rate is not None]
    return median(known[-FIRST:]) / median(known[:FIRST]) if len(known) > FIRST else None


def _grew(memory: Sequence[float], grown: tuple[float, Any] | None) -> list[str]:
    if grown is None or grown[1] is None or grown[1][0] <= 0:
        return []
    whole = grown[0] * (len(memory) - 1)
    if whole <= max(GROWTH_BYTES, GROWTH_RATIO * memory[0]):
        return []
    return [f"its memory grew by {_mib(whole)} in {len(memory)} missions"]


def _slowed(ratio: float | None) -> list[str]:
    if ratio is None or ratio >= SLOWER_RATIO:
        return []
    return [f"it ended at {ratio:.0%} of the speed of the first {FIRST} missions"]


def _mib(count: float) -> str:
    return f"{count / (1 << 20):.1f} MiB"
