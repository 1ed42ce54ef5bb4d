"""Whether answers have become slower than a baseline. Pure."""

from collections import deque
from statistics import median
from typing import Literal

from attrs import define, field, frozen

from ..statistics import Cusum
from .baseline import Baseline
from .depth import MATTERS, Depth

SLOWER_RATIO = 0.85
"""Slower below this share of the baseline, and on the way to recovery from it on."""

DEGRADED_RATIO = 0.70
"""Degraded below this share of the baseline in IN_A_ROW answers."""

IN_A_ROW = 3
"""So many answers below DEGRADED_RATIO are enough where they are EVEN."""

EVEN = 1.06
"""From the slowest to the fastest of IN_A_ROW. A slow model is slow evenly; of answers that were
slow by chance three in a row happen to 26 of 100 models within 10 000 answers, when 5 % of the
answers are anything from 0.2 to 1 of their rate."""

ALIKE = 1.18
"""A very slow answer counts in full when one of the PRESENT_ANSWERS before it was that near."""

PRESENT_ANSWERS = 5
"""The present is the median of so many."""

REFERENCE = 0.90
"""What answers stay below this share is summed up. It lies between the 0.94 of a model that is well
and whose baseline is 6.5 % too high, and the 0.85 of one that has lost a fifth and whose baseline
is 6.5 % too low: each happens once in 200 models."""

ALARM = 0.54
"""The sum at which a model is degraded: 11 times a noise of 5 %. A drop of a fifth adds 0.1 with
each answer. A very slow answer adds 0.2, and 0.05 when none of those before was as slow, so that
four of five that are alike suffice and outliers, which have nothing in common, do not add up."""

SLOW_ALONE = 0.85
SLOW_TOGETHER = 0.70
"""Slower answers count as these, alone or where others were as slow (winsorising)."""

RECOVERED = 0.40
"""Sum, over SLOWER_RATIO, at which a model has recovered: three answers of full speed."""

FULL = 1.0
"""Faster answers count as this: one that was fast by chance makes up for nothing."""

Verdict = Literal["slower", "degraded"]
Alarm = Literal["ratio", "cusum"]


@frozen
class Slowdown:
    """A model answers slower than it used to.

    Rates are as if there were nothing before an answer, so that long and short ones compare.

    Attributes:
        verdict: ``degraded``, or ``slower`` where that is not certain yet.
        factor: The present rate as a share of the baseline: 0.14 is a seventh.
        baseline_tokens_per_second: The baseline.
        tokens_per_second: Median decode rate of the last five answers.
        alarm: What made it degraded: ``ratio`` for three very slow answers in a row, ``cusum`` for
            the sum of what was lost over more answers; None while it is merely slower.
        answers: How many were compared since it began.
        since: When it began, in seconds since 1970; None where that was not told.
    """

    verdict: Verdict
    factor: float
    baseline_tokens_per_second: float
    tokens_per_second: float
    alarm: Alarm | None = None
    answers: int = 0
    since: float | None = None

    def __str__(self) -> str:
        return (
            f"{self.verdict}: {self.tokens_per_second:.1f} tokens/s where it had "
            f"{self.baseline_tokens_per_second:.1f} ({self.factor:.0%})"
        )


@define(eq=False)
class Drift:
    """The answers that are compared with one baseline.

    Attributes:
        baseline: What they are compared with.
        depth: What the context before an answer costs.
        verdict: None while the model is well.
    """

    baseline: Baseline
    depth: Depth
    verdict: Verdict | None = field(default=None, init=False)
    _usual: float = field(init=False)
    _last: deque[float] = field(factory=lambda: deque(maxlen=PRESENT_ANSWERS), init=False)
    _lost: Cusum = field(factory=lambda: Cusum(REFERENCE, ALARM), init=False)
    _gained: Cusum = field(factory=lambda: Cusum(-SLOWER_RATIO, RECOVERED), init=False)
    _alarm: Alarm | None = field(default=None, init=False)
    _answers: int = field(default=0, init=False)
    _since: float | None = field(default=None, init=False)

    def __attrs_post_init__(self) -> None:
        self._usual = self.baseline.tokens_per_second

    @property
    def ratio(self) -> float | None:
        """The present rate as a share of the baseline; None before the first answer."""
        return median(self._last) if self._last else None

    @property
    def slowdown(self) -> Slowdown | None:
        """The slowdown that lasts; None while the model is well."""
        if self.verdict is None or (ratio := self.ratio) is None:
            return None
        rate = ratio * self._usual
        rest = self._alarm, self._answers, self._since
        return Slowdown(self.verdict, ratio, self._usual, rate, *rest)

    def share(self, rate: float, depth: float) -> float:
        """Return a rate as a share of the baseline; depth counts as little as it may."""
        return rate / self._usual * (1 + self.depth.least * depth)

    def add(self, rate: float, depth: float, at: float | None = None) -> bool:
        """Take an answer; return whether the model became degraded with it.

        What depth alone may explain is no sign of slowness, and what it may have made slow is
        none of health: such answers only teach how much depth costs.
        """
        share = rate / self._usual
        least = share * (1 + self.depth.least * depth)
        most = share * (1 + self.depth.most * depth)
        if most - least > MATTERS * most and self._lost.total < ALARM / 2:
            self.depth.learn(share, depth)
        if least < REFERENCE <= most:
            return False
        share = most if most < REFERENCE else least
        if self.verdict == "degraded":
            self._recover(share, least)
            return False
        return self._count(share, at)

    def _count(self, share: float, at: float | None) -> bool:
        if share >= REFERENCE and not self._lost.total:
            self._last.append(share)
            return False
        if not self._lost.total:
            self._answers, self._since = 0, at
        self._lost.add(self._winsorised(share))
        self._last.append(share)
        self._answers += 1
        return self._judge()

    def _winsorised(self, share: float) -> float:
        if share >= SLOW_ALONE:
            return min(share, FULL)
        alike = any(share < each * ALIKE and each < share * ALIKE for each in self._last)
        return max(share, SLOW_TOGETHER) if alike else SLOW_ALONE

    def _judge(self) -> bool:
        ratio = median(self._last)
        if ratio >= SLOWER_RATIO:
            self.verdict = None
            return False
        very_slow = self._is_very_slow()
        if not very_slow and self._lost.total < ALARM:
            self.verdict = "slower" if self._lost.total >= ALARM / 2 else self.verdict
            return False
        self.verdict, self._alarm = "degraded", "ratio" if very_slow else "cusum"
        return True

    def _is_very_slow(self) -> bool:
        """Whether the last answers were below DEGRADED_RATIO, all of them and evenly."""
        last = list(self._last)[-IN_A_ROW:]
        if len(last) < IN_A_ROW or max(last) >= DEGRADED_RATIO:
            return False
        return max(last) <= EVEN * min(last)

    def _recover(self, share: float, least: float) -> None:
        self._last.append(share)
        self._answers += 1
        if self._gained.add(-min(least, FULL)):
            self.verdict = self._alarm = None
            self._lost.reset()
            self._gained.reset()
