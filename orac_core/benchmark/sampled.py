"""The meter of a real machine: its sensors, asked fast for as long as a run takes."""

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from itertools import takewhile
from typing import Any, Self

from attrs import define, field

from ..devices import Curve, DeviceSample, Recording, Sampler, curve
from .energy import energy, energy_use, idle_watts
from .results import Energy, EnergyUse

AROUND_S = 5.0
"""Samples before a span in which a slow source has said something, too."""

TOLD_EVERY_S = 1.0
"""Of all samples so many get into the report."""

TOLD = ("cpu_load_ratio", "gpu_load_ratio", "hottest_c", "memory_available_bytes", "throttling")
"""What a sample in the report has beside its power."""


@define(eq=False)
class SampledMeter:
    """Watches the power of one run. Times are by the clock of the sampler, in seconds.

    Attributes:
        sampler: Asks the sensors.
        wall: Tells the time of day, in seconds since 1970.
        idle_watts: What the machine takes doing nothing; None before `rested`.
    """

    sampler: Sampler
    wall: Callable[[], float] = time.time
    idle_watts: float | None = field(default=None, init=False)
    _recording: Recording = field(factory=Recording, init=False)
    _stack: AsyncExitStack = field(factory=AsyncExitStack, init=False)

    async def __aenter__(self) -> Self:
        self._recording = await self._stack.enter_async_context(self.sampler.fast())
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    @property
    def samples(self) -> Sequence[Mapping[str, Any]]:
        """What was seen, one each second, in plain JSON values; ``at`` is the time of day."""
        offset_s = self.wall() - self.sampler.clock()
        return [_told(each, offset_s) for each in thinned(self._recording.samples, TOLD_EVERY_S)]

    def rested(self, start: float, end: float) -> None:
        """Take note that the machine did nothing in that span."""
        found = self._curve(start, end)
        points = [each for each in found.points if start <= each[0] <= end] if found else []
        self.idle_watts = idle_watts(points, end - start)

    def span(self, start: float, end: float) -> Energy | None:
        """Return the energy of that span; None without a sensor."""
        found = self._curve(start, end)
        if found is None:
            return None
        return energy(found.points, start, end, self.idle_watts, found.source)

    def use(self, spent: Sequence[tuple[Energy, int, int]]) -> EnergyUse | None:
        """Return what the energy of answers comes to, each with its tokens read and written."""
        return energy_use(spent)

    def _curve(self, start: float, end: float) -> Curve | None:
        """Return the power from a little before that span to a little behind it."""
        newest = reversed(self._recording.samples)
        recent = list(takewhile(lambda each: each.at >= start - AROUND_S, newest))
        return curve(each for each in reversed(recent) if each.at <= end + AROUND_S)


def thinned(samples: Sequence[DeviceSample], every_s: float) -> list[DeviceSample]:
    """Return the first of *samples* and then each that is *every_s* after the one before (pure)."""
    found: list[DeviceSample] = []
    for each in samples:
        if not found or each.at - found[-1].at >= every_s:
            found.append(each)
    return found


def _told(sample: DeviceSample, offset_s: float) -> dict[str, Any]:
    power = sample.power
    return {
        "at": sample.at + offset_s,
        "power_w": None if power is None else power.watts,
        "power_source": None if power is None else power.source,
        **{name: getattr(sample, name) for name in TOLD},
    }
