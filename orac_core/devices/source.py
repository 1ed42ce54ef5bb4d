"""Asking what may hang: in a thread, one at a time, with a deadline."""

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import Future
from threading import Thread
from typing import Generic, TypeVar

from attrs import define, field

T = TypeVar("T")


@define(eq=False)
class Source(Generic[T]):
    """Something that is asked again and again, and may raise, or never come back.

    Asked twice at a time, it is read once. While an answer is overdue nobody waits for it. The
    thread is a daemon: one that hangs in a driver does not keep the process from ending.

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
    _flight: Future[T] | None = field(default=None, init=False)
    _overdue: bool = field(default=False, init=False)
    _until: float = field(default=float("-inf"), init=False)

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

    def _boarded(self) -> Future[T] | None:
        """Return the reading under way, or a new one; None when it is no use to wait for one."""
        if self._flight is not None and not self._flight.done():
            return None if self._overdue else self._flight
        if self.clock() < self._until:
            return None
        self._overdue = False
        self._flight = _flying(self.read)
        return self._flight

    def _said_nothing(self, flight: Future[T], error: Exception, deadline_s: float) -> None:
        if flight.done():
            self.silence = " ".join(str(error).split())[:200] or type(error).__name__
            self._until = self.clock() + self.pause_s
        else:
            self.silence = f"no answer within {deadline_s:g} s"
            self._overdue = True


def _flying(read: Callable[[], T]) -> Future[T]:
    flight: Future[T] = Future()
    flight.set_running_or_notify_cancel()  # from here on who waits can not cancel it
    Thread(target=_fly, args=(flight, read), name="orac-sensor", daemon=True).start()
    return flight


def _fly(flight: Future[T], read: Callable[[], T]) -> None:
    try:
        answer = read()
    except Exception as error:  # noqa: BLE001 - it is raised again where it is awaited
        flight.set_exception(error)
    except BaseException as error:  # noqa: BLE001 - a driver's exit() ends the thread, not ORAC
        flight.set_exception(RuntimeError(f"{type(error).__name__}: {error}"))
    else:
        flight.set_result(answer)
