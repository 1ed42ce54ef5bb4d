"""Rates compared with earlier ones: by how much they differ, and whether by chance (pure)."""

import math
from collections.abc import Sequence

from attrs import frozen

from ..statistics import distinguishable, summary

SLOWER_RATIO = 0.85
"""Slower below this share of the baseline: three times the usual noise of 5 %."""

DEGRADED_RATIO = 0.70
"""Degraded below this share. The reports were of 13 % to 50 %."""

SURELY_BELOW = 0.95
"""A model is called slow only when even the upper end of the interval is below this share."""

CHANGE = 0.10
"""Share by which a rate has to differ to count as changed: twice the usual noise."""


@frozen
class Comparison:
    """Rates as a share of earlier ones.

    Attributes:
        ratio: Median over median; None when one of them is missing.
        ci95: Its 95 % interval; None where one side has a single value.
    """

    ratio: float | None = None
    ci95: tuple[float, float] | None = None

    @property
    def slow(self) -> bool | None:
        """Whether the rates fell, and not by chance; None when there is nothing to compare."""
        if self.ratio is None:
            return None
        if self.ci95 is None:
            return self.ratio < DEGRADED_RATIO
        return self.ratio < SLOWER_RATIO and self.ci95[1] < SURELY_BELOW

    @property
    def degraded(self) -> bool:
        """Whether they fell as far as in the reports of models that had become unusable."""
        return self.slow is True and self.ratio is not None and self.ratio < DEGRADED_RATIO

    def __str__(self) -> str:
        if self.ratio is None:
            return "nothing to compare with"
        spread = "" if self.ci95 is None else f" ({self.ci95[0]:.0%} to {self.ci95[1]:.0%})"
        return f"{self.ratio:.0%}{spread}"


def compared(present: Sequence[float], earlier: Sequence[float]) -> Comparison:
    """Return the median of *present* as a share of that of *earlier*.

    The interval comes from those of the two medians, on a logarithmic scale (MOVER: Zou and
    Donner, Statistics in Medicine 27, 2008).
    """
    above, below = summary(usable(present)), summary(usable(earlier))
    if above is None or below is None:
        return Comparison()
    ratio = above.p50 / below.p50
    if above.ci95 is None or below.ci95 is None:
        return Comparison(ratio)
    down = math.hypot(_log(above.p50, above.ci95[0]), _log(below.ci95[1], below.p50))
    up = math.hypot(_log(above.ci95[1], above.p50), _log(below.p50, below.ci95[0]))
    return Comparison(ratio, (ratio * math.exp(-down), ratio * math.exp(up)))


def changed(present: Sequence[float], earlier: Sequence[float]) -> bool | None:
    """Whether the rates differ by more than a tenth, and their intervals do not overlap.

    None when that can not be told: with a single value on one side.
    """
    now, was = summary(usable(present)), summary(usable(earlier))
    if now is None or was is None:
        return None
    apart = distinguishable(now.ci95, was.ci95)
    return apart and abs(now.p50 / was.p50 - 1) > CHANGE


def usable(rates: Sequence[float]) -> list[float]:
    """Return those of *rates* that can be rates: finite, and above 0."""
    return [each for each in rates if math.isfinite(each) and each > 0]


def _log(larger: float, smaller: float) -> float:
    return math.log(larger / smaller)
