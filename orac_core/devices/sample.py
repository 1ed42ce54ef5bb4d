"""What of a machine changes while it works, at one moment."""

from collections.abc import Iterable, Mapping
from typing import Any

from attrs import asdict, field, frozen

from . import power
from .values import Power, Reading, throttling, together


@frozen
class DeviceSample:
    """The machine at one moment; None wherever nothing says it.

    Attributes:
        at: Seconds by ``time.perf_counter``, from just before the sensors were asked.
        memory_available_bytes: What programs can have without swapping.
        memory_free_bytes: What nothing uses.
        page_cache_bytes: What the kernel keeps of files.
        swapped_in_bytes: Read back from swap since the machine started.
        swapped_out_bytes: Written to swap since the machine started.
        gpu_load_ratio: 0 to 1.
        gpu_frequency_hz: Clock of the GPU.
        cpu_load_ratio: 0 to 1, since the sample before.
        cpu_frequency_hz: Highest clock of all cores.
        hottest: Name of the hottest sensor.
        hottest_c: Its temperature.
        power_w: Watts by source: rails, ``NVML``, ``RAPL package 0``, ``battery BAT0`` …
        throttling: Whether clocks are lowered for heat or power.
        over_current_events: Over-current alerts since the machine started, of all kinds.
        fresh: Whether all was read for this sample; False where it repeats what jtop said last.
    """

    at: float
    memory_available_bytes: int | None = None
    memory_free_bytes: int | None = None
    page_cache_bytes: int | None = None
    swapped_in_bytes: int | None = None
    swapped_out_bytes: int | None = None
    gpu_load_ratio: float | None = None
    gpu_frequency_hz: int | None = None
    cpu_load_ratio: float | None = None
    cpu_frequency_hz: int | None = None
    hottest: str | None = None
    hottest_c: float | None = None
    power_w: Mapping[str, float] = field(factory=dict)
    throttling: bool | None = None
    over_current_events: int | None = None
    fresh: bool = True

    @property
    def power(self) -> Power | None:
        """The power that says most of the machine; None where none is measured."""
        return power.best(self.power_w)

    def told(self) -> dict[str, Any]:
        """Return it in plain JSON values, without the moment."""
        values = asdict(self)
        del values["at"], values["fresh"]
        return {**values, "power": None if self.power is None else asdict(self.power)}


@frozen
class Curve:
    """Power over time.

    Attributes:
        source: What measured it, as in :class:`~orac_core.devices.Power`.
        points: Moments by ``time.perf_counter`` in seconds, and watts.
    """

    source: str
    points: tuple[tuple[float, float], ...]


def curve(samples: Iterable[DeviceSample]) -> Curve | None:
    """Return the power in *samples* by the source that most of them have as their best.

    What only repeats an older figure is no point of it.
    """
    found: dict[str, list[tuple[float, float]]] = {}
    for each in samples:
        if each.fresh and (best := each.power) is not None:
            found.setdefault(best.source, []).append((each.at, best.watts))
    if not found:
        return None
    source = max(found, key=lambda each: len(found[each]))
    return Curve(source, tuple(found[source]))


def sampled(at: float, jtop: Reading, nvml: Reading, kernel: Reading) -> DeviceSample:
    """Return what three sources said at the moment *at*; the kernel's memory is preferred."""
    both = together(jtop, nvml, kernel)
    memory = together(kernel, both).memory
    hottest_c, hottest = _hottest(both)
    events = both.device.over_current_events
    return DeviceSample(
        at=at,
        memory_available_bytes=memory.available_bytes,
        memory_free_bytes=memory.free_bytes,
        page_cache_bytes=memory.page_cache_bytes,
        swapped_in_bytes=memory.swapped_in_bytes,
        swapped_out_bytes=memory.swapped_out_bytes,
        gpu_load_ratio=both.gpu.load_ratio,
        gpu_frequency_hz=both.gpu.frequency_hz,
        cpu_load_ratio=both.device.cpu_load_ratio,
        cpu_frequency_hz=both.device.cpu_frequency_hz,
        hottest=hottest,
        hottest_c=hottest_c,
        power_w=_powers(jtop, nvml, kernel),
        throttling=throttling(nvml.device, kernel.device),
        over_current_events=sum(events.values()) if events else None,
    )


def _hottest(reading: Reading) -> tuple[float | None, str | None]:
    known = {key: each for key, each in reading.device.temperatures.items() if each is not None}
    if reading.gpu.temperature_c is not None:
        known["GPU"] = reading.gpu.temperature_c
    return max(((each, key) for key, each in known.items()), default=(None, None))


def _powers(jtop: Reading, nvml: Reading, kernel: Reading) -> dict[str, float]:
    alone = {power.JTOP: jtop.device.power_w, power.NVML: nvml.gpu.power_w}
    found = power.merged(alone, jtop.device.rails_w, kernel.device.rails_w)
    return {key: each for key, each in found.items() if each is not None}
