"""How fast one model answers, under each set of conditions, and how fast it used to."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from attrs import define, field

from .baseline import BASELINE_ANSWERS, Baseline, Conditions, as_data, from_data
from .depth import Depth
from .drift import Drift, Slowdown

LEAST_TOKENS = 8
"""Shorter answers are no measure: their rate is that of the first tokens."""

SHALLOW_TOKENS = 2048
"""A provisional baseline is of answers with no more before them."""

MOST_BASELINES = 8
"""Sets of conditions of one model whose baselines are remembered."""


@define(eq=False)
class _Track:
    """The answers under one set of conditions."""

    conditions: Conditions
    drift: Drift | None = None
    _canaries: list[float] = field(factory=list, init=False)
    _first: list[float] = field(factory=list, init=False)

    @property
    def is_settled(self) -> bool:
        """Whether it has a baseline that no canaries will replace."""
        return self.drift is not None and not self.drift.baseline.provisional

    def canary(self, rate: float, at: float | None, depth: Depth) -> None:
        self._canaries.append(rate)
        if len(self._canaries) >= BASELINE_ANSWERS:
            self._settle(self._canaries, at, depth, provisional=False)

    def learn(self, rate: float, tokens_before: float, at: float | None, depth: Depth) -> None:
        """Take an answer for a provisional baseline, rather too slow than too fast."""
        if tokens_before > SHALLOW_TOKENS:
            return
        self._first.append(rate * (1 + depth.least * tokens_before))
        if len(self._first) >= BASELINE_ANSWERS:
            self._settle(self._first, at, depth, provisional=True)

    def _settle(
        self, rates: Sequence[float], at: float | None, depth: Depth, *, provisional: bool
    ) -> None:
        made = Baseline.of(self.conditions, rates, provisional=provisional, measured_at=at)
        self.drift = Drift(made, depth)
        self._canaries, self._first = [], []


@define(eq=False)
class Pace:
    """How fast one model answers, and how fast it used to.

    A reload starts no new baseline: slowness that comes with one is what is looked for. Other
    conditions do, and the former baseline remains to be compared with.

    Attributes:
        prior_per_token: By how much a token takes longer for each token before it, as a share,
            expected from sizes: bytes of the cache for each token over bytes of the weights that
            a token needs (of a mixture of experts, those that are asked). None where unknown.
    """

    prior_per_token: float | None = None
    _tracks: dict[Conditions, _Track] = field(factory=dict, init=False)
    _latest: _Track = field(factory=lambda: _Track(Conditions()), init=False)

    def __attrs_post_init__(self) -> None:
        self._tracks[self._latest.conditions] = self._latest

    @classmethod
    def from_data(cls, data: object, prior_per_token: float | None = None) -> "Pace":
        """Return the pace with the baselines that `as_data` gave; what is none is left out."""
        pace = cls(prior_per_token)
        rows = data if isinstance(data, list) else []
        for row in rows[-MOST_BASELINES:]:
            if isinstance(row, dict) and (drift := _drift(row)):
                pace._tracks[drift.baseline.conditions] = _Track(drift.baseline.conditions, drift)
        return pace

    def as_data(self) -> list[dict[str, Any]]:
        """Return the baselines as plain data, those used last at the end."""
        drifts = [each.drift for each in self._tracks.values() if each.drift]
        return [
            as_data(each.baseline) | {"per_token": [each.depth.least, each.depth.most]}
            for each in drifts
        ]

    @property
    def slowdown(self) -> Slowdown | None:
        """The slowdown that lasts, with the numbers of the last answer; None when there is none."""
        return self._latest.drift.slowdown if self._latest.drift else None

    @property
    def ratio(self) -> float | None:
        """The present rate as a share of the baseline; None where one of them is not known."""
        return self._latest.drift.ratio if self._latest.drift else None

    def baseline(self, conditions: Conditions) -> Baseline | None:
        """Return the baseline under those conditions; None while there is none."""
        track = self._find(conditions)
        return track.drift.baseline if track and track.drift else None

    def share(self, rate: float, depth: float, conditions: Conditions) -> float | None:
        """Return a rate as a share of the baseline under those conditions; None without one.

        Args:
            rate: Tokens a second.
            depth: Tokens before the middle of the answers.
            conditions: Under which they were made.
        """
        track = self._find(conditions)
        return track.drift.share(rate, depth) if track and track.drift else None

    def former(
        self,
        conditions: Conditions,
        changed: Literal["engine_version", "power_mode", "context_length", "gpu_layers"],
    ) -> Baseline | None:
        """Return the newest baseline under conditions that differ in nothing but *changed*.

        With ``engine_version`` it tells what an update of the engine has cost.
        """
        drifts = [each.drift for each in self._tracks.values() if each.drift]
        found = [
            each.baseline
            for each in drifts
            if conditions.changed(changed, each.baseline.conditions)
        ]
        return found[-1] if found else None

    def forget(self, conditions: Conditions) -> None:
        """Forget the baseline: what the model does from now on is the usual."""
        track = self._find(conditions)
        if track is not None:
            track.drift = None

    def canary(
        self, rate: float, conditions: Conditions, at: float | None = None
    ) -> Slowdown | None:
        """Take the decode rate of a canary: an answer to a short prompt after a verified load.

        Five of them make the baseline. Then, and while the model is degraded, they are answers
        like any other; so is returned what `add` returns.
        """
        track = self._track(conditions)
        slow = self.slowdown
        if track.is_settled or (slow is not None and slow.verdict == "degraded"):
            return self.add(rate, LEAST_TOKENS, 0, conditions, at)
        if 0 < rate < math.inf:
            track.canary(rate, at, Depth.about(self.prior_per_token))
        return None

    def add(
        self,
        rate: float | None,
        tokens: int | None,
        depth: float,
        conditions: Conditions,
        at: float | None = None,
    ) -> Slowdown | None:
        """Take an answer; return the slowdown, once, when the model became degraded with it.

        Passed over are answers under LEAST_TOKENS tokens and those without a rate. Answers made
        at the same time slow each other down: leave them out.

        Args:
            rate: Decode rate in tokens a second, by the engine's own clock.
            tokens: Tokens of the answer, as the engine counted them.
            depth: Tokens before the middle of the answer: prompt and half the answer. Those that
                the engine had cached count, too.
            conditions: Under which it was made.
            at: When, in seconds since 1970.
        """
        track = self._latest
        if conditions is not track.conditions:
            track = self._track(conditions)
        if rate is None or tokens is None or tokens < LEAST_TOKENS or not 0 < rate < math.inf:
            return None
        if track.drift is None:
            track.learn(rate, depth, at, Depth.about(self.prior_per_token))
            return None
        return track.drift.slowdown if track.drift.add(rate, depth, at) else None

    def _track(self, conditions: Conditions) -> _Track:
        """Return the track of *conditions*; the one not used for longest gives way to a new one."""
        latest = self._latest
        if conditions == latest.conditions:
            return latest
        track = self._find(conditions) or _Track(conditions)
        self._tracks.pop(track.conditions, None)
        track.conditions = track.conditions.joined(conditions) or conditions
        self._tracks[track.conditions] = self._latest = track
        if len(self._tracks) > MOST_BASELINES:
            del self._tracks[next(iter(self._tracks))]
        return track

    def _find(self, conditions: Conditions) -> _Track | None:
        """Return the track of the same conditions, else the newest that may be the same."""
        if (exact := self._tracks.get(conditions)) is not None:
            return exact
        newest_first = reversed(self._tracks.values())
        return next((each for each in newest_first if each.conditions.joined(conditions)), None)


def _drift(row: Mapping[str, Any]) -> Drift | None:
    match row:
        case {"per_token": [float(least), float(most)], **rest} if 0 <= least <= most < math.inf:
            baseline = from_data(rest)
            return Drift(baseline, Depth(least, most)) if baseline else None
    return None
