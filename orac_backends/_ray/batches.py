"""Pieces of an answer taken together, so that what each message costs does not bound the speed."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Generic, TypeVar

from attrs import define, field

T = TypeVar("T")

MOST = 512
"""Pieces that wait at most; then their maker waits."""


async def batches(
    pieces: AsyncGenerator[T, None], pause_s: float, sign_s: float | None = None
) -> AsyncGenerator[list[T], None]:
    """Yield lists of the *pieces*, the first at once and the others no closer than *pause_s*.

    Nothing waits for a piece to come: a list is what has come meanwhile. An empty one comes first
    when there is none within *sign_s*. Closing it closes *pieces*.
    """
    basket: _Basket[T] = _Basket(pieces)
    filling = asyncio.create_task(basket.fill(), name="collect pieces")
    try:
        if sign_s is not None and not await basket.soon(filling, sign_s):
            yield []
        while await basket.wait(filling):
            yield basket.empty()
            await asyncio.wait([filling], timeout=pause_s)
        await filling
    finally:
        filling.cancel()
        await asyncio.wait([filling])


@define(eq=False)
class _Basket(Generic[T]):
    pieces: AsyncGenerator[T, None]
    _held: list[T] = field(factory=list, init=False)
    _some: asyncio.Event = field(factory=asyncio.Event, init=False)
    _room: asyncio.Event = field(factory=asyncio.Event, init=False)

    async def fill(self) -> None:
        """Take in every piece."""
        try:
            async with aclosing(self.pieces):
                async for piece in self.pieces:
                    self._held.append(piece)
                    self._some.set()
                    if len(self._held) >= MOST:
                        self._room.clear()
                        await self._room.wait()
        finally:
            self._some.set()

    async def wait(self, filling: "asyncio.Task[None]") -> bool:
        """Wait until there is something; return whether there is."""
        while not self._held and not filling.done():
            self._some.clear()
            await self._some.wait()
        return bool(self._held)

    async def soon(self, filling: "asyncio.Task[None]", within_s: float) -> bool:
        """Wait as `wait` does, no longer than that; return whether it was over by then."""
        try:
            async with asyncio.timeout(within_s):
                await self.wait(filling)
        except TimeoutError:
            return False
        return True

    def empty(self) -> list[T]:
        """Return what there is, and make room."""
        held, self._held = self._held, []
        self._room.set()
        return held
