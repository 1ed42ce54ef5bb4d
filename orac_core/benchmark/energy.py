"""Energy from samples of power, and what of it each token took (pure).

The area under the samples by the trapezoidal rule; where a span begins or ends between two samples
the power is interpolated. Of the whole, *gross* is all of it and *net* what is above standing idle.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from itertools import pairwise

from ..statistics import area, percentile
from .results import Energy, EnergyUse

Point = tuple[float, float]
"""A moment in seconds, and watts."""

FINE_HZ = 10.0
"""Samples a second below which a figure is coarse."""

IDLE_S = 5.0
"""How long before a run its idle power is measured."""

LEAST_IDLE = 3
"""Samples that a median of idle power needs."""

MOST_HELD = 2
"""Mean distances of samples for which the first and the last one hold beyond themselves."""


def energy(
    samples: Sequence[Point], start: float, end: float, idle_watts: float | None, source: str
) -> Energy | None:
    """Return the energy from *start* to *end*; None when *samples* do not cover that.

    Args:
        samples: In order of time.
        start: Begin of the span, in seconds by the clock of the samples.
        end: Its end.
        idle_watts: Power before, where that is known.
        source: What measured.
    """
    around = _around(samples, start, end)
    hertz = _hertz(around)
    if hertz is None or not _covered(around, start, end, MOST_HELD / hertz):
        return None
    inside = [each for each in around if start < each[0] < end]
    edges = (start, _at(around, start)), (end, _at(around, end))
    joules = area([edges[0], *inside, edges[1]])
    return Energy(joules, end - start, idle_watts, source, hertz, hertz < FINE_HZ)


def idle_watts(samples: Sequence[Point], seconds: float = IDLE_S) -> float | None:
    """Return the median power of the last *seconds* in *samples*; None when they are too few."""
    if not samples:
        return None
    since = samples[-1][0] - seconds
    last = sorted(watts for at, watts in samples if at >= since)
    return percentile(last, 50) if len(last) >= LEAST_IDLE else None


def energy_use(answers: Iterable[tuple[Energy, int, int]]) -> EnergyUse | None:
    """Return the energy of all *answers* for each token; None without tokens.

    Args:
        answers: The energy of each with its tokens in and out.
    """
    each = tuple(answers)
    spans = [span for span, _, _ in each]
    tokens_in, tokens_out = sum(read for _, read, _ in each), sum(wrote for _, _, wrote in each)
    joules, seconds = sum(span.joules for span in spans), sum(span.seconds for span in spans)
    if tokens_out == 0 or seconds <= 0:
        return None
    idle = _idle_joules(spans)
    return EnergyUse(
        watts=joules / seconds,
        idle_watts=None if idle is None else idle / seconds,
        gross_j_per_token=joules / tokens_out,
        net_j_per_token=None if idle is None else (joules - idle) / tokens_out,
        j_per_token_in_and_out=joules / (tokens_in + tokens_out),
        battery_minutes_per_1000_tokens=_minutes(1000 * joules / tokens_out, idle, seconds),
        source=", ".join(sorted({span.source for span in spans})),
        hertz=min(span.hertz for span in spans),
        coarse=any(span.coarse for span in spans),
    )


def _idle_joules(spans: Sequence[Energy]) -> float | None:
    known = [each.idle_watts * each.seconds for each in spans if each.idle_watts is not None]
    return sum(known) if len(known) == len(spans) else None


def _minutes(joules: float, idle_joules: float | None, seconds: float) -> float | None:
    """Return how long *joules* last at the power of *idle_joules* in *seconds*."""
    return joules / (idle_joules / seconds) / 60 if idle_joules else None


def _around(samples: Sequence[Point], start: float, end: float) -> Sequence[Point]:
    """Return the samples of the span, with the nearest before and behind it."""
    first = bisect_right(samples, start, key=lambda each: each[0]) - 1
    last = bisect_left(samples, end, key=lambda each: each[0])
    return samples[max(0, first) : last + 1]


def _hertz(around: Sequence[Point]) -> float | None:
    if len(around) < 2 or around[-1][0] <= around[0][0]:  # noqa: PLR2004 - no line without two
        return None
    return (len(around) - 1) / (around[-1][0] - around[0][0])


def _covered(around: Sequence[Point], start: float, end: float, held_s: float) -> bool:
    (first, _), (last, _) = around[0], around[-1]
    return start < end and first - start <= held_s and end - last <= held_s


def _at(around: Sequence[Point], at: float) -> float:
    """Return the power at a moment, that of the nearest sample beyond the first and the last."""
    for (x0, y0), (x1, y1) in pairwise(around):
        if x0 <= at <= x1:
            return y0 + (y1 - y0) * (at - x0) / (x1 - x0) if x1 > x0 else y1
    return around[0][1] if at < around[0][0] else around[-1][1]
