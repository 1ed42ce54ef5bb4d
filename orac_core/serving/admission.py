"""Who may go on, who waits, and for how long: the bounded queue in front of a model."""

import asyncio
import math
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from attrs import define, field, frozen

from ..alarm import Alarm
from ..errors import DeadlineExceeded, OracError, QueueFull
from ..types import LoadedInfo
from .breaker import Rule
from .turns import Turns

T = TypeVar("T")

MEMORY = 0.2
"""Weight of the newest answer in the running mean of their durations."""

USUAL = 8
"""Answers of a model at once, where neither the manifest nor the model says anything else."""

MOST = 1024
"""More of them are never let through, whatever a model says."""

NEVER_S = 1e9
"""A time that does not come; not every event loop takes infinity."""


@frozen
class Limits:
    """Bounds of the service.

    Attributes:
        max_concurrency: Answers at once for each model; None for 8, or as many as the model says
            that it does at once where that is more.
        max_queue: Requests that may wait for a model beyond those.
        deadline_s: Longest time for a request that names no deadline of its own.
        verify_s: Longest time for the one token that proves a load.
        unload_s: Longest time for an unload, once its answers have ended.
        list_s: Longest time for a backend to list its models.
        health_s: Longest time for a backend to say how it is.
        drain_s: Time that running answers get when ORAC stops.
        max_workers: Models that are checked and handed over at once, before each is loaded.
        turn_s: Longest time for a load to wait for those before it.
        room_s: Longest time for the answers of other models to end and make room.
        gather_s: Time in which a model that has to make room still answers those who keep asking.
        sparing: When a backend that can not be reached is spared.
    """

    max_concurrency: int | None = None
    max_queue: int = 64
    deadline_s: float = 1800.0
    verify_s: float = 120.0
    unload_s: float = 60.0
    list_s: float = 10.0
    health_s: float = 2.0
    drain_s: float = 30.0
    max_workers: int = 4
    turn_s: float = 1800.0
    room_s: float = 120.0
    gather_s: float = 5.0
    sparing: Rule = field(factory=Rule)

    def at_once(self, parallel: int | None) -> int:
        """Return how many answers a model gives at once (pure).

        Args:
            parallel: How many it says that it does at once; None where it does not say.
        """
        if self.max_concurrency is not None:
            return self.max_concurrency
        return min(max(USUAL, parallel or 0), MOST)


@define(eq=False)
class Ticket:
    """One request on its way: until when it may take, and whether it was told to stop.

    `close` it at the end, so that it does not stay in memory until its deadline.

    Attributes:
        deadline_s: Seconds it may take from now on.
        stage: What it is waiting for, for the text of the error.
    """

    deadline_s: float
    stage: str = "in the queue"
    _ends_at: float = field(init=False)
    _now: Callable[[], float] = field(init=False)
    _stopped: OracError | None = field(default=None, init=False)
    _alarm: Alarm = field(factory=Alarm, init=False)

    def __attrs_post_init__(self) -> None:
        self._now = asyncio.get_running_loop().time
        self._ends_at = self._now() + self.deadline_s

    def stop(self, reason: OracError) -> None:
        """Make the request end with *reason* at its present or next wait."""
        self._stopped = reason
        self._alarm.within(0)

    def go_on(self) -> None:
        """Forget that it was told to stop: it goes on elsewhere."""
        self._stopped = None

    def close(self) -> None:
        """Take note that there is nothing more to wait for."""
        self._alarm.close()

    def check(self) -> None:
        """Raise what `wait` would; what never has to wait is never cancelled there."""
        if self._stopped is not None:
            raise self._stopped
        if self._now() >= self._ends_at:
            raise self._too_late()

    async def wait(self, awaitable: Awaitable[T]) -> T:
        """Return the result of *awaitable*, which is cancelled when the time is over.

        Raises:
            DeadlineExceeded: when the deadline passed.
            OracError: the reason given to `stop`.
        """
        try:
            with self._alarm.by(0 if self._stopped else self._ends_at):
                return await awaitable
        except TimeoutError:
            raise self._stopped or self._too_late() from None

    @contextmanager
    def heeded(self) -> Iterator[None]:
        """Cancel what is done within when the request is told to stop; it has no deadline.

        Raises:
            OracError: the reason given to `stop`.
        """
        self._ends_at = self._now() + NEVER_S
        try:
            with self._alarm.by(0 if self._stopped else self._ends_at):
                yield
        except TimeoutError:
            if self._stopped is None:
                raise
            raise self._stopped from None

    def _too_late(self) -> DeadlineExceeded:
        return DeadlineExceeded(
            f"the deadline of {self.deadline_s:g} s passed while the request was {self.stage}; "
            "allow more time, or load the model beforehand",
        )


@define(eq=False)
class Admission:
    """The queue in front of one model: so many at once, so many waiting, first come first served.

    Attributes:
        waiting: Requests that wait for their turn.
        active: Requests that have it.
    """

    limits: Limits
    waiting: int = 0
    active: int = 0
    _turns: Turns = field(init=False)
    _mean_s: float | None = field(default=None, init=False)
    _begun: list[float] = field(factory=list, init=False)

    def __attrs_post_init__(self) -> None:
        self._turns = Turns(self.limits.at_once(None))

    @property
    def at_once(self) -> int:
        """How many may have their turn at once."""
        return self._turns.width

    @property
    def free(self) -> bool:
        """Whether who comes now has a turn at once."""
        return self._turns.free

    @property
    def counts(self) -> tuple[int, int, int]:
        """Requests that have their turn, that wait for one, and that may have one at once."""
        return self.active, self.waiting, self.at_once

    @property
    def busy(self) -> bool:
        """Whether anybody has a turn or waits for one."""
        return bool(self.active or self.waiting)

    def suit(self, loaded: LoadedInfo | None) -> None:
        """Let as many go on at once as the model does now, where the limits leave that open.

        Args:
            loaded: What the model uses; None where it is not in memory.
        """
        width = self.limits.at_once(loaded.parallel if loaded else None)
        if width != self._turns.width:
            self._turns.resize(width)

    def turn(self, ticket: Ticket, then: Callable[[], None] = lambda: None) -> "Turn":
        """Return a turn, to be held by ``async with``; *then* is called when all is over.

        Raises:
            QueueFull: when too many wait already; with an estimate of when to ask again.
            DeadlineExceeded: when the turn did not come in time.
        """
        return Turn(self, ticket, then)

    async def begin(self, ticket: Ticket) -> float:
        """Wait for a turn, raising as `turn` does; return when it began, for `end`."""
        await self._admit(ticket)
        started = asyncio.get_running_loop().time()
        self._begun.append(started)
        return started

    def end(self, started: float) -> None:
        """Give a turn back."""
        self._turns.give_back()
        self.active -= 1
        self._begun.remove(started)
        self._ended(asyncio.get_running_loop().time() - started)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Count as busy without a turn, so that the model stays."""
        self.active += 1
        try:
            yield
        finally:
            self.active -= 1

    async def _admit(self, ticket: Ticket) -> None:
        if not self.free and self.waiting >= self.limits.max_queue:
            raise self._full()
        self.waiting += 1
        try:
            await ticket.wait(self._turns.take())
            self.active += 1
        finally:
            self.waiting -= 1

    def _ended(self, took_s: float) -> None:
        before = took_s if self._mean_s is None else self._mean_s
        self._mean_s = before + MEMORY * (took_s - before)

    def _usual_s(self) -> float:
        """Return how long an answer takes; before any has ended, the age of the oldest."""
        if self._mean_s is not None:
            return self._mean_s
        now = asyncio.get_running_loop().time()
        return now - min(self._begun, default=now)

    def _full(self) -> QueueFull:
        rounds = (self.waiting + 1) / self.at_once
        return QueueFull(
            f"{self.waiting} requests wait for this model already, which is the limit; "
            "ask again later, or raise server.max_queue",
            retry_after_s=max(1, math.ceil(rounds * self._usual_s())),
        )


@define(eq=False)
class Turn:
    """A turn in a queue. No generator: that would be made, noted and closed for each request."""

    _admission: Admission
    _ticket: Ticket
    _then: Callable[[], None]
    _started: float = field(default=0.0, init=False)

    async def __aenter__(self) -> None:
        try:
            self._started = await self._admission.begin(self._ticket)
        except BaseException:
            self._then()
            raise

    async def __aexit__(self, *error: object) -> None:
        self._admission.end(self._started)
        self._then()
