"""Figures about samples: percentiles, intervals, rates of success, energy under a curve (pure).

Percentiles interpolate linearly, as numpy does by default. One that has too few samples behind it
is None: the 95th needs 20, the 99th needs 100.
"""

import math
import random
from collections.abc import Sequence
from itertools import pairwise
from statistics import fmean, median, stdev

from attrs import define, field, frozen

LEAST_FOR_P95 = 20
LEAST_FOR_P99 = 100

RESAMPLES = 1000
"""Samples drawn for an interval by bootstrap."""

MOST_RESAMPLED = 30
"""Of more values than these the interval comes from their order: bootstrap's limit, at once."""

Z95 = 1.959963984540054
"""Quantile 0.975 of the normal distribution."""


@frozen
class Summary:
    """What a list of samples comes to.

    Attributes:
        n: Number of samples.
        minimum: The least.
        maximum: The largest.
        mean: Their mean.
        sd: Their standard deviation; 0 of a single one.
        p50: Their median.
        p95: None under 20 samples.
        p99: None under 100 samples.
        ci95: The 95 % interval of the median by bootstrap; None of a single one.
    """

    n: int
    minimum: float
    maximum: float
    mean: float
    sd: float
    p50: float
    p95: float | None = None
    p99: float | None = None
    ci95: tuple[float, float] | None = None


def summary(values: Sequence[float]) -> Summary | None:
    """Return what *values* come to; None when there are none. The same values, the same result."""
    if not values:
        return None
    ordered, n = sorted(values), len(values)
    return Summary(
        n=n,
        minimum=ordered[0],
        maximum=ordered[-1],
        mean=fmean(ordered),
        sd=stdev(ordered) if n > 1 else 0.0,
        p50=percentile(ordered, 50),
        p95=percentile(ordered, 95) if n >= LEAST_FOR_P95 else None,
        p99=percentile(ordered, 99) if n >= LEAST_FOR_P99 else None,
        ci95=interval_of_median(ordered),
    )


def percentile(ordered: Sequence[float], q: float) -> float:
    """Return the *q*-th percentile, 0 to 100, of values in ascending order."""
    place = (len(ordered) - 1) * q / 100
    below = math.floor(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (place - below)


def interval_of_median(ordered: Sequence[float]) -> tuple[float, float] | None:
    """Return the 95 % interval of the median by smoothed bootstrap (Efron 1979).

    The samples drawn get noise of the median's own size. Without it the medians of few values are
    these few values again, and the interval holds the true median in 87 of 100 cases for n = 7.
    """
    n = len(ordered)
    if n < 2:  # noqa: PLR2004 - one value has no spread
        return None
    if n > MOST_RESAMPLED:
        return _by_order(ordered)
    chance, noise = random.Random(n), stdev(ordered) / math.sqrt(n)  # noqa: S311 - no secrets
    drawn = (chance.choices(ordered, k=n) for _ in range(RESAMPLES))
    medians = sorted(median([chance.gauss(each, noise) for each in sample]) for sample in drawn)
    low, high = percentile(medians, 2.5), percentile(medians, 97.5)
    return max(low, ordered[0]), min(high, ordered[-1])


def wilson(hits: int, n: int) -> tuple[float, float] | None:
    """Return the 95 % interval of the rate *hits* of *n* (Wilson 1927); None when n is 0."""
    if n == 0:
        return None
    rate, square = hits / n, Z95 * Z95
    centre = (rate + square / (2 * n)) / (1 + square / n)
    half = Z95 / (1 + square / n) * math.sqrt(rate * (1 - rate) / n + square / (4 * n * n))
    return max(0.0, centre - half), min(1.0, centre + half)


def distinguishable(
    one: tuple[float, float] | None, other: tuple[float, float] | None
) -> bool | None:
    """Whether two intervals do not overlap; None when one of them is not known."""
    if one is None or other is None:
        return None
    return one[1] < other[0] or other[1] < one[0]


def area(points: Sequence[tuple[float, float]]) -> float:
    """Return the area under *points* (x ascending, y) by the trapezoidal rule."""
    return sum((x1 - x0) * (y0 + y1) / 2 for (x0, y0), (x1, y1) in pairwise(points))


@define(eq=False)
class Cusum:
    """The sum of what values lie below a reference, from when it last was none (Page 1954).

    A shift that noise hides in each single value adds up, and noise does not.

    Attributes:
        reference: Values below it add to the sum, values above it take away; half way between
            the mean of values as they should be and of values that are to be found.
        threshold: Sum at which it is an alarm; it does not grow further.
        total: The sum.
    """

    reference: float
    threshold: float
    total: float = field(default=0.0, init=False)

    def add(self, value: float) -> bool:
        """Take a value; return whether the sum has reached the threshold."""
        total = self.total + self.reference - value
        if total < self.threshold:
            self.total = max(total, 0.0)
            return False
        self.total = self.threshold
        return True

    def reset(self) -> None:
        """Begin anew."""
        self.total = 0.0


def _by_order(ordered: Sequence[float]) -> tuple[float, float]:
    """Return the interval of the median from the binomial distribution of ranks."""
    n = len(ordered)
    half = Z95 * math.sqrt(n) / 2
    low = max(0, math.floor(n / 2 - half))
    high = min(n - 1, math.ceil(n / 2 + half))
    return ordered[low], ordered[high]
