"""What changed from one benchmark to another, and whether chance alone does that (pure)."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Literal

from attrs import frozen

from ..statistics import Summary, distinguishable, summary
from .conditions import Difference, differences
from .results import Measured, Quality, Report, Result, Sample
from .samples import counted, j_per_token
from .significance import ALPHA, least_p, mann_whitney

Verdict = Literal["better", "worse", "same", "unknown"]
Better = Literal["higher", "lower"]


@frozen
class Value:
    """One side of a comparison.

    Attributes:
        median: Or the only value there is.
        n: Samples behind it.
        ci95: Interval of it; None where its spread is not known.
    """

    median: float
    n: int
    ci95: tuple[float, float] | None = None


@frozen
class Change:
    """What became of one figure.

    Attributes:
        metric: Name, with its unit: ``ttft_s`` …
        better: Which way is better.
        old: Before; None where it was not measured.
        new: After.
        ratio: New over old, less 1: 0.1 is 10 % more; None where that says nothing.
        p: How often chance alone does at least that; None without samples.
        verdict: ``same`` is not distinguishable; ``unknown`` is too little to tell.
    """

    metric: str
    better: Better
    old: Value | None
    new: Value | None
    ratio: float | None
    p: float | None
    verdict: Verdict


@frozen
class Pair:
    """One model in both reports, with one workload.

    Attributes:
        old: Its name before.
        new: Its name after.
        workload: Name of the workload; empty for what does not depend on one.
        changes: One for each figure that one of the sides has.
    """

    old: str
    new: str
    workload: str
    changes: tuple[Change, ...]


@frozen
class Comparison:
    """Two reports, side by side.

    Attributes:
        old: Id of the first.
        new: Id of the second.
        pairs: In the order of the second.
        only_old: Models that only the first has.
        only_new: Models that only the second has.
        differences: Conditions that were not the same.
        alpha: A p below it is taken for a difference.
    """

    old: str
    new: str
    pairs: tuple[Pair, ...] = ()
    only_old: tuple[str, ...] = ()
    only_new: tuple[str, ...] = ()
    differences: tuple[Difference, ...] = ()
    alpha: float = ALPHA


@frozen
class _Metric:
    name: str
    better: Better
    of_sample: Callable[[Sample], float | None]
    of_measured: Callable[[Measured], Summary | None]


_METRICS = (
    _Metric("latency_s", "lower", lambda one: one.elapsed_s, lambda all_: all_.latency_s),
    _Metric("ttft_s", "lower", lambda one: one.ttft_s, lambda all_: all_.ttft_s),
    _Metric("tpot_s", "lower", lambda one: one.tpot_s, lambda all_: all_.tpot_s),
    _Metric(
        "prefill_tokens_per_second",
        "higher",
        lambda one: one.prefill_tokens_per_second,
        lambda all_: all_.prefill_tokens_per_second,
    ),
    _Metric(
        "decode_tokens_per_second",
        "higher",
        lambda one: one.decode_tokens_per_second,
        lambda all_: all_.decode_tokens_per_second,
    ),
    _Metric("gross_j_per_token", "lower", j_per_token, lambda _: None),
)


def compare(old: Report, new: Report) -> Comparison:
    """Return what changed from *old* to *new*.

    Models are matched by the checksum of their file and by name, then by checksum, then by name.
    """
    matched = _matched(old.results, new.results)
    taken = {id(before) for before, _ in matched}
    return Comparison(
        old.id,
        new.id,
        tuple(pair for both in matched for pair in _pairs(old, new, *both)),
        tuple(one.subject.model for one in old.results if id(one) not in taken),
        tuple(
            one.subject.model
            for one in new.results
            if all(one is not after for _, after in matched)
        ),
        tuple(differences(old, new, matched)),
    )


def changed(metric: str, better: Better, old: Sequence[float], new: Sequence[float]) -> Change:
    """Return what became of one figure, by its samples."""
    p = mann_whitney(old, new)
    enough = p is not None and least_p(len(old), len(new)) < ALPHA
    sides = _value(summary(old)), _value(summary(new))
    return _change(
        metric, better, *sides, p=p, differ=p < ALPHA if p is not None and enough else None
    )


def _change(  # noqa: PLR0913 - a value's parts
    metric: str,
    better: Better,
    old: Value | None,
    new: Value | None,
    *,
    differ: bool | None,
    p: float | None = None,
) -> Change:
    """Return a change of which it is known whether it is more than chance."""
    if old is None or new is None:
        return Change(metric, better, old, new, None, p, "unknown")
    ratio = new.median / old.median - 1 if old.median > 0 else None
    return Change(metric, better, old, new, ratio, p, _verdict(better, old, new, differ=differ))


def _verdict(better: Better, old: Value, new: Value, *, differ: bool | None) -> Verdict:
    if differ is None:
        return "unknown"
    if not differ or old.median == new.median:
        return "same"
    return "better" if (new.median > old.median) is (better == "higher") else "worse"


def _value(found: Summary | None) -> Value | None:
    return None if found is None else Value(found.p50, found.n, found.ci95)


def _matched(old: Sequence[Result], new: Sequence[Result]) -> list[tuple[Result, Result]]:
    """Return which result before is which after, in the order of *new*."""
    keys: tuple[Callable[[Result], Any], ...] = (
        lambda one: one.subject.sha256 and (one.subject.sha256, one.subject.model),
        lambda one: one.subject.sha256,
        lambda one: one.subject.model,
    )
    found: dict[int, tuple[Result, Result]] = {}
    for key in keys:
        taken = {id(before) for before, _ in found.values()}
        free = {key(one): one for one in reversed(old) if key(one) and id(one) not in taken}
        for place, after in enumerate(new):
            if place not in found and (before := free.pop(key(after), None)) is not None:
                found[place] = before, after
    return [found[place] for place in sorted(found)]


def _pairs(old: Report, new: Report, before: Result, after: Result) -> Iterator[Pair]:
    names = before.subject.model, after.subject.model
    earlier = {one.workload.name: one for one in before.measured}
    for one in after.measured:
        if (name := one.workload.name) in earlier:
            yield Pair(*names, name, tuple(_figures(old, new, names, earlier[name], one)))
    if whole := tuple(_whole(before, after)):
        yield Pair(*names, "", whole)


def _figures(
    old: Report, new: Report, names: tuple[str, str], earlier: Measured, later: Measured
) -> Iterator[Change]:
    """Yield what became of the figures of one workload."""
    before = counted(old, names[0], earlier.workload.name)
    after = counted(new, names[1], later.workload.name)
    for metric in _METRICS:
        one, other = _known(map(metric.of_sample, before)), _known(map(metric.of_sample, after))
        if one and other:
            yield changed(metric.name, metric.better, one, other)
            continue
        sides = _side(metric, one, earlier), _side(metric, other, later)
        if sides != (None, None):
            yield _by_interval(metric.name, metric.better, *sides)


def _known(values: Iterable[float | None]) -> list[float]:
    return [value for value in values if value is not None]


def _side(metric: _Metric, values: Sequence[float], whole: Measured) -> Value | None:
    """Return one side from its samples or, where they were not kept, from what they came to."""
    return _value(summary(values) or metric.of_measured(whole))


def _by_interval(metric: str, better: Better, old: Value | None, new: Value | None) -> Change:
    differ = distinguishable(old.ci95 if old else None, new.ci95 if new else None)
    return _change(metric, better, old, new, differ=differ)


def _whole(before: Result, after: Result) -> Iterator[Change]:
    """Yield what became of the figures that do not depend on a workload."""
    loads = [[one.seconds for one in result.loads] for result in (before, after)]
    if any(loads):
        yield changed("load_s", "lower", *loads)
    if before.quality or after.quality:
        sides = _score(before.quality), _score(after.quality)
        yield _by_interval("quality_score", "higher", *sides)
    memory = before.memory.bytes, after.memory.bytes
    if any(one is not None for one in memory):
        old, new = (None if one is None else Value(one, 1) for one in memory)
        yield _by_interval("memory_bytes", "lower", old, new)


def _score(quality: Quality | None) -> Value | None:
    if quality is None:
        return None
    return Value(
        quality.score, max((rate.n for rate in quality.parts.values()), default=0), quality.ci95
    )
