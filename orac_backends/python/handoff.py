"""Pieces on their way from a thread to the event loop."""

import asyncio
import threading
from typing import Generic, Self, TypeVar

from attrs import define, field, frozen

T = TypeVar("T")

_ROOM = 8


@frozen
class _End:
    error: BaseException | None


@define(eq=False)
class Handoff(Generic[T]):
    """A queue with room for a few: a thread that is faster than its reader waits.

    Attributes:
        loop: Where the reader is.
    """

    loop: asyncio.AbstractEventLoop
    _room: threading.Semaphore = field(factory=lambda: threading.Semaphore(_ROOM), init=False)
    _pieces: "asyncio.Queue[T | _End]" = field(factory=asyncio.Queue, init=False)
    _stopped: bool = field(default=False, init=False)

    def put(self, piece: T) -> bool:
        """Hand over a piece, in the thread; return whether more are wanted."""
        self._room.acquire()
        if self._stopped:
            return False
        try:
            self.loop.call_soon_threadsafe(self._pieces.put_nowait, piece)
        except RuntimeError:  # the loop is closed
            return False
        return True

    def end(self, error: BaseException | None) -> None:
        """Tell the reader that there is no more, and why; on the loop."""
        self._pieces.put_nowait(_End(error))

    def stop(self) -> None:
        """Want no more; on the loop."""
        self._stopped = True
        self._room.release()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> T:
        """Return the next piece.

        Raises:
            BaseException: what `end` was told.
        """
        piece = await self._pieces.get()
        if not isinstance(piece, _End):
            self._room.release()
            return piece
        if piece.error is not None:
            raise piece.error
        raise StopAsyncIteration
