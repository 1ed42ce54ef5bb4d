"""A report, a listing, a comparison and a recommendation as JSON.

Spans of time are in milliseconds, to the nanosecond, and each unit stands in its name. What is not
known, and what is no number, is null.
"""

import math
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from attrs import asdict

from ...statistics import Summary, percentile
from ..compare import Change, Comparison, Pair, Value
from ..recommend import Candidate, Front, Recommendation
from ..results import (
    Energy,
    EnergyUse,
    LoadTime,
    Measured,
    Quality,
    Report,
    Result,
    Sample,
    Verification,
)
from ..store import Entry, Line

Json = dict[str, Any]

_SPEED = (
    *("latency_ms", "ttft_ms", "tpot_ms"),
    *("decode_tokens_per_second", "prefill_tokens_per_second", "energy"),
)
_DIGITS = 6
_LAST_YEAR = 253_402_300_799


def report(whole: Report) -> Json:
    """Return a report as ``POST /v1/benchmark`` answers it."""
    return _object(
        {
            "schema_version": whole.schema_version,
            "id": whole.id,
            "started_at": timestamp(whole.started_at),
            "elapsed_ms": ms(whole.seconds),
            "suite": whole.suite,
            "order": whole.order,
            "ended": whole.ended,
            "host": whole.host,
            "options": whole.options,
            "results": [_result(result) for result in whole.results],
            "verification": whole.verification and _verification(whole.verification),
            "soak": whole.soak,
            "samples": [_sample(sample) for sample in whole.samples],
            "devices": whole.devices,
        }
    )


def entry(one: Entry) -> Json:
    """Return a benchmark as ``GET /v1/benchmarks`` lists it."""
    return _object(
        {
            "id": one.id,
            "started_at": timestamp(one.started_at),
            "elapsed_ms": ms(one.seconds),
            "suite": one.suite,
            "ended": one.ended,
            "results": [_line(line) for line in one.lines],
        }
    )


def comparison(found: Comparison) -> Json:
    """Return two reports side by side."""
    return _object(
        {
            "old": found.old,
            "new": found.new,
            "alpha": found.alpha,
            "comparable": not found.differences,
            "differences": [{**asdict(one), "message": str(one)} for one in found.differences],
            "results": [_pair(pair) for pair in found.pairs],
            "only_old": found.only_old,
            "only_new": found.only_new,
        }
    )


def recommendation(found: Recommendation) -> Json:
    """Return what to choose."""
    return _object(
        {
            "workload": found.workload,
            "tasks": found.tasks,
            "overall": _front(found.overall),
            "roles": {role: _front(front) for role, front in found.roles.items()},
            "notes": found.notes,
        }
    )


def timestamp(at: float) -> str | None:
    """Return *at*, in seconds since 1970, in ISO 8601, UTC; None when it is no time."""
    if not 0 <= at <= _LAST_YEAR:
        return None
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds")[:-6] + "Z"


def ms(span_s: float | None) -> float | None:
    """Return a span of seconds in milliseconds, to the nanosecond."""
    return None if span_s is None else round(span_s * 1000, _DIGITS)


def metric(name: str) -> tuple[str, float]:
    """Return the name of a figure outside, and what its value is multiplied by."""
    if name.endswith("_s"):
        return f"{name[:-2]}_ms", 1000.0
    return name, 1.0


def _summary(found: Summary | None, times: float = 1.0) -> Json | None:
    if found is None:
        return None
    values = asdict(found)
    names = {"minimum": "min", "maximum": "max"}
    return {"n": found.n} | {
        names.get(name, name): _scaled(value, times)
        for name, value in values.items()
        if name != "n"
    }


def _scaled(value: Any, times: float) -> Any:
    if value is None:
        return None
    if isinstance(value, tuple):
        return [_scaled(one, times) for one in value]
    return round(value * times, _DIGITS)


def _in_ms(found: Summary | None) -> Json | None:
    return _summary(found, 1000.0)


def _result(result: Result) -> Json:
    """Return what one model came to; its first workload's figures stand beside it."""
    subject, head = result.subject, result.headline
    return {
        **asdict(subject),
        "answer": result.answer,
        **_speed(head),
        "load_ms": _median_ms(result.loads),
        "loads": [_load(load) for load in result.loads],
        "memory": asdict(result.memory),
        "quality": result.quality and _quality(result.quality),
        "baseline": result.baseline and asdict(result.baseline),
        "error": result.error,
        "workloads": [_measured(measured) for measured in result.measured],
    }


def _speed(measured: Measured | None) -> Json:
    if measured is None:
        return dict.fromkeys(_SPEED)
    spans = measured.latency_s, measured.ttft_s, measured.tpot_s
    rates = measured.decode_tokens_per_second, measured.prefill_tokens_per_second
    found = (
        *map(_in_ms, spans),
        *map(_summary, rates),
        measured.energy and _energy(measured.energy),
    )
    return dict(zip(_SPEED, found, strict=True))


def _measured(measured: Measured) -> Json:
    return {
        **asdict(measured.workload),
        "n": measured.n,
        "failures": measured.failures,
        **_speed(measured),
        "gaps_ms": _in_ms(measured.gaps_s),
        "client_tokens_per_second": _summary(measured.client_tokens_per_second),
        "throughput_tokens_per_second": measured.throughput_tokens_per_second,
        "goodput_per_second": measured.goodput_per_second,
        "median_prompt_tokens": measured.prompt_tokens,
        "median_completion_tokens": measured.completion_tokens,
    }


def _median_ms(loads: tuple[LoadTime, ...]) -> float | None:
    if not loads:
        return None
    return ms(percentile(sorted(load.seconds for load in loads), 50))


def _load(load: LoadTime) -> Json:
    return {
        "load_ms": ms(load.seconds),
        "verify_ms": ms(load.verify_s),
        "cache": load.cache,
        "cached_ratio": load.cached_ratio,
    }


def _energy(used: EnergyUse) -> Json:
    values = asdict(used)
    power = {"power_w": values.pop("watts"), "idle_power_w": values.pop("idle_watts")}
    return power | {"sampling_hz": values.pop("hertz")} | values


def _quality(quality: Quality) -> Json:
    return {
        "score": quality.score,
        "ci95": quality.ci95,
        "parts": {
            name: {**asdict(rate), "rate": rate.hits / rate.n if rate.n else None}
            for name, rate in quality.parts.items()
        },
        "weights": quality.weights,
        "tasks": quality.tasks,
        "failed": [{"task": task, "reason": reason} for task, reason in quality.failed],
    }


def _verification(found: Verification) -> Json:
    return {
        "trusted": found.trusted,
        "verdict": found.verdict,
        "checks": [asdict(check) for check in found.checks],
        "before_tokens_per_second": found.before,
        "after_tokens_per_second": found.after,
    }


def _sample(sample: Sample) -> Json:
    return {
        "model": sample.model,
        "workload": sample.workload,
        "round": sample.round,
        "started_at": timestamp(sample.started_at),
        "elapsed_ms": ms(sample.elapsed_s),
        "queue_ms": ms(sample.queue_s),
        "ttft_ms": ms(sample.ttft_s),
        "tpot_ms": ms(sample.tpot_s),
        "gaps_ms": [ms(gap) for gap in sample.gaps_s],
        "prompt_tokens": sample.prompt_tokens,
        "completion_tokens": sample.completion_tokens,
        "cached_tokens": sample.cached_tokens,
        "prefill_tokens_per_second": sample.prefill_tokens_per_second,
        "decode_tokens_per_second": sample.decode_tokens_per_second,
        "finish_reason": sample.finish_reason,
        "disturbed": sample.disturbed,
        "energy": sample.energy and _used(sample.energy),
        "error": sample.error,
    }


def _used(energy: Energy) -> Json:
    return {
        "energy_j": energy.joules,
        "elapsed_ms": ms(energy.seconds),
        "idle_power_w": energy.idle_watts,
        "source": energy.source,
        "sampling_hz": energy.hertz,
        "coarse": energy.coarse,
    }


def _line(line: Line) -> Json:
    values = asdict(line)
    spans = {"latency_ms": ms(values.pop("latency_s")), "ttft_ms": ms(values.pop("ttft_s"))}
    return values | {"quality_score": values.pop("score")} | spans


def _pair(pair: Pair) -> Json:
    return {
        "old_model": pair.old,
        "model": pair.new,
        "workload": pair.workload or None,
        "changes": [_change(change) for change in pair.changes],
    }


def _change(change: Change) -> Json:
    name, times = metric(change.metric)
    return {
        "metric": name,
        "better": change.better,
        "old": _value(change.old, times),
        "new": _value(change.new, times),
        "ratio": change.ratio,
        "p": change.p,
        "verdict": change.verdict,
    }


def _value(value: Value | None, times: float) -> Json | None:
    if value is None:
        return None
    ci95 = _scaled(value.ci95, times)
    return {"median": _scaled(value.median, times), "ci95": ci95, "n": value.n}


def _front(front: Front) -> Json:
    return {
        "front": [_candidate(one) for one in front.candidates],
        "dominated": [
            {**_candidate(one.candidate), "dominated_by": one.by} for one in front.dominated
        ],
    }


def _candidate(one: Candidate) -> Json:
    scores = {}
    for dimension, score in one.scores.items():
        name, times = metric(dimension)
        scores[name] = {
            "value": _scaled(score.value, times),
            "ci95": _scaled(score.ci95, times),
            "benchmark": score.report,
        }
    return {"model": one.model, "roles": one.roles, **scores}


def _object(values: Mapping[Any, Any]) -> Json:
    return {_plain(str(name)): _plain(one) for name, one in values.items()}


def _plain(value: Any) -> Any:
    """Return *value* as JSON has it; what is no number becomes null, what is no JSON its text."""
    match value:
        case None | bool() | int():
            return value
        case str():
            return value.encode(errors="replace").decode()
        case float():
            return value if math.isfinite(value) else None
        case Mapping():
            return _object(value)
        case list() | tuple() | set() | frozenset():
            return [_plain(one) for one in value]
        case _:
            return str(value)
