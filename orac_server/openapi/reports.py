"""Answers about benchmarks: a report, a listing, a comparison, a recommendation."""

from typing import Annotated, Literal

from attrs import frozen

from orac_core.benchmark.compare import Better
from orac_core.benchmark.compare import Verdict as ChangeVerdict
from orac_core.benchmark.conditions import Difference
from orac_core.benchmark.results import Suite

from .kinds import SOMETIMES, Interval, Moment, Plain
from .measured import MachineSampled, ModelResult, RequestMeasured, Trust


@frozen
class BenchmarkReport:
    """One run of a benchmark.

    Attributes:
        schema_version: Of this form.
        id: Sorts by time.
        started_at: When.
        elapsed_ms: How long it took.
        suite: What was run.
        order: `interleaved` when the models took turns, `blocks` when they did not fit together.
        ended: `completed`, `cancelled`, or why it ended before its time.
        host: Fingerprint of the machine.
        options: What was asked for.
        results: By median latency, failures last.
        verification: Null when it was not asked for.
        soak: What a soak came to; null for other suites.
        samples: All requests; null when they were not asked for.
        devices: Samples of the machine meanwhile.
    """

    schema_version: int
    id: str
    started_at: Moment | None
    elapsed_ms: float
    suite: Suite
    order: Literal["interleaved", "blocks"]
    ended: str
    host: Plain
    options: Plain
    results: list[ModelResult]
    verification: Trust | None
    soak: Plain | None
    samples: list[RequestMeasured] | None
    devices: list[MachineSampled]


@frozen
class BenchmarkStage:
    """How far a run is.

    Attributes:
        id: Of the run.
        stage: What is being done: `load`, `warm-up`, `round`, `quality` …
        model: Which model it is about; empty for all.
        completed: Steps that are done.
        total: All steps; null while that is not known.
        message: In words.
    """

    id: str | None
    stage: str
    model: str
    completed: int
    total: int | None
    message: str


@frozen
class ListedResult:
    """What a model came to, in short: medians of its first workload.

    Attributes:
        model: As `instance/model`.
        sha256: Checksum of its file.
        engine_version: Version of its engine.
        workload: Name of the workload.
        latency_ms: From request to end.
        ttft_ms: To the first token.
        decode_tokens_per_second: By the engine.
        quality_score: 0 to 100.
        gross_j_per_token: Energy.
        error: Why it could not be measured.
    """

    model: str
    sha256: str | None
    engine_version: str | None
    workload: str | None
    latency_ms: float | None
    ttft_ms: float | None
    decode_tokens_per_second: float | None
    quality_score: float | None
    gross_j_per_token: float | None
    error: str | None


@frozen
class ListedBenchmark:
    """A benchmark in short.

    Attributes:
        id: Sorts by time.
        started_at: When.
        elapsed_ms: How long it took.
        suite: What was run.
        ended: `completed`, `cancelled`, or why it ended before its time.
        results: The models.
    """

    id: str
    started_at: Moment | None
    elapsed_ms: float
    suite: str
    ended: str
    results: list[ListedResult]


@frozen
class BenchmarkList:
    """The benchmarks that are kept, the newest first.

    Attributes:
        object: What this is.
        data: The benchmarks.
    """

    object: Literal["list"]
    data: list[ListedBenchmark]


@frozen(kw_only=True)
class ListedDifference(Difference):
    """A condition that was not the same.

    Attributes:
        message: All of it in one sentence.
    """

    message: str


@frozen
class Side:
    """One side of a comparison, in the unit that the metric names.

    Attributes:
        median: Or the only value there is.
        ci95: Interval of it.
        n: Samples behind it.
    """

    median: float
    ci95: Interval | None
    n: int


@frozen
class ListedChange:
    """What became of one figure.

    Attributes:
        metric: Its name, with its unit.
        better: Which way is better.
        old: Before; null where it was not measured.
        new: After.
        ratio: new / old - 1; null where that says nothing.
        p: How often chance alone does at least that; null without samples.
        verdict: `same` is not distinguishable, `unknown` is too little to tell.
    """

    metric: str
    better: Better
    old: Side | None
    new: Side | None
    ratio: float | None
    p: float | None
    verdict: ChangeVerdict


@frozen
class ComparedModel:
    """One model in both reports.

    Attributes:
        old_model: Its name before.
        model: Its name after.
        workload: Name of the workload; null for what does not depend on one.
        changes: One for each figure that one of the sides has.
    """

    old_model: str
    model: str
    workload: str | None
    changes: list[ListedChange]


@frozen
class BenchmarkComparison:
    """Two reports, side by side.

    Attributes:
        old: Id of the first.
        new: Id of the second.
        alpha: A p below it is taken for a difference.
        comparable: Whether the conditions were the same.
        differences: Conditions that were not.
        results: The models.
        only_old: Models that only the first has.
        only_new: Models that only the second has.
    """

    old: str
    new: str
    alpha: float
    comparable: bool
    differences: list[ListedDifference]
    results: list[ComparedModel]
    only_old: list[str]
    only_new: list[str]


@frozen
class Known:
    """One value of a model, in the unit that its name tells.

    Attributes:
        value: The median, or the only value there is.
        ci95: Interval of it.
        benchmark: Id of the report that it is from.
    """

    value: float
    ci95: Interval | None
    benchmark: str


@frozen(kw_only=True)
class Choice:
    """A model that could be chosen, with what is known of it.

    Attributes:
        model: As `instance/model`.
        roles: Roles and aliases that stand for it.
        decode_tokens_per_second: Writing, by the engine's clock.
        ttft_ms: To the first token.
        quality_score: 0 to 100.
        gross_j_per_token: Energy.
        memory_bytes: What it takes.
    """

    model: str
    roles: list[str]
    decode_tokens_per_second: Annotated[Known, SOMETIMES]
    ttft_ms: Annotated[Known, SOMETIMES]
    quality_score: Annotated[Known, SOMETIMES]
    gross_j_per_token: Annotated[Known, SOMETIMES]
    memory_bytes: Annotated[Known, SOMETIMES]


@frozen(kw_only=True)
class DominatedChoice(Choice):
    """A model that nobody should pick.

    Attributes:
        dominated_by: Models that are better.
    """

    dominated_by: list[str]


@frozen
class Choices:
    """A choice between models.

    Attributes:
        front: Those worth choosing, the fastest first.
        dominated: Those that nobody should pick.
    """

    front: list[Choice]
    dominated: list[DominatedChoice]


@frozen
class Recommendations:
    """Which models are worth choosing.

    Attributes:
        workload: Of which the speed and the energy are.
        tasks: Of which the quality is.
        overall: Between all models.
        roles: Between the models that stand for each role.
        notes: What was not measured, or failed.
    """

    workload: str | None
    tasks: str | None
    overall: Choices
    roles: dict[str, Choices]
    notes: list[str]
