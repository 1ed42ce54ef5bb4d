"""What is known of one model, and from that the evidence of a diagnosis."""

import math
from collections import deque
from collections.abc import Collection, Mapping
from typing import Any

from attrs import define, field, frozen

from ..devices import Device, Gpu, GpuProcess, Machine
from ..devices.sample import DeviceSample
from ..doctor import Diagnosis, Evidence, Moment, Process, Snapshot
from ..memory import slowdown_per_token
from ..pace import Baseline, Conditions, Pace
from ..types import InstanceHealth, LoadedInfo, ModelInfo

RECENT = 9
"""Answers that count as present."""

SHALLOW_TOKENS = 2048

OWN = ("ollama", "llama", "orac")
"""What programs are called that are engines: their part of the GPU is the models'."""


@frozen
class Rate:
    """The decode rate of one answer, with the tokens before its middle and in all."""

    tokens_per_second: float
    depth: float
    context_tokens: int


@define(eq=False)
class Witness:
    """Attributes of one model that tell why it is as fast as it is.

    Attributes:
        pace: How fast it answers, and how fast it used to.
        conditions: Under which it answers.
        info: What the engine last said of it.
        loads: How often it was loaded.
        loaded_at: When it was loaded last, by the loop's clock.
        ready_at: When its last load had ended, by the sampler's clock.
        before: The machine just before that.
        unload_to_load_s: Time between the last unload of any model and that load.
        unreturned_bytes: Memory that was not back by then.
        deepest_tokens: Longest answer with its prompt since then.
        canaries: Rates of canaries on the way to a baseline.
        baseline: Rates of the canaries that made the baseline.
        then: What was known at the time of the baseline.
        recent: The last answers.
        diagnosis: Why it is slow; None while it is not.
    """

    pace: Pace = field(factory=Pace)
    conditions: Conditions = field(factory=Conditions)
    info: ModelInfo = field(factory=lambda: ModelInfo(""))
    loads: int = 0
    loaded_at: float | None = None
    ready_at: float = -math.inf
    before: Machine = field(factory=Machine)
    unload_to_load_s: float | None = None
    unreturned_bytes: int | None = None
    deepest_tokens: int = 0
    canaries: list[float] = field(factory=list)
    baseline: tuple[float, ...] = ()
    then: Snapshot | None = None
    recent: deque[Rate] = field(factory=lambda: deque(maxlen=RECENT))
    diagnosis: Diagnosis | None = None

    @property
    def usual(self) -> tuple[float, ...]:
        """Decode rates that count as usual; empty where none do."""
        known = self.pace.baseline(self.conditions)
        return self.baseline or (spread(known) if known else ())

    def learn(self, info: ModelInfo) -> None:
        """Take over what the engine says while the model is loaded."""
        if self.pace.prior_per_token is None and info.shape is not None:
            self.pace.prior_per_token = slowdown_per_token(info.shape)
        self.info = info

    def loading(self, machine: Machine, now: float) -> None:
        """Take note that the model is about to be loaded."""
        self.loads += 1
        self.loaded_at, self.before = now, machine
        self.deepest_tokens = 0
        self.canaries.clear()
        self.recent.clear()

    def forget(self) -> None:
        """Forget how fast the model was under the present conditions."""
        self.pace.forget(self.conditions)
        self.baseline, self.then, self.diagnosis = (), None, None
        self.canaries.clear()
        self.recent.clear()

    def answered(self, rate: Rate) -> None:
        """Take note of an answer."""
        self.recent.append(rate)
        self.deepest_tokens = max(self.deepest_tokens, rate.context_tokens)

    def snapshot(self, machine: Machine, health: InstanceHealth | None = None) -> Snapshot:
        """Return what is known now, with what the *machine* and the engine's *health* say."""
        loaded = self.info.loaded or LoadedInfo()
        details = health.details if health else {}
        gpu, device = machine.gpu or Gpu(), machine.device or Device()
        return Snapshot(
            on_gpu_ratio=loaded.on_gpu_ratio,
            size_bytes=loaded.memory_bytes,
            gpu_bytes=_share(loaded),
            engine_sees_gpu=_flag(details.get("gpu")),
            engine_version=(health.version if health else None) or self.conditions.engine_version,
            context_length=self.conditions.context_length,
            context_tokens=self.recent[-1].context_tokens if self.recent else None,
            deepest_tokens=self.deepest_tokens or None,
            concurrency=1,
            memory_before=self.before.memory,
            gpu_before=self.before.gpu or Gpu(),
            unload_to_load_s=self.unload_to_load_s,
            unreturned_bytes=self.unreturned_bytes,
            loads_since_start=self.loads,
            memory=machine.memory,
            gpu=gpu,
            device=device,
            cpu_load_ratio=device.cpu_load_ratio,
            gpu_frequency_max_hz=gpu.frequency_max_hz,
            cpu_frequency_hz=device.cpu_frequency_hz,
            cpu_frequency_max_hz=device.cpu_frequency_max_hz,
            over_current_events=_sum(device.over_current_events),
            limit_c=_limit_c(device),
            leftovers=_leftovers(details.get("leftovers")),
            gpu_users=None if gpu.processes is None else strangers(gpu.processes),
        )

    def evidence(
        self, now: Snapshot, canaries: Collection[float] = (), series: tuple[Moment, ...] = ()
    ) -> Evidence:
        """Return what a diagnosis rests on.

        Args:
            now: What is known now.
            canaries: Rates of short answers made just now, at little depth.
            series: Looks at the machine during the last answers.
        """
        baseline = self.usual
        shallow = tuple(it.tokens_per_second for it in self.recent if it.depth <= SHALLOW_TOKENS)
        deep = bool(self.recent) and self.recent[-1].depth > SHALLOW_TOKENS
        if deep or not canaries:
            present = tuple(it.tokens_per_second for it in self.recent)
            return Evidence(baseline, present, now, self.then, tuple(canaries) or shallow, series)
        return Evidence(baseline, tuple(canaries), now, self.then, (), series)


def moments(samples: Collection[DeviceSample], since: float) -> tuple[Moment, ...]:
    """Return the *samples* made after *since*, by their clock, for a diagnosis."""
    return tuple(
        Moment(
            it.at,
            it.gpu_load_ratio,
            it.cpu_load_ratio,
            it.gpu_frequency_hz,
            it.cpu_frequency_hz,
            it.hottest_c,
            it.swapped_in_bytes,
            it.swapped_out_bytes,
        )
        for it in samples
        if it.at >= since
    )


def spread(baseline: Baseline) -> tuple[float, ...]:
    """Return rates with the median and the spread of a baseline whose own are not known."""
    half = baseline.tokens_per_second * baseline.spread_ratio / 2
    middle = baseline.tokens_per_second
    return middle - half, middle, middle + half


def strangers(processes: Collection[GpuProcess]) -> tuple[Process, ...]:
    """Return who uses the GPU and is no engine."""
    return tuple(
        Process(it.name or "unknown", it.pid, it.memory_bytes)
        for it in processes
        if not any(own in (it.name or "").lower() for own in OWN)
    )


def _share(loaded: LoadedInfo) -> int | None:
    if loaded.memory_bytes is None or loaded.on_gpu_ratio is None:
        return None
    return int(loaded.memory_bytes * loaded.on_gpu_ratio)


def _flag(value: object) -> bool | None:
    return value if isinstance(value, bool) else None


def _sum(events: Mapping[str, int]) -> int | None:
    return sum(events.values()) if events else None


def _limit_c(device: Device) -> float | None:
    """Return the least temperature at which a sensor has the clocks lowered."""
    limits = (it.passive_c for it in device.temperature_limits.values())
    return min((it for it in limits if it is not None and math.isfinite(it)), default=None)


def _leftovers(told: Any) -> tuple[Process, ...] | None:
    """Return the runners that serve no model, as a backend tells them in its health."""
    if not isinstance(told, (list, tuple)):
        return None
    rows = (it for it in told if isinstance(it, Mapping))
    return tuple(Process(str(it.get("name")), it.get("pid"), it.get("bytes")) for it in rows)
