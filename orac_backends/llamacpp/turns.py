"""Turns of one engine: who may ask it now."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Literal

from attrs import define, field

Work = Literal["answers", "vectors"]


@define(eq=False)
class Turns:
    """Lets as many ask at once as the engine has slots, in the order in which they came.

    The engine is silent to those who wait for one of its slots, as if it were dead. And it never
    computes answers and vectors in one batch: vectors would wait, in the same silence, for as long
    as one answer follows the other. So here they take turns.

    Attributes:
        slots: How many may ask at once.
        texts: How many of them for vectors.
    """

    slots: int
    texts: int
    _work: Work = field(default="answers", init=False)
    _running: int = field(default=0, init=False)
    _waiting: deque[tuple[Work, asyncio.Future[None]]] = field(factory=deque, init=False)

    @asynccontextmanager
    async def of(self, work: Work) -> AsyncIterator[None]:
        """Hold a turn."""
        await self._wait(work)
        try:
            yield
        finally:
            self._running -= 1
            self._admit()

    async def _wait(self, work: Work) -> None:
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        place = (work, turn)
        self._waiting.append(place)
        self._admit()
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self._running -= 1
            with suppress(ValueError):  # it was passed over already
                self._waiting.remove(place)
            self._admit()
            raise

    def _admit(self) -> None:
        while self._waiting and self._fits(self._waiting[0][0]):
            work, turn = self._waiting.popleft()
            if not turn.done():
                self._work = work
                self._running += 1
                turn.set_result(None)

    def _fits(self, work: Work) -> bool:
        most = self.slots if work == "answers" else self.texts
        return not self._running or (work == self._work and self._running < most)
