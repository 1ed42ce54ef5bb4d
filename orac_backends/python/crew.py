"""The threads of one object: nothing else ever calls it, unless its own code is asynchronous."""

import asyncio
import queue
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, TypeVar

from attrs import define, field

from .handoff import Handoff

T = TypeVar("T")

Settle = Callable[[Any, BaseException | None], None]


@define(eq=False)
class Crew:
    """So many threads, and as many seats: who calls the object holds one until it has returned.

    A thread can not be stopped. When nobody waits for a call any more it goes on, and keeps its
    seat. The threads do not keep the program from ending.

    Attributes:
        name: Of the object.
        size: How many threads.
        busy: How many seats are taken.
    """

    name: str
    size: int
    busy: int = field(default=0, init=False)
    _seats: asyncio.Semaphore = field(init=False)
    _work: "queue.SimpleQueue[Callable[[], None] | None]" = field(
        factory=queue.SimpleQueue, init=False
    )
    _still: asyncio.Event = field(factory=asyncio.Event, init=False)
    _dismissed: bool = field(default=False, init=False)

    def __attrs_post_init__(self) -> None:
        self._seats = asyncio.Semaphore(self.size)
        for number in range(self.size):
            name = f"{self.name} {number + 1}"
            threading.Thread(target=_serve, args=(self._work,), name=name, daemon=True).start()

    @property
    def left_behind(self) -> int:
        """How many threads still run although they were sent home."""
        return self.busy if self._dismissed else 0

    @asynccontextmanager
    async def seat(self) -> AsyncIterator[None]:
        """Hold a seat, for a call that needs no thread."""
        await self._sit()
        try:
            yield
        finally:
            self._rise()

    async def run(self, work: Callable[[], T], unwanted: Callable[[T], None] | None = None) -> T:
        """Return what *work* returns in a thread.

        Args:
            work: The call.
            unwanted: Called with the result, in a thread, when nobody waits for it any more.
        """
        await self._sit()
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()

        def settle(result: T, error: BaseException | None) -> None:
            if not future.done() and error is not None:
                future.set_exception(error)
            elif not future.done():
                future.set_result(result)
            elif error is None and unwanted is not None:
                self._work.put(partial(unwanted, result))
            self._rise()

        self._work.put(partial(_done, asyncio.get_running_loop(), work, settle, unwanted))
        return await future

    async def stream(self, work: Callable[[Callable[[T], bool]], None]) -> AsyncGenerator[T, None]:
        """Yield what *work* hands over from a thread, which it does with what it is called with.

        That returns False when nobody wants more.
        """
        await self._sit()
        loop = asyncio.get_running_loop()
        handoff: Handoff[T] = Handoff(loop)

        def settle(_: None, error: BaseException | None) -> None:
            handoff.end(error)
            self._rise()

        self._work.put(partial(_done, loop, partial(work, handoff.put), settle, None))
        try:
            async for item in handoff:
                yield item
        finally:
            handoff.stop()

    def post(self, work: Callable[[], None]) -> None:
        """Have a thread do *work* when it has nothing else to do; nobody waits for it."""
        self._work.put(work)

    async def quiet(self) -> None:
        """Return when no seat is taken."""
        while self.busy:
            self._still.clear()
            await self._still.wait()

    def dismiss(self) -> None:
        """Send the threads home, each after the work that it has."""
        self._dismissed = True
        if not self.busy:
            self._go()

    async def _sit(self) -> None:
        await self._seats.acquire()
        self.busy += 1

    def _rise(self) -> None:
        self.busy -= 1
        self._seats.release()
        if not self.busy:
            self._still.set()
            if self._dismissed:
                self._go()

    def _go(self) -> None:
        for _ in range(self.size):
            self._work.put(None)


def _serve(work: "queue.SimpleQueue[Callable[[], None] | None]") -> None:
    while (job := work.get()) is not None:
        job()
        del job  # it may hold the object


def _done(
    loop: asyncio.AbstractEventLoop,
    work: Callable[[], Any],
    settle: Settle,
    unwanted: Callable[[Any], None] | None,
) -> None:
    """Do *work*, and tell the event loop how it ended."""
    result, failure = None, None
    try:
        result = work()
    except BaseException as error:  # noqa: BLE001 - it is told to who waits
        failure = error
    try:
        loop.call_soon_threadsafe(settle, result, failure)
    except RuntimeError:  # the loop is closed
        if failure is None and unwanted is not None:
            unwanted(result)
