"""What a benchmark comes to: each request as it was, and what all of them say of each model.

Times are seconds by the client's clock (``perf_counter_ns``), from just before a request is handed
over. Tokens are counted by the engine, never by chunks. What was not measured is None.
"""

from collections.abc import Mapping
from typing import Any, Literal

from attrs import field, frozen

from ..statistics import Summary

SCHEMA_VERSION = 1
"""Of the values in this module, as they are kept."""

Suite = Literal["latency", "quality", "full", "soak"]
Verdict = Literal["ok", "slower", "degraded"]


@frozen
class Workload:
    """What every request of one row asks.

    Attributes:
        name: ``pp512+tg128``, with ``@d2048`` for depth and ``c4`` for concurrency behind it.
        prompt_tokens: Tokens of the prompt that are aimed at; None for prompts of the user's own.
        completion_tokens: Tokens that the answer has at most.
        depth: Tokens of context before the prompt, which the engine has in its cache.
        concurrency: Requests at once.
        prompts: The user's own prompts; none for random text.
        note: What is not as it was asked for: that it was cut to the context.
    """

    name: str
    prompt_tokens: int | None = 512
    completion_tokens: int = 128
    depth: int = 0
    concurrency: int = 1
    prompts: tuple[str, ...] = ()
    note: str = ""


@frozen
class Energy:
    """Energy of one span of time, integrated by the trapezoidal rule.

    Attributes:
        joules: All of it.
        seconds: Length of the span.
        idle_watts: Median power of the 5 s before the run; None where that was not measured.
        source: Which sensor: ``VDD_IN``, ``NVML`` …
        hertz: Samples a second that the sensor really gave.
        coarse: Whether these were fewer than 10.
    """

    joules: float
    seconds: float
    idle_watts: float | None
    source: str
    hertz: float
    coarse: bool


@frozen
class Sample:
    """One request, raw.

    Attributes:
        model: ``instance/model``.
        workload: Name of the workload.
        round: Counted from 1; 0 while warming up.
        started_at: Seconds since 1970.
        elapsed_s: From the request to its end.
        queue_s: Spent waiting for a turn.
        ttft_s: To the first piece of text that is not empty; None when none came.
        tpot_s: (elapsed - TTFT) / (completion_tokens - 1); None under 2 tokens.
        gaps_s: From each piece of text to the next.
        prompt_tokens: By the engine.
        completion_tokens: By the engine.
        cached_tokens: Of the prompt's tokens, those that the engine had already.
        prefill_tokens_per_second: By the engine's clock, tokens that were not cached only.
        decode_tokens_per_second: By the engine's clock.
        finish_reason: ``stop``, ``length`` or ``deadline``.
        disturbed: Whether other answers, or loads, ran at the same time that are not of the
            benchmark.
        energy: None without a sensor.
        error: Why there is no answer; None when there is one.
    """

    model: str
    workload: str
    round: int
    started_at: float
    elapsed_s: float
    queue_s: float = 0.0
    ttft_s: float | None = None
    tpot_s: float | None = None
    gaps_s: tuple[float, ...] = ()
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    cached_tokens: int | None = None
    prefill_tokens_per_second: float | None = None
    decode_tokens_per_second: float | None = None
    finish_reason: str | None = None
    disturbed: bool = False
    energy: Energy | None = None
    error: str | None = None


@frozen
class EnergyUse:
    """Energy for each token, over all samples of a workload.

    Attributes:
        watts: Mean power while answering.
        idle_watts: Power before.
        gross_j_per_token: All joules, for each token of the answers.
        net_j_per_token: The same above what standing idle takes; None where that is not known.
        j_per_token_in_and_out: All joules, for each token of prompts and answers.
        battery_minutes_per_1000_tokens: How long the machine could have stood idle instead of
            writing 1000 tokens; None where the idle power is not known.
        source: Which sensor.
        hertz: Samples a second that it gave.
        coarse: Whether these were fewer than 10.
    """

    watts: float
    idle_watts: float | None
    gross_j_per_token: float
    net_j_per_token: float | None
    j_per_token_in_and_out: float
    battery_minutes_per_1000_tokens: float | None
    source: str
    hertz: float
    coarse: bool


@frozen
class Measured:
    """What the samples of one model and one workload come to; warming up is not among them.

    Attributes:
        workload: What was asked.
        n: Answers.
        failures: Requests without an answer.
        latency_s: From request to end.
        ttft_s: Time to first token.
        tpot_s: Time per output token.
        gaps_s: Gaps between pieces, of all answers pooled.
        prefill_tokens_per_second: By the engine.
        decode_tokens_per_second: By the engine.
        client_tokens_per_second: 1 / TPOT.
        throughput_tokens_per_second: Tokens of all answers over the time of the whole, at the
            workload's concurrency.
        goodput_per_second: Answers a second that met all goals; None without goals.
        prompt_tokens: Median that was really read.
        completion_tokens: Median that was really written.
        energy: None without a sensor.
    """

    workload: Workload
    n: int
    failures: int = 0
    latency_s: Summary | None = None
    ttft_s: Summary | None = None
    tpot_s: Summary | None = None
    gaps_s: Summary | None = None
    prefill_tokens_per_second: Summary | None = None
    decode_tokens_per_second: Summary | None = None
    client_tokens_per_second: Summary | None = None
    throughput_tokens_per_second: float | None = None
    goodput_per_second: float | None = None
    prompt_tokens: float | None = None
    completion_tokens: float | None = None
    energy: EnergyUse | None = None


@frozen
class LoadTime:
    """How long a load took.

    Attributes:
        seconds: From the call to a model that has answered one token.
        verify_s: Part of it for that answer; None where that was not seen.
        cache: ``cold`` or ``warm`` page cache; ``unknown`` where that could not be told.
        cached_ratio: Share of the file in the page cache before; None where that is not known.
    """

    seconds: float
    verify_s: float | None = None
    cache: Literal["cold", "warm", "unknown"] = "unknown"
    cached_ratio: float | None = None


@frozen
class MemoryUse:
    """What a model takes in memory.

    Attributes:
        bytes: By its engine.
        on_gpu_ratio: Share of that on the GPU.
        available_fell_bytes: By how much the machine's available memory fell with the load.
        peak_bytes: Most that its engine reported during the run.
    """

    bytes: int | None = None
    on_gpu_ratio: float | None = None
    available_fell_bytes: int | None = None
    peak_bytes: int | None = None


@frozen
class Rate:
    """How often something went right.

    Attributes:
        hits: How often.
        n: Of how many.
        ci95: Wilson's interval of the rate, 0 to 1; None when n is 0.
    """

    hits: int
    n: int
    ci95: tuple[float, float] | None = None


@frozen
class Quality:
    """How good the answers of a model are, with the parts that it is made of.

    Attributes:
        score: 0 to 100: the mean of the rates in ``parts``, weighted by ``weights``.
        ci95: Interval of the score, 0 to 100.
        parts: Rates by name: ``json_validity``, ``schema_compliance``, ``tool_name`` …
        weights: What each part counts.
        tasks: Version and number of the tasks: ``orac-tasks 1 (120)``.
        failed: Id of each task that went wrong and why, the first ones.
    """

    score: float
    ci95: tuple[float, float] | None
    parts: Mapping[str, Rate]
    weights: Mapping[str, float]
    tasks: str
    failed: tuple[tuple[str, str], ...] = ()


@frozen
class Against:
    """The decode rate compared with the model's baseline.

    Attributes:
        ratio: Present rate over baseline.
        verdict: ``ok``, ``slower`` (under 0.85) or ``degraded`` (under 0.70).
        baseline_tokens_per_second: The baseline.
    """

    ratio: float
    verdict: Verdict
    baseline_tokens_per_second: float


@frozen
class Subject:
    """The model that was measured, so that another run can be compared with it.

    Attributes:
        model: ``instance/model``.
        kind: Kind of its backend.
        engine_version: Version of its engine.
        sha256: Checksum of its file; None where that is not known.
        size_bytes: Size on the disk.
        architecture: As in the file.
        parameters: Number of weights.
        quantization: As in the file.
        context_length: What it was loaded with.
        gpu_layers: What it was loaded with.
        parallel: What it was loaded with.
        roles: Roles and aliases that stand for it.
    """

    model: str
    kind: str
    engine_version: str | None = None
    sha256: str | None = None
    size_bytes: int | None = None
    architecture: str | None = None
    parameters: int | None = None
    quantization: str | None = None
    context_length: int | None = None
    gpu_layers: int | None = None
    parallel: int | None = None
    roles: tuple[str, ...] = ()


@frozen
class Result:
    """What one model came to.

    Attributes:
        subject: The model.
        answer: Text of one answer, so that people see what was measured.
        measured: One for each workload; the first is the headline.
        loads: Each load of it that was measured.
        memory: What it takes.
        quality: None when it was not asked for.
        baseline: None where there is no baseline yet.
        error: Why it could not be measured; None when it could.
    """

    subject: Subject
    answer: str = ""
    measured: tuple[Measured, ...] = ()
    loads: tuple[LoadTime, ...] = ()
    memory: MemoryUse = MemoryUse()
    quality: Quality | None = None
    baseline: Against | None = None
    error: str | None = None

    @property
    def headline(self) -> Measured | None:
        """The first workload's figures; None when there are none."""
        return self.measured[0] if self.measured else None


@frozen
class Check:
    """One condition on which results can be trusted.

    Attributes:
        name: In words.
        passed: None when it could not be told.
        text: What was found, with the numbers.
    """

    name: str
    passed: bool | None
    text: str


@frozen
class Verification:
    """Whether the results can be trusted.

    Attributes:
        trusted: Whether no check failed.
        verdict: In one sentence.
        checks: Each condition.
        before: Median decode rate of the canaries before the suite, by ``instance/model``.
        after: The same after it.
    """

    trusted: bool
    verdict: str
    checks: tuple[Check, ...] = ()
    before: Mapping[str, float] = field(factory=dict)
    after: Mapping[str, float] = field(factory=dict)


@frozen
class Report:
    """One run of a benchmark.

    Attributes:
        id: Sorts by time: ``20260102T030405Z-1f2e3d``.
        suite: What was run.
        started_at: Seconds since 1970.
        seconds: How long it took.
        host: Fingerprint of the machine, in plain JSON values.
        options: What was asked for, in plain JSON values.
        results: Sorted by median latency of the headline, failures last.
        samples: All requests, in the order in which they were made.
        order: ``interleaved`` when the models took turns, ``blocks`` when they did not fit into
            memory together.
        verification: None when it was not asked for.
        soak: What a soak came to, in plain JSON values; None for other suites.
        devices: Samples of the machine meanwhile, in plain JSON values.
        ended: ``completed``, ``cancelled``, or why it ended before its time.
        schema_version: Of this form.
    """

    id: str
    suite: Suite
    started_at: float
    seconds: float
    host: Mapping[str, Any]
    options: Mapping[str, Any] = field(factory=dict)
    results: tuple[Result, ...] = ()
    samples: tuple[Sample, ...] = ()
    order: Literal["interleaved", "blocks"] = "interleaved"
    verification: Verification | None = None
    soak: Mapping[str, Any] | None = None
    devices: tuple[Mapping[str, Any], ...] = ()
    ended: str = "completed"
    schema_version: int = SCHEMA_VERSION
