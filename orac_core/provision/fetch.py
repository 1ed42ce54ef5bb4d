"""One model on its way to the disk, joined by everyone who wants it."""

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Coroutine
from typing import Any

from attrs import define, field

from ..types import PullProgress
from .report import Provisioned

LONGEST_WAIT_S = 600.0
"""Who asks again looks at least so often."""

Report = Callable[[PullProgress], None]


@define(eq=False)
class Fetch:
    """A fetch under way. It goes on when those who follow it leave: what has come is not lost.

    Attributes:
        clock: Tells seconds that never go back.
        latest: The newest progress.
    """

    clock: Callable[[], float] = time.monotonic
    latest: PullProgress | None = field(default=None, init=False)
    _started: float = field(init=False)
    _first: tuple[float, int] | None = field(default=None, init=False)
    _task: "asyncio.Task[Provisioned]" = field(init=False)
    _changed: asyncio.Event = field(factory=asyncio.Event, init=False)

    def start(self, work: Callable[[Report], Coroutine[Any, Any, Provisioned]]) -> None:
        """Run *work* in a task of its own; it reports its progress to what it is given."""
        self._started = self.clock()
        self._task = asyncio.create_task(work(self._report), name="provision")
        self._task.add_done_callback(lambda _: self._wake())

    @property
    def over(self) -> bool:
        """Whether it has ended, well or not."""
        return self._task.done()

    @property
    def age_s(self) -> float:
        """Seconds since it was begun."""
        return self.clock() - self._started

    @property
    def left_s(self) -> float | None:
        """Seconds that the rest takes at the pace so far; None where that can not be told."""
        if self._first is None or self.latest is None or not self.latest.total:
            return None
        took_s, came = self.clock() - self._first[0], self.latest.completed - self._first[1]
        if took_s <= 0 or came <= 0:
            return None
        left_s = (self.latest.total - self.latest.completed) * took_s / came
        return min(max(left_s, 1.0), LONGEST_WAIT_S)

    async def follow(self) -> AsyncGenerator[PullProgress, None]:
        """Yield the newest progress until the end; nothing of it when it is over already."""
        seen: PullProgress | None = None
        while not self._task.done():
            changed = self._changed
            if self.latest is not None and self.latest is not seen:
                seen = self.latest
                yield seen
            else:
                await changed.wait()

    async def result(self) -> Provisioned:
        """Return what came of it, without ending it when the caller leaves."""
        return await asyncio.shield(self._task)

    async def end(self) -> None:
        """Stop it; what has come stays for the next time."""
        self._task.cancel()
        await asyncio.wait([self._task])

    def _report(self, progress: PullProgress) -> None:
        if self._first is None and progress.total:
            self._first = self.clock(), progress.completed
        self.latest = progress
        self._wake()

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()
