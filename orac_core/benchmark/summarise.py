"""What samples come to: the figures of each model and workload, and the order of models (pure)."""

from collections.abc import Callable, Iterable, Sequence
from itertools import chain

from ..pace import DEGRADED_RATIO, SLOWER_RATIO
from ..statistics import Summary, percentile, summary
from .request import NO_GOALS, Goals
from .results import Energy, EnergyUse, Measured, Result, Sample, Verdict, Workload

Use = Callable[[Sequence[tuple[Energy, int, int]]], EnergyUse | None]
"""Returns what energies come to, each with the tokens read and written for it."""


def measured(
    workload: Workload, samples: Sequence[Sample], goals: Goals = NO_GOALS, use: Use | None = None
) -> Measured:
    """Return what the *samples* of one model come to; those of other workloads are left out.

    So are those of warming up. Requests without an answer count as failures only.
    """
    mine = [it for it in samples if it.workload == workload.name and it.round > 0]
    good = [it for it in mine if it.error is None]
    busy_s = covered_s([(it.started_at, it.started_at + it.elapsed_s) for it in mine])
    return Measured(
        workload,
        n=len(good),
        failures=len(mine) - len(good),
        latency_s=summary([it.elapsed_s for it in good]),
        ttft_s=_of(it.ttft_s for it in good),
        tpot_s=_of(it.tpot_s for it in good),
        gaps_s=summary(list(chain.from_iterable(it.gaps_s for it in good))),
        prefill_tokens_per_second=_of(it.prefill_tokens_per_second for it in good),
        decode_tokens_per_second=_of(it.decode_tokens_per_second for it in good),
        client_tokens_per_second=_of(1 / it.tpot_s if it.tpot_s else None for it in good),
        throughput_tokens_per_second=_per(_whole(it.completion_tokens for it in good), busy_s),
        goodput_per_second=_per(kept(good, goals), busy_s) if goals.given else None,
        prompt_tokens=_median(it.prompt_tokens for it in good),
        completion_tokens=_median(it.completion_tokens for it in good),
        energy=_energy(good, use),
    )


def covered_s(spans: Iterable[tuple[float, float]]) -> float:
    """Return for how long at least one of *spans* was going on."""
    total, reached = 0.0, float("-inf")
    for start, end in sorted(spans):
        total += max(0.0, end - max(start, reached))
        reached = max(reached, end)
    return total


def kept(samples: Iterable[Sample], goals: Goals) -> int:
    """Return how many answers keep all *goals*; what was not measured keeps none."""
    return sum(
        _within(it.ttft_s, goals.ttft_s)
        and _within(it.tpot_s, goals.tpot_s)
        and _within(it.elapsed_s, goals.latency_s)
        for it in samples
    )


def rate(sample: Sample) -> float | None:
    """Return the decode rate of one answer, by the engine; by the client where it says none."""
    if sample.decode_tokens_per_second is not None:
        return sample.decode_tokens_per_second
    return 1 / sample.tpot_s if sample.tpot_s else None


def rates(samples: Iterable[Sample]) -> list[float]:
    """Return the decode rates of all answers that have one."""
    return [found for it in samples if it.error is None and (found := rate(it)) is not None]


def ranked(results: Iterable[Result]) -> tuple[Result, ...]:
    """Return *results* by the median latency of their headlines, those that failed last."""
    return tuple(sorted(results, key=_place))


def _place(result: Result) -> tuple[int, float]:
    headline = result.headline
    latency = headline.latency_s if headline else None
    if result.error is not None:
        return 2, 0.0
    return (1, 0.0) if latency is None else (0, latency.p50)


def _of(values: Iterable[float | None]) -> Summary | None:
    return summary([value for value in values if value is not None])


def _median(values: Iterable[int | None]) -> float | None:
    known = sorted(value for value in values if value is not None)
    return percentile(known, 50) if known else None


def _whole(counts: Iterable[int | None]) -> int | None:
    known = list(counts)
    return None if not known or None in known else sum(it or 0 for it in known)


def _per(count: int | None, seconds: float) -> float | None:
    return None if count is None or seconds <= 0 else count / seconds


def _within(value: float | None, goal: float | None) -> bool:
    return goal is None or (value is not None and value <= goal)


def _energy(good: Sequence[Sample], use: Use | None) -> EnergyUse | None:
    spent = [
        (it.energy, it.prompt_tokens or 0, it.completion_tokens or 0)
        for it in good
        if it.energy is not None
    ]
    return use(spent) if use and spent else None


def verdict(ratio: float) -> Verdict:
    """Return what a decode rate at that share of the baseline is called."""
    if ratio < DEGRADED_RATIO:
        return "degraded"
    return "slower" if ratio < SLOWER_RATIO else "ok"
