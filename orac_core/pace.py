"""Noticing that a model has become slow: by how much, and what is the likeliest cause (pure).

The rates of answers are compared with those of the first answers, which are kept over reloads of
the model: the slowness that users report comes with a reload and stays until a reboot.
"""

import math
from collections import deque
from collections.abc import Hashable
from enum import StrEnum
from statistics import median
from typing import Literal

from attrs import define, evolve, field, fields, frozen

LEAST_TOKENS = 8
"""Shorter answers are no measure: their rate is that of the first tokens."""

BASELINE_ANSWERS = 5
"""The baseline is the median of so many: one slow start among them does not count."""

PRESENT_ANSWERS = 3
"""The present is the median of so many: one answer that was slow by chance does not count."""

DEGRADED_RATIO = 0.70
"""Degraded below this share of the baseline. The reports were of 13 % to 50 %."""

SLOWER_RATIO = 0.85
"""Slower below this share, and recovered from it on: three times the usual noise of 5 %."""

SLOWER_ANSWERS = 5
"""Answers in a row below SLOWER_RATIO until a model counts as slower."""

DEEPER_RATIO = 1.25
SHALLOW_TOKENS = 2048
"""An answer is compared while its context is not deeper than this, or than DEEPER_RATIO times the
deepest of the baseline: attention takes time in proportion to the depth, llama.cpp's README has
120.6 tokens/s at 0 and 116.7 at 512, so that a long chat would look like a slow model."""

GPU_SHARE_FELL = 0.05
"""Share of the model by which less of it is on the GPU; one layer of 32 is 0.03."""

FREE_SHARE = 0.5
"""When less of the available memory than this is free, the page cache has the larger part. On a
GB10 it was 2.9 of 119.7 GiB (ollama#12490), and 41.5 of 115.7 GiB (unsloth#10704)."""

SWAP_GREW_BYTES = 128 << 20
"""Growth of used swap that is no housekeeping of the kernel, which moves single MiB."""

MOST_BASELINES = 8
"""Settings of one model whose baselines are remembered."""

Verdict = Literal["slower", "degraded"]


class Cause(StrEnum):
    """Suspected causes, by their codes in the table of degradation."""

    PAGE_CACHE = "C1"
    MEMORY_LATE = "C2"
    GPU_LOST = "C3"
    SWAP = "C7"
    ENGINE_CHANGED = "C10"
    UNKNOWN = "unknown"

    @property
    def remedy(self) -> str:
        """What to do about it, as a sentence."""
        return REMEDIES[self]


REMEDIES = {
    Cause.PAGE_CACHE: "unload it, give the page cache back with `sync; echo 3 | sudo tee "
    "/proc/sys/vm/drop_caches`, and load it again; newer engines count the cache as available",
    Cause.MEMORY_LATE: "unload it, wait until its memory is back, and load it again with nothing "
    "else loading at that time",
    Cause.GPU_LOST: "restart the engine, or the container it runs in, and look whether it sees "
    "the GPU",
    Cause.SWAP: "unload other models, or take a smaller model or a shorter context",
    Cause.ENGINE_CHANGED: "go back to the former version, or restart ORAC to take the speed of "
    "this one as the usual",
    Cause.UNKNOWN: "look for other programs on the GPU, for heat and for the power mode, then "
    "load it again",
}


@frozen
class Evidence:
    """What was known while an answer was made; None where it was not.

    Attributes:
        on_gpu_ratio: Share of the model on the GPU, 0 to 1.
        available_bytes: Memory that programs could have, page cache given back.
        free_bytes: Memory that nothing used, not even the page cache.
        swap_free_bytes: Swap that was not used.
        loads_since_start: How often this model had been loaded.
        engine_version: Version of the engine.
        context_tokens: Tokens of the prompt and the answer together.
    """

    on_gpu_ratio: float | None = None
    available_bytes: int | None = None
    free_bytes: int | None = None
    swap_free_bytes: int | None = None
    loads_since_start: int | None = None
    engine_version: str | None = None
    context_tokens: int | None = None


@frozen
class Slowdown:
    """A model answers slower than it used to.

    Attributes:
        verdict: ``degraded``, or ``slower`` where it is not as bad.
        factor: The present rate as a share of the baseline: 0.14 is a seventh.
        baseline_tokens_per_second: Median decode rate of the first answers.
        tokens_per_second: Median decode rate of the last answers.
        cause: What is suspected.
        because: What the suspicion rests on, with the numbers.
    """

    verdict: Verdict
    factor: float
    baseline_tokens_per_second: float
    tokens_per_second: float
    cause: Cause
    because: str

    def __str__(self) -> str:
        return (
            f"{self.verdict}: {self.tokens_per_second:.1f} tokens/s where it had "
            f"{self.baseline_tokens_per_second:.1f} ({self.factor:.0%}); {self.because}; "
            f"{self.cause.remedy}"
        )


@define(eq=False)
class _Track:
    """The answers under one set of settings."""

    first: list[float] = field(factory=list)
    last: deque[float] = field(factory=lambda: deque(maxlen=PRESENT_ANSWERS))
    then: Evidence = Evidence()
    now: Evidence = Evidence()
    deepest: int = 0
    in_a_row: int = 0
    slowdown: Slowdown | None = None

    def add(self, rate: float, evidence: Evidence) -> Slowdown | None:
        """Take an answer; return the slowdown when it became degraded with this one."""
        if len(self.first) < BASELINE_ANSWERS:
            self._learn(rate, evidence)
            return None
        if (evidence.context_tokens or 0) > max(SHALLOW_TOKENS, DEEPER_RATIO * self.deepest):
            return None
        self.last.append(rate)
        self.now = _over(self.now, evidence)
        return self._judge()

    def _learn(self, rate: float, evidence: Evidence) -> None:
        self.first.append(rate)
        self.last.append(rate)
        self.deepest = max(self.deepest, evidence.context_tokens or 0)
        self.then = _over(self.then, evidence)

    def _judge(self) -> Slowdown | None:
        baseline, present = median(self.first), median(self.last)
        ratio = present / baseline
        self.in_a_row = self.in_a_row + 1 if ratio < SLOWER_RATIO else 0
        was, verdict = self.slowdown, self._verdict(ratio)
        if verdict is None:
            self.slowdown = None
            return None
        cause, because = _suspect(self.then, self.now)
        self.slowdown = Slowdown(verdict, ratio, baseline, present, cause, because)
        fresh = verdict == "degraded" and (was is None or was.verdict != "degraded")
        return self.slowdown if fresh else None

    def _verdict(self, ratio: float) -> Verdict | None:
        if ratio >= SLOWER_RATIO:
            return None
        if ratio < DEGRADED_RATIO or (self.slowdown and self.slowdown.verdict == "degraded"):
            return "degraded"
        return "slower" if self.in_a_row >= SLOWER_ANSWERS else None


@define(eq=False)
class Pace:
    """How fast one model answers, and how fast it used to.

    A reload, or another version of the engine, starts no new baseline: these are what makes
    models slow. Other settings that were asked for do, and say so by their *key*.
    """

    _tracks: dict[Hashable, _Track] = field(factory=dict, init=False)
    _latest: _Track = field(factory=_Track, init=False)

    @property
    def slowdown(self) -> Slowdown | None:
        """The slowdown that lasts, with the numbers of the last answer; None when there is none."""
        return self._latest.slowdown

    def add(
        self,
        tokens_per_second: float | None,
        completion_tokens: int | None,
        evidence: Evidence,
        *,
        key: Hashable = None,
    ) -> Slowdown | None:
        """Take an answer; return the slowdown, once, when the model became degraded with it.

        Passed over are answers under LEAST_TOKENS tokens and those without a rate. Answers made
        at the same time slow each other down: leave them out, or put their number into the key.

        Args:
            tokens_per_second: Decode rate by the engine's own clock.
            completion_tokens: Tokens of the answer, as the engine counted them.
            evidence: What was known meanwhile.
            key: Settings asked for at the load; only answers of the same key are compared.
        """
        self._latest = self._track(key)
        if tokens_per_second is None or (completion_tokens or 0) < LEAST_TOKENS:
            return None
        if not (math.isfinite(tokens_per_second) and tokens_per_second > 0):
            return None
        return self._latest.add(tokens_per_second, evidence)

    def _track(self, key: Hashable) -> _Track:
        """Return the track of *key*; the one not used for longest gives way to a new one."""
        track = self._tracks.pop(key, None) or _Track()
        self._tracks[key] = track
        if len(self._tracks) > MOST_BASELINES:
            del self._tracks[next(iter(self._tracks))]
        return track


def _over(older: Evidence, newer: Evidence) -> Evidence:
    """Return *newer*, with what it does not know from *older*."""
    names = [each.name for each in fields(Evidence)]
    lacking = [each for each in names if getattr(newer, each) is None]
    return evolve(newer, **{each: getattr(older, each) for each in lacking})


def _suspect(then: Evidence, now: Evidence) -> tuple[Cause, str]:
    """Return what changed since the baseline, the likeliest to matter first, and its numbers."""
    found = _spilled(then, now) or _updated(then, now) or _swapped(then, now)
    return found or (Cause.UNKNOWN, "nothing that ORAC can see has changed")


def _spilled(then: Evidence, now: Evidence) -> tuple[Cause, str] | None:
    before, after = then.on_gpu_ratio, now.on_gpu_ratio
    if before is None or after is None or before - after < GPU_SHARE_FELL:
        return None
    share = f"{after:.0%} of it is on the GPU, where {before:.0%} was"
    available, free = now.available_bytes, now.free_bytes
    if available is not None and free is not None and free < FREE_SHARE * available:
        return Cause.PAGE_CACHE, (
            f"{share}: of {_gib(available)} available memory only {_gib(free)} is free, and an "
            f"engine may take the page cache of {_gib(available - free)} for used"
        )
    if after == 0:
        return Cause.GPU_LOST, f"{share}: the engine does not use the GPU at all"
    return Cause.MEMORY_LATE, (
        f"{share}: memory of an unloaded model may not have been back when it was loaded"
        f"{_loads(then, now)}"
    )


def _loads(then: Evidence, now: Evidence) -> str:
    if then.loads_since_start is None or now.loads_since_start is None:
        return ""
    return f" (loaded {now.loads_since_start - then.loads_since_start} times since)"


def _updated(then: Evidence, now: Evidence) -> tuple[Cause, str] | None:
    before, after = then.engine_version, now.engine_version
    if before is None or after is None or before == after:
        return None
    return Cause.ENGINE_CHANGED, f"the engine is {after}, where it was {before}"


def _swapped(then: Evidence, now: Evidence) -> tuple[Cause, str] | None:
    before, after = then.swap_free_bytes, now.swap_free_bytes
    if before is None or after is None or before - after < SWAP_GREW_BYTES:
        return None
    return Cause.SWAP, f"{_gib(before - after)} more went to swap"


def _gib(size: int) -> str:
    return f"{size / (1 << 30):.1f} GiB"
