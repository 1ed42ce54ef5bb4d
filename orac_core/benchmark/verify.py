"""Whether the results of a run can be trusted, check by check (pure)."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from statistics import fmean, median, stdev

from attrs import field, frozen

from ..devices import Machine
from ..statistics import distinguishable, interval_of_median
from . import canaries
from .results import Check, Sample, Verification, Workload
from .summarise import rates

DRIFT_RATIO = 0.05
"""Canaries whose medians differ by less are taken for the same, however narrow their intervals."""

SPREAD_RATIO = 0.10
"""The standard deviation of the decode rate may be this share of its mean."""

CACHED_RATIO = 0.10
CACHED_TOKENS = 32
"""Tokens of a prompt that may be cached: a chat template begins with the same ones each time."""

DEPTH_RATIO = 0.8
"""Share of the depth that has to be in the cache."""

SWAP_BYTES = 16 << 20
"""Moved to or from swap meanwhile; single MiB are housekeeping of the kernel."""

LEAST_ROUNDS = 5

SIDES: tuple[canaries.Side, canaries.Side] = ("before", "after")


@frozen
class Evidence:
    """What is known of one model.

    Attributes:
        model: ``instance/model``.
        workloads: What it was asked.
        samples: All its requests.
        settled: Whether it was warm, by workload; None where that is unknown.
    """

    model: str
    workloads: Sequence[Workload]
    samples: Sequence[Sample]
    settled: Mapping[str, bool | None] = field(factory=dict)

    @property
    def measured(self) -> list[Sample]:
        """The answers that count."""
        names = {it.name for it in self.workloads}
        good = [it for it in self.samples if it.round > 0 and it.error is None]
        return [it for it in good if it.workload in names]

    def canaries(self, side: canaries.Side) -> list[float]:
        """Return the decode rates of the canaries of that side."""
        return rates(canaries.of(self.samples, side))

    def of(self, workload: Workload) -> list[Sample]:
        """Return the answers to one workload."""
        return [it for it in self.measured if it.workload == workload.name]


def verification(found: Sequence[Evidence], looks: Sequence[Machine]) -> Verification:
    """Return whether what was *found* can be trusted; *looks* are of the machine meanwhile."""
    checks = (
        _drift(found),
        _warm(found),
        _spread(found),
        _uncached(found),
        _alone(found),
        _throttling(looks),
        _swap(looks),
        _counted(found),
        _length(found),
        _answered(found),
        _enough(found),
    )
    failed = [it for it in checks if it.passed is False]
    unknown = [it for it in checks if it.passed is None]
    untold = f"; {len(unknown)} of {len(checks)} checks could not be made" if unknown else ""
    verdict = (
        "do not trust these results: " + "; ".join(f"{it.name}: {it.text}" for it in failed)
        if failed
        else f"nothing speaks against these results{untold}"
    )
    before, after = (_medians(found, side) for side in SIDES)
    return Verification(not failed, verdict, checks, before, after)


def _check(name: str, known: object, faults: Iterable[str], good: str, unknown: str) -> Check:
    """Return a check that failed by its *faults*, and else passed when it could be made."""
    if told := "; ".join(faults):
        return Check(name, passed=False, text=told)
    return Check(name, passed=True if known else None, text=good if known else unknown)


def _drift(found: Sequence[Evidence]) -> Check:
    pairs = [(it.model, it.canaries("before"), it.canaries("after")) for it in found]
    faults = [
        f"{model} wrote {median(before):.1f} tokens/s before and {median(after):.1f} after"
        for model, before, after in pairs
        if before and after and _drifted(before, after)
    ]
    known = pairs and all(before and after for _, before, after in pairs)
    good = f"the medians before and after differ by under {DRIFT_RATIO:.0%}, or not surely"
    return _check("same speed before and after", known, faults, good, "canaries are missing")


def _drifted(before: Sequence[float], after: Sequence[float]) -> bool:
    moved = abs(median(after) / median(before) - 1) > DRIFT_RATIO
    intervals = (interval_of_median(sorted(side)) for side in (before, after))
    return moved and distinguishable(*intervals) is True


def _warm(found: Sequence[Evidence]) -> Check:
    flat = [(f"{it.model} with {name}", was) for it in found for name, was in it.settled.items()]
    faults = [f"{where} was still changing" for where, was in flat if was is False]
    known = bool(flat) and all(was is not None for _, was in flat)
    good = "two rates in a row agreed before measuring began"
    return _check("warm", known, faults, good, "no rates while warming up")


def _spread(found: Sequence[Evidence]) -> Check:
    spreads = [
        (f"{it.model} with {workload.name}", _variation(rates(it.of(workload))))
        for it in found
        for workload in it.workloads
    ]
    faults = [
        f"{where} varies by {spread:.0%} of its mean"
        for where, spread in spreads
        if spread is not None and spread > SPREAD_RATIO
    ]
    known = bool(spreads) and all(spread is not None for _, spread in spreads)
    most = max((spread for _, spread in spreads if spread is not None), default=0.0)
    good = f"the decode rate varies by at most {most:.1%} of its mean"
    return _check("steady", known, faults, good, "too few decode rates")


def _variation(found: Sequence[float]) -> float | None:
    return stdev(found) / fmean(found) if len(found) > 1 else None


def _uncached(found: Sequence[Evidence]) -> Check:
    pairs = [
        (workload, it) for each in found for workload in each.workloads for it in each.of(workload)
    ]
    told = [pair for pair in pairs if pair[1].cached_tokens is not None]
    bad = [sample for workload, sample in told if not _as_meant(workload, sample)]
    faults = [
        f"{model}: {count} prompts had other tokens in the cache than meant"
        for model, count in _counts(bad)
    ]
    known = bool(pairs) and len(told) == len(pairs)
    good = "the engine read every prompt anew"
    return _check("prompts not cached", known, faults, good, "the engine does not say what it had")


def _as_meant(workload: Workload, sample: Sample) -> bool:
    cached = sample.cached_tokens or 0
    fresh = (sample.prompt_tokens or 0) - workload.depth
    spare = max(CACHED_TOKENS, CACHED_RATIO * fresh, (1 - DEPTH_RATIO) * workload.depth)
    return DEPTH_RATIO * workload.depth <= cached <= workload.depth + spare


def _alone(found: Sequence[Evidence]) -> Check:
    counts = _counts(it for each in found for it in each.measured if it.disturbed)
    faults = [f"{count} answers of {model} were not made alone" for model, count in counts]
    good = "no other answers at the same time"
    return _check("alone", _any(found), faults, good, "no answers")


def _throttling(looks: Sequence[Machine]) -> Check:
    said = [it.device.throttling for it in looks if it.device is not None]
    told = [it for it in said if it is not None]
    count = sum(told)
    faults = [f"clocks were lowered in {count} of {len(told)} looks"] if count else []
    good = f"not in any of {len(told)} looks"
    return _check("no throttling", bool(told), faults, good, "the machine does not say")


def _swap(looks: Sequence[Machine]) -> Check:
    totals = [
        memory.swapped_in_bytes + memory.swapped_out_bytes
        for memory in (it.memory for it in looks)
        if memory.swapped_in_bytes is not None and memory.swapped_out_bytes is not None
    ]
    moved = max(totals, default=0) - min(totals, default=0)
    faults = [f"{moved / (1 << 20):.0f} MiB were swapped"] if moved > SWAP_BYTES else []
    known = len(totals) > 1
    return _check("no swapping", known, faults, "nothing was swapped", "the machine does not say")


def _counted(found: Sequence[Evidence]) -> Check:
    lacking = [
        it
        for each in found
        for it in each.measured
        if it.completion_tokens is None or it.prompt_tokens is None
    ]
    faults = [f"{count} answers of {model} without" for model, count in _counts(lacking)]
    good = "all counts are the engine's own"
    return _check("tokens counted by the engine", _any(found), faults, good, "no answers")


def _length(found: Sequence[Evidence]) -> Check:
    fixed = [
        (workload, it)
        for each in found
        for workload in each.workloads
        if workload.prompt_tokens is not None
        for it in each.of(workload)
    ]
    short = [it for workload, it in fixed if not _whole(workload, it)]
    faults = [f"{count} answers of {model} ended early" for model, count in _counts(short)]
    good = "every answer has the length that was asked for"
    return _check("same length", bool(fixed), faults, good, "no answers of a fixed length")


def _whole(workload: Workload, sample: Sample) -> bool:
    enough = (sample.completion_tokens or 0) >= workload.completion_tokens
    return sample.finish_reason == "length" and enough


def _answered(found: Sequence[Evidence]) -> Check:
    failed = _counts(it for each in found for it in each.samples if it.error is not None)
    faults = [f"{count} requests of {model} had no answer" for model, count in failed]
    known = any(each.samples for each in found)
    return _check("all answered", known, faults, "every request had its answer", "no requests")


def _enough(found: Sequence[Evidence]) -> Check:
    counts = [
        (f"{it.model} with {workload.name}", len(it.of(workload)))
        for it in found
        for workload in it.workloads
    ]
    faults = [f"{where}: {n}, at least {LEAST_ROUNDS}" for where, n in counts if n < LEAST_ROUNDS]
    good = f"at least {min((n for _, n in counts), default=0)} of each"
    return _check("enough answers", bool(counts), faults, good, "nothing was measured")


def _any(found: Sequence[Evidence]) -> bool:
    return any(it.measured for it in found)


def _counts(samples: Iterable[Sample]) -> Iterator[tuple[str, int]]:
    models = [it.model for it in samples]
    return ((model, models.count(model)) for model in dict.fromkeys(models))


def _medians(found: Sequence[Evidence], side: canaries.Side) -> dict[str, float]:
    pairs = ((it.model, it.canaries(side)) for it in found)
    return {model: median(known) for model, known in pairs if known}
