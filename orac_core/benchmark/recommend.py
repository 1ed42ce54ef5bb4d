"""Which models are worth choosing: those that no other beats in everything (pure).

A model is dominated by one that has the better value or the same in every dimension, intervals
included, and in one of them so much better that the intervals do not overlap. What is left is the
front of Pareto. Only models of which the same dimensions are known can dominate each other:
what was not measured may be better or worse, and is not guessed.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal

from attrs import field, frozen

from ..statistics import Summary, summary
from .results import Measured, Report, Result
from .samples import counted, j_per_token

Dimension = Literal[
    "decode_tokens_per_second", "ttft_s", "quality_score", "gross_j_per_token", "memory_bytes"
]

HIGHER_IS_BETTER: frozenset[Dimension] = frozenset({"decode_tokens_per_second", "quality_score"})

SILENT: frozenset[Dimension] = frozenset({"memory_bytes"})
"""What is known of a model that was loaded and has answered nothing."""

MEMORY_SPREAD = 0.01
"""What an engine takes differs by so much from load to load, and counts as the same."""

_NO_MACHINE = {"orac", "python"}
"""What a fingerprint tells beside the machine: an update of ORAC makes no model faster."""


@frozen
class Score:
    """One value of a model.

    Attributes:
        value: The median, or the only value there is.
        ci95: Interval of it; None where its spread is not known.
        report: Id of the report that it is from.
    """

    value: float
    ci95: tuple[float, float] | None
    report: str


@frozen
class Candidate:
    """A model that could be chosen.

    Attributes:
        model: ``instance/model``.
        roles: Roles and aliases that stand for it.
        scores: What is known of it.
    """

    model: str
    roles: tuple[str, ...] = ()
    scores: Mapping[Dimension, Score] = field(factory=dict)


@frozen
class Dominated:
    """A model that nobody should pick.

    Attributes:
        candidate: The model.
        by: Models of the front that are better.
    """

    candidate: Candidate
    by: tuple[str, ...]


@frozen
class Front:
    """A choice between models.

    Attributes:
        candidates: Those worth choosing, the fastest first.
        dominated: Those that nobody should pick.
    """

    candidates: tuple[Candidate, ...] = ()
    dominated: tuple[Dominated, ...] = ()


@frozen
class Recommendation:
    """What to choose.

    Attributes:
        overall: The front of all models.
        roles: The front of the models that stand for each role.
        workload: Of which the speed and the energy are; None when there is none.
        tasks: Of which the quality is.
        notes: What was not measured, or failed, one sentence each.
    """

    overall: Front
    roles: Mapping[str, Front]
    workload: str | None = None
    tasks: str | None = None
    notes: tuple[str, ...] = ()


def recommend(reports: Iterable[Report]) -> Recommendation:
    """Return what to choose by these reports, whatever their order.

    Of each model the newest value counts, of its present file, on the newest report's machine,
    with the newest report's workload and tasks. A model that has answered nothing is no choice.
    """
    newest = sorted(reports, key=lambda one: (one.started_at, one.id), reverse=True)
    usable = [one for one in newest if _machine(one) == _machine(newest[0])]
    rows = [(report, result) for report in usable for result in report.results]
    workload = _first(_workload(result) for _, result in rows)
    tasks = _first(result.quality.tasks for _, result in rows if result.quality)
    candidates = [one for one in _candidates(rows, workload, tasks) if one.scores.keys() - SILENT]
    notes = (
        *_other_machines(len(newest) - len(usable)),
        *_failed(rows),
        *_missing(candidates),
    )
    roles = sorted({role for one in candidates for role in one.roles})
    fronts = {role: front([one for one in candidates if role in one.roles]) for role in roles}
    return Recommendation(front(candidates), fronts, workload, tasks, notes)


def front(candidates: Sequence[Candidate]) -> Front:
    """Return which of *candidates* are worth choosing."""
    ordered = sorted(candidates, key=_fastest_first)
    best = [one for one in ordered if not any(dominates(other, one) for other in ordered)]
    dominated = [
        Dominated(one, tuple(other.model for other in best if dominates(other, one)))
        for one in ordered
        if one not in best
    ]
    return Front(tuple(best), tuple(dominated))


def dominates(one: Candidate, other: Candidate) -> bool:
    """Whether *one* is nowhere worse than *other* and somewhere better beyond doubt.

    This is a strict partial order: what dominates a dominating model dominates what that does. So
    whoever is dominated is dominated by a model of the front.
    """
    if not one.scores or one.scores.keys() != other.scores.keys():
        return False
    ranges = [
        (_goodness(name, score), _goodness(name, other.scores[name]))
        for name, score in one.scores.items()
    ]
    nowhere_worse = all(a >= b for mine, its in ranges for a, b in zip(mine, its, strict=True))
    return nowhere_worse and any(mine[0] > its[2] for mine, its in ranges)


def _goodness(name: Dimension, score: Score) -> tuple[float, float, float]:
    """Return lower end, value and upper end of a score, as a number that is better when higher."""
    low, high = score.ci95 or (-math.inf, math.inf)
    if name in HIGHER_IS_BETTER:
        return low, score.value, high
    return -high, -score.value, -low


def _fastest_first(candidate: Candidate) -> tuple[float, str]:
    rate = candidate.scores.get("decode_tokens_per_second")
    return -rate.value if rate else math.inf, candidate.model


def _candidates(
    rows: Sequence[tuple[Report, Result]], workload: str | None, tasks: str | None
) -> Iterator[Candidate]:
    """Yield each model with the newest score of each dimension; *rows* have the newest first."""
    for model in dict.fromkeys(result.subject.model for _, result in rows):
        mine = [row for row in rows if row[1].subject.model == model]
        subject = mine[0][1].subject
        present = [
            row
            for row in mine
            if (row[1].subject.kind, row[1].subject.sha256) == (subject.kind, subject.sha256)
        ]
        yield Candidate(model, subject.roles, _scores(present, workload, tasks))


def _scores(
    rows: Sequence[tuple[Report, Result]], workload: str | None, tasks: str | None
) -> dict[Dimension, Score]:
    found: dict[Dimension, Score] = {}
    for report, result in rows:
        for name, value, ci95 in _of_result(report, result, workload, tasks):
            if math.isfinite(value):
                found.setdefault(name, Score(value, ci95, report.id))
    return found


_Row = tuple[Dimension, float, tuple[float, float] | None]


def _of_result(
    report: Report, result: Result, workload: str | None, tasks: str | None
) -> Iterator[_Row]:
    for measured in result.measured:
        if measured.workload.name == workload:
            yield from _of_workload(measured)
            yield from _of_energy(report, result.subject.model, measured)
    if result.quality and result.quality.tasks == tasks:
        yield "quality_score", result.quality.score, result.quality.ci95
    if (used := result.memory.bytes) is not None:
        spread = used * MEMORY_SPREAD
        yield "memory_bytes", float(used), (used - spread, used + spread)


_SUMMARIES: tuple[tuple[Dimension, Callable[[Measured], Summary | None]], ...] = (
    ("decode_tokens_per_second", lambda measured: measured.decode_tokens_per_second),
    ("ttft_s", lambda measured: measured.ttft_s),
)


def _of_workload(measured: Measured) -> Iterator[_Row]:
    for name, figure in _SUMMARIES:
        if (found := figure(measured)) is not None:
            yield name, found.p50, found.ci95


def _of_energy(report: Report, model: str, measured: Measured) -> Iterator[_Row]:
    """Yield the energy by its samples or, where they were not kept, by what they came to."""
    each = map(j_per_token, counted(report, model, measured.workload.name))
    if (found := summary([one for one in each if one is not None])) is not None:
        yield "gross_j_per_token", found.p50, found.ci95
    elif measured.energy is not None:
        yield "gross_j_per_token", measured.energy.gross_j_per_token, None


def _machine(report: Report) -> dict[str, Any]:
    return {name: value for name, value in report.host.items() if name not in _NO_MACHINE}


def _workload(result: Result) -> str | None:
    return result.headline.workload.name if result.headline else None


def _first(names: Iterable[str | None]) -> str | None:
    return next((name for name in names if name), None)


def _failed(rows: Sequence[tuple[Report, Result]]) -> Iterator[str]:
    newest = {result.subject.model: result for _, result in reversed(rows)}
    for model, result in newest.items():
        if result.error:
            yield f"{model} could not be measured: {result.error}"


def _other_machines(count: int) -> Iterator[str]:
    if count:
        yield f"older reports of another machine or power mode are left out: {count}"


def _missing(candidates: Sequence[Candidate]) -> Iterator[str]:
    for name in Dimension.__args__:  # type: ignore[attr-defined] # its values
        lacking = [one.model for one in candidates if name not in one.scores]
        if lacking and len(lacking) == len(candidates):
            yield f"{name} was not measured"
        elif lacking:
            yield f"{name} was not measured for {', '.join(lacking)}"
