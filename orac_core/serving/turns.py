"""Turns: who may go on now, and who is next; how many at once may change at any time."""

import asyncio
from collections import deque
from contextlib import suppress

from attrs import define, field


@define(eq=False)
class Turns:
    """So many turns at once, first come first served.

    ``asyncio.Semaphore`` can not become smaller. Here that takes effect as turns end, and nobody
    who has one loses it; what becomes wider lets those who wait go on at once.

    Attributes:
        width: How many may have a turn at once.
        taken: How many have one.
    """

    width: int
    taken: int = field(default=0, init=False)
    # Whoever waits does so because all turns are taken: there is never a free one beside a queue.
    _queue: deque[asyncio.Future[None]] = field(factory=deque, init=False)

    @property
    def free(self) -> bool:
        """Whether who comes now need not wait."""
        return self.taken < self.width

    async def take(self) -> None:
        """Return with a turn, to be given back by `give_back`; who is cancelled has none."""
        if self.free:
            self.taken += 1
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._queue.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            self._leave(turn)
            raise

    def give_back(self) -> None:
        """End a turn."""
        self.taken -= 1
        self._hand_out()

    def resize(self, width: int) -> None:
        """Let so many have a turn at once from now on, at least one."""
        self.width = width
        self._hand_out()

    def _leave(self, turn: asyncio.Future[None]) -> None:
        if not turn.cancelled():  # it came in the moment in which nobody wanted it any more
            self.give_back()
            return
        with suppress(ValueError):  # it was passed over already
            self._queue.remove(turn)

    def _hand_out(self) -> None:
        while self._queue and self.free:
            turn = self._queue.popleft()
            if not turn.done():
                self.taken += 1
                turn.set_result(None)
