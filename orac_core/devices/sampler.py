"""Watching a machine: once a second as long as ORAC runs, and fast while somebody measures."""

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Protocol, Self

from attrs import define, field

from ..events import Events
from .sample import Curve, DeviceSample, curve

PERIOD_S = 1.0

FAST_PERIOD_S = 0.05
"""20 times a second, so that 10 come in spite of a busy machine."""

KEPT = 600
"""Samples that are kept: those of the last 10 minutes."""

MOST_RECORDED = 36_000
"""Samples of one recording: half an hour, about 22 MB; of a longer one the last are kept."""


class Sampled(Protocol):
    """What can be sampled, as :class:`~orac_core.devices.Sensors` can."""

    async def sample(self) -> DeviceSample:
        """Return what the machine says now; it never raises."""


@define(eq=False)
class Recording:
    """What was sampled between the beginning and the end of a measurement, both included."""

    _samples: deque[DeviceSample] = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._samples = deque(maxlen=MOST_RECORDED)

    @property
    def samples(self) -> Sequence[DeviceSample]:
        """The samples so far, the oldest first."""
        return tuple(self._samples)

    @property
    def curve(self) -> Curve | None:
        """The power so far, by the source that says most; None where none is measured."""
        return curve(self._samples)

    def add(self, sample: DeviceSample) -> None:
        """Put *sample* behind the others, unless it is no younger than they are."""
        if not self._samples or sample.at > self._samples[-1].at:
            self._samples.append(sample)


@define(eq=False)
class Sampler:
    """Samples a machine while it is entered.

    Attributes:
        sensors: What is asked.
        events: Told of each sample, once a second, as ``sample``, when anybody listens.
        clock: Tells seconds that never go back; the same as that of the sensors.
        sleep: Waits for so many seconds.
    """

    sensors: Sampled
    events: Events | None = None
    clock: Callable[[], float] = time.perf_counter
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    _kept: deque[DeviceSample] = field(init=False)
    _recordings: list[Recording] = field(factory=list, init=False)
    _watching: asyncio.Task[None] | None = field(default=None, init=False)
    _hurrying: asyncio.Task[None] | None = field(default=None, init=False)

    def __attrs_post_init__(self) -> None:
        self._kept = deque(maxlen=KEPT)

    @property
    def samples(self) -> Sequence[DeviceSample]:
        """The samples of the last 10 minutes, one a second, the oldest first."""
        return tuple(self._kept)

    @property
    def latest(self) -> DeviceSample | None:
        """The last sample; None before the first."""
        return self._kept[-1] if self._kept else None

    @asynccontextmanager
    async def fast(self) -> AsyncIterator[Recording]:
        """Sample 20 times a second meanwhile; several may do that at a time.

        The first sample is there when it begins and the last one is made when it ends, so that
        everything between is covered. A source that is slower by itself, such as jtop with one
        reading a second, repeats what it said.
        """
        recording = Recording()
        recording.add(await self.sensors.sample())
        self._recordings.append(recording)
        if self._hurrying is None:
            self._hurrying = asyncio.create_task(self._every(FAST_PERIOD_S, self._record))
        try:
            yield recording
            recording.add(await self.sensors.sample())
        finally:
            self._recordings.remove(recording)
            if not self._recordings:
                hurrying, self._hurrying = self._hurrying, None
                await _stopped(hurrying)

    async def __aenter__(self) -> Self:
        self._watching = asyncio.create_task(self._every(PERIOD_S, self._watch))
        return self

    async def __aexit__(self, *_: object) -> None:
        await _stopped(self._watching)

    async def _every(self, period_s: float, act: Callable[[], Awaitable[None]]) -> None:
        due = self.clock()
        while True:
            await act()
            # What took longer than the period is not made up for.
            due = max(due + period_s, self.clock())
            await self.sleep(due - self.clock())

    async def _record(self) -> None:
        sample = await self.sensors.sample()
        for recording in self._recordings:
            recording.add(sample)

    async def _watch(self) -> None:
        sample = await self.sensors.sample()
        self._kept.append(sample)
        if self.events is not None and self.events.heard:
            self.events.publish("sample", **sample.told())


async def _stopped(task: asyncio.Task[None] | None) -> None:
    if task is not None:
        task.cancel()
        await asyncio.wait([task])
