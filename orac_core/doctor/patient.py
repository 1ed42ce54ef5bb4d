"""A model under examination: loaded, unloaded, measured within a deadline, and put back."""

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Protocol, TypeVar

from attrs import define, field, frozen

from ..errors import OracError
from .evidence import Snapshot

T = TypeVar("T")

ALL_LAYERS = 999
"""More layers than any model has: all of them have to be on the GPU."""

CANARIES = 5
"""Answers of one measurement: fewer have no interval worth the name."""

BACK_S = 10.0
"""Memory that has not changed for so long is back. It was seen to come in one piece after 5 s."""

MOST_BACK_S = 60.0
"""So long is waited for memory at most."""

LOOK_S = 1.0
"""Time between two looks at the memory."""

PUT_BACK_S = 600.0
"""So long putting the model back may take, beyond the deadline."""

NOT_IN_TIME = f"that took longer than {PUT_BACK_S:.0f} s"

STEADY = 0.01
"""Free memory that differs by less than this share has not changed."""


@frozen
class Standing:
    """How a model stands.

    Attributes:
        loaded: Whether it is in memory.
        gpu_layers: Layers on the GPU that were asked for; None when that was left to the engine.
    """

    loaded: bool
    gpu_layers: int | None = None


class Bench(Protocol):
    """One model, and what can be done with it. Nobody else should use it meanwhile."""

    @property
    def files(self) -> tuple[Path, ...]:
        """The model's files, as far as they can be read here."""

    async def standing(self) -> Standing:
        """Return how it stands."""

    async def load(self, gpu_layers: int | None) -> None:
        """Load it in a process of its own; None leaves the layers to the engine."""

    async def unload(self) -> None:
        """Take it out of memory; nothing happens when it is not there."""

    async def canary(self) -> float:
        """Return the decode rate of one short answer, in tokens/s."""

    async def snapshot(self) -> Snapshot:
        """Return what is known of the model and the machine around the last answer."""


@define(eq=False)
class Patient:
    """Does things with a model, one after the other, and knows how it stood.

    Attributes:
        bench: The model.
        deadline_s: For all that is done, from the first on; putting back is beyond it.
        trouble: Why the model could not be put back; None when it stands as it was found.
    """

    bench: Bench
    deadline_s: float
    trouble: str | None = field(default=None, init=False)
    _ends: float | None = field(default=None, init=False)
    _found: Standing = field(default=Standing(loaded=False), init=False)
    _now: Standing | None = field(default=None, init=False)

    @property
    def gpu_layers(self) -> int | None:
        """The layers with which the model is to be put back."""
        return self._found.gpu_layers

    @property
    def over(self) -> bool:
        """Whether the deadline is over."""
        return self._ends is not None and asyncio.get_running_loop().time() >= self._ends

    @asynccontextmanager
    async def examined(self) -> AsyncIterator[None]:
        """Put the model back at the end, however that comes: errors, deadline, cancellation."""
        self._ends = asyncio.get_running_loop().time() + self.deadline_s
        self._found = self._now = await self._within(self.bench.standing())
        try:
            yield
        finally:
            await _to_its_end(self._put_back())

    def keep(self) -> None:
        """Take the way in which the model is loaded now for the one to be put back."""
        if self._now is not None and self._found.loaded:
            self._found = self._now

    async def awake(self) -> None:
        """Load the model when it is not, or when nobody knows whether it is."""
        if self._now is None:
            await self.reload(self._found.gpu_layers)
        elif not self._now.loaded:
            await self._load(self._found.gpu_layers)

    async def reload(
        self, gpu_layers: int | None, *, when_back: bool = False, cold: bool = False
    ) -> None:
        """Unload the model and load it anew.

        Args:
            gpu_layers: Layers to ask for; None leaves that to the engine.
            when_back: Wait between the two until the memory is back.
            cold: Give the page cache of the model's files back between the two.
        """
        await self._unload()
        if when_back or cold:
            await self._within(self._back())
        if cold:
            await self._within(asyncio.to_thread(give_back, self.bench.files))
        await self._load(gpu_layers)

    async def measured(self, canaries: int = CANARIES) -> tuple[float, ...]:
        """Return the rates of some answers; one before them, to warm up, is not among them."""
        await self._within(self.bench.canary())
        return tuple([await self._within(self.bench.canary()) for _ in range(canaries)])

    async def snapshot(self) -> Snapshot:
        """Return what is known now."""
        return await self._within(self.bench.snapshot())

    async def _load(self, gpu_layers: int | None) -> None:
        self._now = None
        await self._within(self.bench.load(gpu_layers))
        self._now = Standing(loaded=True, gpu_layers=gpu_layers)

    async def _unload(self) -> None:
        self._now = None
        await self._within(self.bench.unload())
        self._now = Standing(loaded=False, gpu_layers=self._found.gpu_layers)

    async def _back(self) -> None:
        """Wait until the free memory has not changed for a while."""
        clock = asyncio.get_running_loop().time
        began = since = clock()
        last = room(await self.bench.snapshot())
        while clock() - since < BACK_S and clock() - began < MOST_BACK_S:
            await asyncio.sleep(LOOK_S)
            now = room(await self.bench.snapshot())
            if abs(now - last) > STEADY * last:
                last, since = now, clock()

    async def _put_back(self) -> None:
        try:
            async with asyncio.timeout(PUT_BACK_S):
                await self._as_found()
        except (OracError, TimeoutError) as error:
            how = "loaded" if self._found.loaded else "unloaded"
            self.trouble = (
                f"it was {how} before and could not be put back: {str(error) or NOT_IN_TIME}"
            )

    async def _as_found(self) -> None:
        if self._now == self._found or (self._now and not (self._now.loaded or self._found.loaded)):
            return
        if self._now is None or self._now.loaded:
            await self.bench.unload()
        if self._found.loaded:
            await self.bench.load(self._found.gpu_layers)

    async def _within(self, work: Awaitable[T]) -> T:
        """Return what *work* comes to; TimeoutError when the deadline is over before."""
        async with asyncio.timeout_at(self._ends):
            return await work


def room(snapshot: Snapshot) -> int:
    """Return the memory that is available, of the machine and of a GPU's own; 0 for unknown."""
    total, used = snapshot.gpu.memory_total_bytes, snapshot.gpu.memory_used_bytes
    own = total - used if total is not None and used is not None else 0
    return (snapshot.memory.available_bytes or 0) + own


def give_back(files: Iterable[Path]) -> None:
    """Let the kernel forget what it keeps of *files*; needs no root, and harms nothing.

    Pages that are mapped or not written yet stay (posix_fadvise(2), POSIX_FADV_DONTNEED).

    Raises:
        OSError: when a file can not be opened.
    """
    for path in files:
        with path.open("rb") as file:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


async def _to_its_end(work: Awaitable[None]) -> None:
    """Await *work* to its end, however often this is cancelled meanwhile."""
    task, cancelled = asyncio.ensure_future(work), None
    while not task.done():
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError as error:
            cancelled = error
    task.result()
    if cancelled is not None:
        raise cancelled
