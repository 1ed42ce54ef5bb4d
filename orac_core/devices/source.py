"""Asking what may hang: in a thread, one at a time, with a deadline."""

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from queue import Empty, SimpleQueue
from threading import Lock, Thread
from typing import Generic, TypeVar

from attrs import define, field

T = TypeVar("T")

LINGER_S = 10.0
"""How long a thread waits for the next question before it ends."""


@define(eq=False)
class Source(Generic[T]):
    """Something that is asked again and again, and may raise, or never come back.

    Asked twice at a time, it is read once. While an answer is overdue nobody waits for it.

    Attributes:
        read: Reads it; it may block and raise anything.
        pause_s: How long it is left alone after it raised.
        clock: Tells seconds that never go back.
        silence: Why it said nothing the last time; empty when it did.
    """

    read: Callable[[], T]
    pause_s: float = 0.0
    clock: Callable[[], float] = time.monotonic
    silence: str = field(default="", init=False)
    _thread: "Reader[T]" = field(init=False)
    _flight: Future[T] | None = field(default=None, init=False)
    _overdue: bool = field(default=False, init=False)
    _until: float = field(default=float("-inf"), init=False)

    def __attrs_post_init__(self) -> None:
        self._thread = Reader(self.read)

    async def ask(self, deadline_s: float) -> T | None:
        """Return what it says, or None when it raised or *deadline_s* were over."""
        flight = self._boarded()
        if flight is None:
            return None
        try:
            async with asyncio.timeout(deadline_s):
                answer = await asyncio.wrap_future(flight)
        except Exception as error:  # noqa: BLE001 - whatever a driver raises, it said nothing
            self._said_nothing(flight, error, deadline_s)
            return None
        self.silence = ""
        return answer

    def close(self) -> None:
        """Let the thread end; asked again, there is another."""
        self._thread.close()

    def _boarded(self) -> Future[T] | None:
        """Return the reading under way, or a new one; None when it is no use to wait for one."""
        if self._flight is not None and not self._flight.done():
            return None if self._overdue else self._flight
        if self.clock() < self._until:
            return None
        self._overdue = False
        self._flight = self._thread.fly()
        return self._flight

    def _said_nothing(self, flight: Future[T], error: Exception, deadline_s: float) -> None:
        if flight.done():
            self.silence = " ".join(str(error).split())[:200] or type(error).__name__
            self._until = self.clock() + self.pause_s
        else:
            self.silence = f"no answer within {deadline_s:g} s"
            self._overdue = True


@define(eq=False)
class Reader(Generic[T]):
    """A thread that reads when it is told to; it comes with the first question.

    It is a daemon: one that hangs in a driver does not keep the process from ending.

    Attributes:
        read: Reads it; it may block and raise anything.
        linger_s: How long the thread stays without being used.
    """

    read: Callable[[], T]
    linger_s: float = LINGER_S
    _waiting: SimpleQueue[Future[T] | None] = field(factory=SimpleQueue, init=False)
    _lock: Lock = field(factory=Lock, init=False)
    _thread: Thread | None = field(default=None, init=False)

    def fly(self) -> Future[T]:
        """Return what the next reading will say."""
        flight: Future[T] = Future()
        flight.set_running_or_notify_cancel()  # from here on who waits can not cancel it
        with self._lock:
            self._waiting.put(flight)
            if self._thread is None:
                self._thread = Thread(target=self._run, name="orac-sensor", daemon=True)
                self._thread.start()
        return flight

    def close(self) -> None:
        """End the thread when it has done what waits for it."""
        with self._lock:
            if self._thread is not None:
                self._waiting.put(None)

    def _run(self) -> None:
        while (flight := self._next()) is not None:
            _fly(flight, self.read)
            del flight  # else its answer stays while nobody asks

    def _next(self) -> Future[T] | None:
        """Return what to answer next; None when the thread is to end."""
        with suppress(Empty):
            if (flight := self._waiting.get(timeout=self.linger_s)) is not None:
                return flight
        with self._lock:
            while not self._waiting.empty():
                if (flight := self._waiting.get()) is not None:
                    return flight
            self._thread = None
            return None


def _fly(flight: Future[T], read: Callable[[], T]) -> None:
    try:
        answer = read()
    except Exception as error:  # noqa: BLE001 - it is raised again where it is awaited
        flight.set_exception(error)
    except BaseException as error:  # noqa: BLE001 - a driver's exit() ends the thread, not ORAC
        flight.set_exception(RuntimeError(f"{type(error).__name__}: {error}"))
    else:
        flight.set_result(answer)
