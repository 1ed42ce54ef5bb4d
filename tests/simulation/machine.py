"""A simulated machine: its memory, who has how much of it, and the sensors that tell."""

import asyncio
import math
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from attrs import define, field

from orac_core.devices import Machine, Memory, Sensors

MB = 1_000_000

NOTICE_S = 0.1
"""Longest time from a look at the memory to the load that was planned with it."""


@define(eq=False)
class SimulatedMachine:
    """Memory that CPU and GPU share.

    Attributes:
        total_bytes: All of it.
        cache_ratio: Share of what is available that the page cache fills.
        others_bytes: What other programs have.
        leaving_bytes: What was given back and is not there yet.
        held: What each model has.
        expected: What each load under way is still going to take.
        surprised_at: When somebody last took memory that nobody had planned for.
        shortages: Each time that there was not enough for a load.
        sins: Each time that more was taken than there was.
    """

    total_bytes: int
    cache_ratio: float = 0.5
    others_bytes: int = 0
    leaving_bytes: int = 0
    held: Counter[str] = field(factory=Counter)
    expected: Counter[str] = field(factory=Counter)
    surprised_at: float = -math.inf
    shortages: list[str] = field(factory=list)
    sins: list[str] = field(factory=list)

    @property
    def available_bytes(self) -> int:
        taken = self.others_bytes + self.leaving_bytes + self.held.total()
        return self.total_bytes - taken

    def has(self, size_bytes: int, why: str) -> bool:
        """Whether there is that much; when not it is noted."""
        if size_bytes <= self.available_bytes:
            return True
        self.shortages.append(f"{why}: {size_bytes} of {self.available_bytes}")
        return False

    def take(self, model: str, size_bytes: int) -> None:
        if model in self.expected:
            self.expected[model] -= size_bytes
        self.held[model] += size_bytes
        if self.available_bytes < 0:
            self.sins.append(f"{model} took memory that is not there: {self.available_bytes}")

    def give_back(self, model: str, after_s: float = 0) -> None:
        """Give back what *model* has; it is there again *after_s* seconds later."""
        freed = self.held.pop(model, 0)
        if after_s and freed:
            self.leaving_bytes += freed
            asyncio.get_running_loop().call_later(after_s, self._left, freed)

    def _left(self, size_bytes: int) -> None:
        self.leaving_bytes -= size_bytes

    def taken_by_others(self, size_bytes: int = 0) -> None:
        """Take note that a program took memory, *size_bytes* of it beside all models."""
        self.others_bytes += size_bytes
        self.surprised_at = asyncio.get_running_loop().time()

    @contextmanager
    def reading(self, model: str, need_bytes: int) -> Iterator[float]:
        """Let a load take memory; yields since when nobody else may have taken any."""
        now = asyncio.get_running_loop().time()
        self.expected[model] = need_bytes
        beside = len(self.expected) > 1 and self.surprised_at < now - NOTICE_S
        if beside and self.expected.total() > self.available_bytes:
            self.sins.append(f"{dict(self.expected)} do not fit into {self.available_bytes}")
        try:
            yield now - NOTICE_S
        finally:
            self.expected.pop(model, None)

    def memory(self) -> Memory:
        cache = int(self.cache_ratio * self.available_bytes)
        return Memory(
            total_bytes=self.total_bytes,
            available_bytes=self.available_bytes,
            free_bytes=self.available_bytes - cache,
            page_cache_bytes=cache,
            unified=True,
            swap_total_bytes=0,
        )


@define(eq=False)
class SimulatedSensors(Sensors):
    """Tell the truth about the simulated machine, after a moment."""

    machine: SimulatedMachine = field(kw_only=True)
    took_s: float = 0.002

    async def look(self) -> Machine:
        await asyncio.sleep(self.took_s)
        return Machine(self.machine.memory())

    async def aclose(self) -> None:
        """There is nothing to let go of."""
