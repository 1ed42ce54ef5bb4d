"""The tables of a report that people read, as text."""

from collections.abc import Iterator, Mapping

from attrs import frozen

from ...statistics import Summary, summary
from ..compare import Change, Comparison, Pair, Value
from ..recommend import recommend
from ..results import Measured, Report, Result, Workload
from .figures import UNKNOWN, count, mean, median, number, percent, ranged, size
from .wire import metric

LEAST_SHOWN = 0.001
"""Of p."""


@frozen
class Table:
    """Text in rows and columns.

    Attributes:
        heads: Names of the columns.
        rows: Their cells.
        numbers: The columns that hold numbers.
    """

    heads: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    numbers: range


def speeds(report: Report) -> Table:
    """Return a row for each test, as ``llama-bench`` has them: mean ± standard deviation."""
    rows = tuple(row for result in report.results for row in _tests(result))
    return Table(("model", "size", "params", "backend", "test", "t/s"), rows, range(5, 6))


def side_by_side(report: Report) -> Table:
    """Return a row for each model: speed, quality, energy and memory, and who beats it."""
    by = {one.candidate.model: ", ".join(one.by) for one in recommend([report]).overall.dominated}
    heads = (
        *("model", "decode t/s", "TTFT ms", "latency ms", "quality", "J/token", "memory", "load s"),
        "beaten by",
    )
    return Table(heads, tuple(_row(result, by) for result in report.results), range(1, 8))


def changes(found: Comparison) -> Table:
    """Return a row for each figure of two reports; ``~`` is not distinguishable."""
    rows = tuple(_changed(pair, change) for pair in found.pairs for change in pair.changes)
    return Table(
        ("model", "workload", "figure", "old", "new", "change", "p", "n"), rows, range(3, 8)
    )


def _tests(result: Result) -> Iterator[tuple[str, ...]]:
    subject = result.subject
    about = (subject.model, size(subject.size_bytes), count(subject.parameters), subject.kind)
    for measured in result.measured:
        for test, found in _parts(measured):
            yield *about, test, mean(found)
    if not result.measured:
        yield *about, UNKNOWN, UNKNOWN


def _parts(measured: Measured) -> Iterator[tuple[str, Summary | None]]:
    """Yield what was read and what was written, each by its name in ``llama-bench``."""
    workload = measured.workload
    read = f"pp{workload.prompt_tokens}" if workload.prompt_tokens else f"{workload.name} prefill"
    written = f"tg{workload.completion_tokens}"
    written = written if workload.prompt_tokens else f"{workload.name} {written}"
    yield f"{read}{_conditions(workload)}", measured.prefill_tokens_per_second
    yield f"{written}{_conditions(workload)}", measured.decode_tokens_per_second


def _conditions(workload: Workload) -> str:
    depth = f" @ d{workload.depth}" if workload.depth else ""
    return depth + (f" c{workload.concurrency}" if workload.concurrency > 1 else "")


def _row(result: Result, beaten: Mapping[str, str]) -> tuple[str, ...]:
    head, quality, model = result.headline, result.quality, result.subject.model
    loads = summary([load.seconds for load in result.loads])
    return (
        model,
        median(head.decode_tokens_per_second if head else None),
        median(head.ttft_s if head else None, 1000),
        median(head.latency_s if head else None, 1000),
        ranged(quality.score, quality.ci95) if quality else UNKNOWN,
        number(head.energy.gross_j_per_token if head and head.energy else None),
        size(result.memory.bytes),
        number(loads.p50 if loads else None),
        f"failed: {result.error}" if result.error else beaten.get(model, ""),
    )


def _changed(pair: Pair, change: Change) -> tuple[str, ...]:
    name, times = metric(change.metric)
    model = pair.new if pair.old == pair.new else f"{pair.old} → {pair.new}"
    counts = "+".join(str(side.n) if side else "0" for side in (change.old, change.new))
    sides = (_side(change.metric, side, times) for side in (change.old, change.new))
    return (
        *(model, pair.workload, name, *sides, _delta(change)),
        _chance(change.p),
        counts,
    )


def _chance(p: float | None) -> str:
    if p is None:
        return UNKNOWN
    return f"{p:.3f}" if p >= LEAST_SHOWN else f"<{LEAST_SHOWN}"


def _side(name: str, value: Value | None, times: float) -> str:
    if value is None:
        return UNKNOWN
    if name == "memory_bytes":
        return size(value.median)
    return ranged(value.median, value.ci95, times)


def _delta(change: Change) -> str:
    if change.verdict == "same":
        return "~"
    told = percent(change.ratio)
    if change.verdict == "unknown":
        return told if change.old is None or change.new is None else f"{told} (too few to tell)"
    return f"{told} ({change.verdict})"
