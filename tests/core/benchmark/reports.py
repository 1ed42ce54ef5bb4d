"""Reports as a run could have made them."""

import random
from collections.abc import Sequence
from hashlib import sha256

from orac_core.benchmark.results import (
    Against,
    Check,
    Energy,
    EnergyUse,
    LoadTime,
    Measured,
    MemoryUse,
    Quality,
    Rate,
    Report,
    Result,
    Sample,
    Subject,
    Verification,
    Workload,
)
from orac_core.statistics import summary, wilson

GIB = 1 << 30
STARTED = 1_767_322_245.0
"""2026-01-02T02:50:45Z."""

WORKLOAD = Workload("pp512+tg128")
HOST = {"board": "Jetson Orin Nano", "power_mode": "15W", "clocks": {"gpu_hz": 625_000_000}}


def id_of(number: int) -> str:
    return f"20260102T0304{number:02d}Z-{number:06x}"


def samples(
    model: str,
    rates: Sequence[float],
    *,
    workload: str = WORKLOAD.name,
    ttft_s: float = 0.2,
    watts: float | None = 10.0,
) -> tuple[Sample, ...]:
    """One request for each decode rate; 128 tokens each."""
    return tuple(
        Sample(
            model,
            workload,
            nth,
            STARTED + 10 * nth,
            ttft_s + 127 / rate,
            queue_s=0.001,
            ttft_s=ttft_s + nth / 1000,
            tpot_s=1 / rate,
            gaps_s=(1 / rate,) * 3,
            prompt_tokens=512,
            completion_tokens=128,
            cached_tokens=0,
            prefill_tokens_per_second=10 * rate,
            decode_tokens_per_second=rate,
            finish_reason="length",
            energy=None
            if watts is None
            else Energy(watts * 128 / rate, 128 / rate, 4.0, "VDD_IN", 10.0, coarse=False),
        )
        for nth, rate in enumerate(rates, 1)
    )


def values(mine: Sequence[Sample], name: str) -> list[float]:
    return [getattr(one, name) for one in mine]


def measured(mine: Sequence[Sample], workload: Workload = WORKLOAD) -> Measured:
    used = [one.energy for one in mine if one.energy]
    joules = sum(energy.joules for energy in used)
    return Measured(
        workload,
        len(mine),
        latency_s=summary(values(mine, "elapsed_s")),
        ttft_s=summary(values(mine, "ttft_s")),
        tpot_s=summary(values(mine, "tpot_s")),
        prefill_tokens_per_second=summary(values(mine, "prefill_tokens_per_second")),
        decode_tokens_per_second=summary(values(mine, "decode_tokens_per_second")),
        prompt_tokens=512.0,
        completion_tokens=128.0,
        energy=EnergyUse(
            10.0, 4.0, joules / 128 / len(mine), None, 0.1, None, "VDD_IN", 10.0, coarse=False
        )
        if used
        else None,
    )


def quality(hits: int = 90, n: int = 120, tasks: str = "orac-tasks 1 (120)") -> Quality:
    low, high = wilson(hits, n) or (0.0, 1.0)
    return Quality(
        100 * hits / n,
        (100 * low, 100 * high),
        {"exact": Rate(hits, n, (low, high))},
        {"exact": 1.0},
        tasks,
        (("exact-7", "42 was expected"),),
    )


def subject(model: str = "local/small", **changes: object) -> Subject:
    given = {
        "kind": "llamacpp",
        "engine_version": "b8146",
        "sha256": sha256(model.encode(errors="replace")).hexdigest(),
        "size_bytes": GIB,
        "architecture": "qwen3",
        "parameters": 600_000_000,
        "quantization": "Q4_K_M",
        "context_length": 4096,
        "gpu_layers": 99,
        "parallel": 1,
        "roles": ("general",),
    }
    return Subject(model, **{**given, **changes})


def report(
    rates: dict[str, Sequence[float]] | None = None, *, number: int = 1, **changes: object
) -> Report:
    """A report in which each model had these decode rates."""
    rates = rates or {"local/small": [40.0, 41.0, 42.0, 40.5, 41.5]}
    made = {model: samples(model, values) for model, values in rates.items()}
    given = {
        "host": HOST,
        "options": {"rounds": 5},
        "results": tuple(
            Result(
                subject(model),
                "It is green.",
                (measured(mine),),
                (LoadTime(2.5, 0.1, "warm", 1.0), LoadTime(2.7, 0.1, "warm", 1.0)),
                MemoryUse(2 * GIB, 1.0, 2 * GIB + 5, 2 * GIB + 9),
                quality(),
                Against(0.98, "ok", 42.0),
            )
            for model, mine in made.items()
        ),
        "samples": tuple(one for mine in made.values() for one in mine),
        "verification": Verification(
            trusted=True,
            verdict="the results can be trusted",
            checks=(Check("steady", passed=True, text="0.4 % apart"),),
        ),
        "devices": tuple({"at": STARTED + at, "power_w": 8.0 + at % 4} for at in range(60)),
    }
    at = STARTED + 60 * number
    always = {"id": id_of(number), "suite": "full", "started_at": at, "seconds": 90.0}
    return Report(**{**always, **given, **changes})


def broken(model: str = "local/broken") -> Result:
    return Result(subject(model, roles=()), error="it did not load: out of memory")


def noisy(chance: random.Random, rate: float, n: int = 10, noise: float = 0.02) -> list[float]:
    return [rate * chance.gauss(1, noise) for _ in range(n)]
