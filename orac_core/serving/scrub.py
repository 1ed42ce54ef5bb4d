"""Reading model files again while nothing else is to do, to find storage that rots.

A disk that fails, or memory on the way to it, may change bytes that nobody has written. A model
still loads then, and answers nonsense.
"""

import asyncio
import logging
import math
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Container, Iterable, Mapping
from contextlib import asynccontextmanager

from attrs import define, field, frozen

from ..errors import ModelFileInvalid
from ..files import ModelFile, ModelFiles, Trickle, expected, key_of
from ..state_directory import StateDirectory

logger = logging.getLogger("orac.scrub")

DOCUMENT = "scrubbed"
EVERY_S = 86_400.0
"""No file is read again sooner than that."""

LOOK_S = 300.0
"""Between two looks for something to read."""

BUSY_S = 1.0
"""Between two looks whether ORAC is still busy."""


@frozen
class Pace:
    """How fast it may go, and how time passes.

    Attributes:
        bytes_per_s: Bytes to read in a second.
        wall: Tells the time of day, in seconds since 1970.
        clock: Tells the time that something takes, in seconds.
        pause: Returns after so many seconds.
    """

    bytes_per_s: float
    wall: Callable[[], float] = time.time
    clock: Callable[[], float] = time.monotonic
    pause: Callable[[float], Awaitable[None]] = asyncio.sleep


def next_due(keys: Iterable[str], read_at: Mapping[str, float], now: float) -> str | None:
    """Return which of *keys* is to be read: one never read, else the one read longest ago.

    Args:
        keys: The files there are.
        read_at: When they were read last, in seconds since 1970. A time to come is a clock that
            was set back, and says nothing.
        now: The time of day, in seconds since 1970.

    Returns:
        The key; None when all were read within the last ``EVERY_S``.
    """
    ages = {key: now - read_at.get(key, -math.inf) for key in keys}
    ages = {key: age if age >= 0 else math.inf for key, age in ages.items()}
    due = [key for key, age in ages.items() if age >= EVERY_S]
    # Large times round away small differences of age, so the times themselves decide then.
    return max(due, key=lambda key: (ages[key], -read_at.get(key, -math.inf)), default=None)


def rest_s(piece_bytes: int, took_s: float, bytes_per_s: float) -> float:
    """Return how long to wait after a piece for the rate to hold, in seconds."""
    return max(0.0, piece_bytes / bytes_per_s - took_s)


@define(eq=False)
class Scrub:
    """Reads every model file once a day and compares what it hashes to.

    That is compared with the manifest's checksum or, without one, with what the same file hashed
    to when it was read before; the first time it is remembered.

    Attributes:
        files: The model files.
        busy: Whether ORAC has something better to do.
        pace: How fast it may go.
        state: Keeps when each file was read.
    """

    files: ModelFiles
    busy: Callable[[], bool]
    pace: Pace
    state: StateDirectory
    _read_at: dict[str, float] = field(factory=dict, init=False)

    async def run(self) -> None:
        """Read what is due, one file after another, for ever."""
        self._read_at = _times(await asyncio.to_thread(self.state.read, DOCUMENT))
        while True:
            if not await self.once():
                await self.pace.pause(LOOK_S)

    async def once(self) -> bool:
        """Read the file that is due; return whether there was one."""
        models = await self._readable()
        key = next_due(models, self._read_at, self.pace.wall())
        if key is None:
            return False
        await self._verify(key, models[key])
        await asyncio.to_thread(self._note, key, models)
        return True

    async def _readable(self) -> dict[str, ModelFile]:
        models = {}
        for model in await self.files.all():
            if model.problem is None:
                try:
                    algorithm, _ = self._wanted(model)
                    models[await asyncio.to_thread(key_of, model.parts, algorithm)] = model
                except ModelFileInvalid:  # it went away since it was listed
                    continue
        return models

    def _wanted(self, model: ModelFile) -> tuple[str, str | None]:
        checksum = self.files.checksum(model)
        return expected(model.path, checksum) if checksum else ("sha256", None)

    async def _verify(self, key: str, model: ModelFile) -> None:
        algorithm, wanted = self._wanted(model)
        try:
            found = await self._digest(model, algorithm)
            if await asyncio.to_thread(key_of, model.parts, algorithm) != key:
                return
        except ModelFileInvalid as error:
            logger.warning("%s can not be read again: %s", model.id, error)
            return
        await asyncio.to_thread(self.files.digests.ledger.verified, key, found, wanted)
        now = await self.files.find(model.id)
        if now and now.problem:
            logger.error("%s is not what it should be: %s", model.id, now.problem)

    async def _digest(self, model: ModelFile, algorithm: str) -> str:
        reading = Trickle(model.parts, algorithm)
        while True:
            while self.busy():
                await self.pace.pause(BUSY_S)
            started = self.pace.clock()
            count = await asyncio.to_thread(reading.step)
            if not count:
                return reading.digest
            took_s = self.pace.clock() - started
            await self.pace.pause(rest_s(count, took_s, self.pace.bytes_per_s))

    def _note(self, key: str, there: Container[str]) -> None:
        now = self._read_at[key] = self.pace.wall()
        self._read_at = {
            key: at
            for key, at in self._read_at.items()
            if key in there or abs(now - at) < EVERY_S  # a disk may be taken out and come back
        }
        self.state.write(DOCUMENT, self._read_at)


@asynccontextmanager
async def scrubbing(scrub: Scrub) -> AsyncIterator[None]:
    """Scrub until the context is left."""
    task = asyncio.create_task(scrub.run(), name="scrub")
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])
        if not task.cancelled() and (error := task.exception()):
            logger.error("scrubbing had ended before its time", exc_info=error)


def _times(kept: object) -> dict[str, float]:
    items = kept.items() if isinstance(kept, dict) else ()
    return {key: float(at) for key, at in items if isinstance(at, int | float)}
