"""One load, joined by everyone who wants the model."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import aclosing
from typing import Any

from attrs import define, field

from ..errors import OracError, StateConflict
from ..types import LoadProgress, LoadRequest, LoadStage

Report = Callable[[LoadProgress], None]


@define(eq=False)
class Flight:
    """A load under way. It is given up when the last one who follows it has left.

    Attributes:
        request: What is loaded, and how.
        abandoned: Why it was given up, if it was; who comes later must start another.
        latest: The newest progress.
    """

    request: LoadRequest
    abandoned: OracError | None = field(default=None, init=False)
    latest: LoadProgress | None = field(default=None, init=False)
    _task: asyncio.Task[None] = field(init=False)
    _latest: dict[LoadStage, LoadProgress] = field(factory=dict, init=False)
    _changed: asyncio.Event = field(factory=asyncio.Event, init=False)
    _followers: int = field(default=0, init=False)

    def start(self, load: Callable[[Report], Coroutine[Any, Any, None]]) -> None:
        """Run *load* in a task of its own; it reports its progress to what it is given."""
        self._task = asyncio.create_task(load(self._report), name=f"load {self.request.model}")
        self._task.add_done_callback(self._end)

    async def follow(self) -> AsyncGenerator[LoadProgress, None]:
        """Yield the progress, the newest of each stage, until the load is done.

        Raises:
            OracError: whatever the load failed with.
        """
        self._followers += 1
        try:
            async with aclosing(self._news()) as news:
                async for progress in news:
                    yield progress
            self._result()
        finally:
            self._followers -= 1
            if not self._followers:
                self.give_up(StateConflict("nobody waited for the load any more"))

    def give_up(self, reason: OracError) -> None:
        """Cancel the load, unless it is done; who follows it gets *reason*.

        Only the first time counts: a second cancellation would hit the load while it tidies up.
        """
        if self.abandoned is None:
            self.abandoned = reason
            self._task.cancel()

    def cut_short(self) -> None:
        """End the load at once, also while it tidies up."""
        self._task.cancel()

    @property
    def over(self) -> bool:
        """Whether the load has ended, well or not."""
        return self._task.done()

    async def landed(self) -> None:
        """Wait until the load has ended, well or not."""
        await asyncio.wait([self._task])

    def _result(self) -> None:
        if self._task.cancelled():
            raise self.abandoned or StateConflict("the load was cancelled; load the model again")
        self._task.result()

    async def _news(self) -> AsyncGenerator[LoadProgress, None]:
        seen: dict[LoadStage, LoadProgress] = {}
        while True:
            changed, done = self._changed, self._task.done()
            for stage, progress in list(self._latest.items()):
                if seen.get(stage) is not progress:
                    seen[stage] = progress
                    yield progress
            if done:
                return
            await changed.wait()

    def _report(self, progress: LoadProgress) -> None:
        self.latest = self._latest[progress.stage] = progress
        self._wake()

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    def _end(self, task: asyncio.Task[None]) -> None:
        self._wake()
        forget_error(task)


async def exhaust(stages: AsyncGenerator[Any, None]) -> None:
    """Wait for the end of *stages*."""
    async with aclosing(stages):
        async for _ in stages:
            pass


def forget_error(task: asyncio.Task[None]) -> None:
    """Mark the error of *task* as seen: it reaches those who wait for it, if anybody still does."""
    if not task.cancelled():
        task.exception()
