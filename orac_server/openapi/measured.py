"""What a benchmark measures, as its report tells it."""

from typing import Literal

from attrs import frozen

from orac_core.benchmark.results import (
    Against,
    Check,
    MemoryUse,
    Rate,
    Subject,
    Workload,
)

from .kinds import Interval, Moment


@frozen
class Figure:
    """A figure of many samples; its unit stands in the name of the field that holds it.

    Attributes:
        n: Number of samples.
        min: The least.
        max: The largest.
        mean: Their mean.
        sd: Their standard deviation; 0 of a single one.
        p50: Their median.
        p95: 95 % are not above it; null under 20 samples.
        p99: 99 % are not above it; null under 100 samples.
        ci95: The 95 % interval of the median; null of a single one.
    """

    n: int
    min: float
    max: float
    mean: float
    sd: float
    p50: float
    p95: float | None
    p99: float | None
    ci95: Interval | None


@frozen
class EnergyPerToken:
    """What answers take of energy.

    Attributes:
        power_w: Mean power while answering.
        idle_power_w: Power before.
        gross_j_per_token: All joules, for each token of the answers.
        net_j_per_token: The same above what standing idle takes.
        j_per_token_in_and_out: All joules, for each token of prompts and answers.
        battery_minutes_per_1000_tokens: How long the machine could have stood idle instead.
        source: Which sensor.
        sampling_hz: Samples a second that it gave.
        coarse: Whether these were fewer than 10.
    """

    power_w: float
    idle_power_w: float | None
    gross_j_per_token: float
    net_j_per_token: float | None
    j_per_token_in_and_out: float
    battery_minutes_per_1000_tokens: float | None
    source: str
    sampling_hz: float
    coarse: bool


@frozen(kw_only=True, slots=False)  # else nothing else could be inherited beside it
class Speeds:
    """How fast a model answers.

    Attributes:
        latency_ms: From just before the request to its end.
        ttft_ms: To the first piece of text that is not empty.
        tpot_ms: (latency - TTFT) / (tokens of the answer - 1), one value for each answer.
        decode_tokens_per_second: Writing, by the engine's clock.
        prefill_tokens_per_second: Reading, by the engine's clock; without tokens that were cached.
        energy: Null without a sensor, or when it was not asked for.
    """

    latency_ms: Figure | None
    ttft_ms: Figure | None
    tpot_ms: Figure | None
    decode_tokens_per_second: Figure | None
    prefill_tokens_per_second: Figure | None
    energy: EnergyPerToken | None


@frozen(kw_only=True)
class MeasuredWorkload(Speeds, Workload):
    """What the answers to one workload come to.

    Attributes:
        n: Answers.
        failures: Requests without an answer.
        gaps_ms: Between the pieces of answers.
        client_tokens_per_second: 1 / TPOT.
        throughput_tokens_per_second: Tokens of all answers over the time of the whole.
        goodput_per_second: Answers a second that met all goals; null without goals.
        median_prompt_tokens: Median that was really read.
        median_completion_tokens: Median that was really written.
    """

    n: int
    failures: int
    gaps_ms: Figure | None
    client_tokens_per_second: Figure | None
    throughput_tokens_per_second: float | None
    goodput_per_second: float | None
    median_prompt_tokens: float | None
    median_completion_tokens: float | None


@frozen
class LoadMeasured:
    """How long a load took.

    Attributes:
        load_ms: From the call to a model that has answered one token.
        verify_ms: Part of it for that answer.
        cache: Whether its file was in the page cache.
        cached_ratio: Share of the file in the page cache before.
    """

    load_ms: float
    verify_ms: float | None
    cache: Literal["cold", "warm", "unknown"]
    cached_ratio: float | None


@frozen(kw_only=True)
class Part(Rate):
    """How often something went right.

    Attributes:
        rate: hits / n; null when n is 0.
    """

    rate: float | None


@frozen
class TaskFailed:
    """A task that went wrong.

    Attributes:
        task: Its id.
        reason: What was wrong with the answer.
    """

    task: str
    reason: str


@frozen
class QualityMeasured:
    """How good the answers of a model are.

    Attributes:
        score: 0 to 100: the mean of the rates in `parts`, weighted by `weights`.
        ci95: Interval of the score, 0 to 100.
        parts: Rates by name: `json_validity`, `schema_compliance`, `tool_name` …
        weights: What each part counts.
        tasks: Version and number of the tasks.
        failed: The first tasks that went wrong.
    """

    score: float
    ci95: Interval | None
    parts: dict[str, Part]
    weights: dict[str, float]
    tasks: str
    failed: list[TaskFailed]


@frozen(kw_only=True)
class ModelResult(Speeds, Subject):
    """What one model came to; the speeds are those of its first workload.

    Attributes:
        answer: Text of one answer.
        load_ms: Median of its loads.
        loads: Each load that was measured.
        memory: What it takes.
        quality: Null when it was not asked for.
        baseline: Null where there is no baseline yet.
        error: Why it could not be measured; null when it could.
        workloads: The figures of each workload.
    """

    answer: str
    load_ms: float | None
    loads: list[LoadMeasured]
    memory: MemoryUse
    quality: QualityMeasured | None
    baseline: Against | None
    error: str | None
    workloads: list[MeasuredWorkload]


@frozen
class Trust:
    """Whether the results can be trusted.

    Attributes:
        trusted: Whether no check failed.
        verdict: In one sentence.
        checks: Each condition.
        before_tokens_per_second: Median of the canaries before, by `instance/model`.
        after_tokens_per_second: The same after it.
    """

    trusted: bool
    verdict: str
    checks: list[Check]
    before_tokens_per_second: dict[str, float]
    after_tokens_per_second: dict[str, float]


@frozen
class EnergySpent:
    """Energy of one request.

    Attributes:
        energy_j: All of it.
        elapsed_ms: Length of the span.
        idle_power_w: Median power before the run.
        source: Which sensor.
        sampling_hz: Samples a second that it gave.
        coarse: Whether these were fewer than 10.
    """

    energy_j: float
    elapsed_ms: float
    idle_power_w: float | None
    source: str
    sampling_hz: float
    coarse: bool


@frozen
class RequestMeasured:
    """One request, raw.

    Attributes:
        model: As `instance/model`.
        workload: Name of the workload.
        round: Counted from 1; 0 while warming up.
        started_at: When.
        elapsed_ms: From the request to its end.
        queue_ms: Waiting for a turn.
        ttft_ms: To the first piece of text that is not empty.
        tpot_ms: (elapsed - TTFT) / (tokens - 1); null under 2 tokens.
        gaps_ms: From each piece of text to the next.
        prompt_tokens: By the engine.
        completion_tokens: By the engine.
        cached_tokens: Of the prompt's, those that the engine had already.
        prefill_tokens_per_second: By the engine's clock.
        decode_tokens_per_second: By the engine's clock.
        finish_reason: `stop`, `length` or `deadline`.
        disturbed: Whether other work ran at the same time.
        energy: Null without a sensor.
        error: Why there is no answer; null when there is one.
    """

    model: str
    workload: str
    round: int
    started_at: Moment | None
    elapsed_ms: float
    queue_ms: float
    ttft_ms: float | None
    tpot_ms: float | None
    gaps_ms: list[float]
    prompt_tokens: int | None
    completion_tokens: int | None
    cached_tokens: int | None
    prefill_tokens_per_second: float | None
    decode_tokens_per_second: float | None
    finish_reason: str | None
    disturbed: bool
    energy: EnergySpent | None
    error: str | None


@frozen
class MachineSampled:
    """The machine at one moment of the run.

    Attributes:
        at: Seconds since 1970.
        power_w: The power that says most of the machine.
        power_source: What measures it.
        cpu_load_ratio: 0 to 1.
        gpu_load_ratio: 0 to 1.
        hottest_c: Temperature of the hottest sensor.
        memory_available_bytes: What programs can have without swapping.
        throttling: Whether clocks are lowered.
    """

    at: float
    power_w: float | None
    power_source: str | None
    cpu_load_ratio: float | None
    gpu_load_ratio: float | None
    hottest_c: float | None
    memory_available_bytes: int | None
    throttling: bool | None
