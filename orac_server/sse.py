"""Server-sent events (https://html.spec.whatwg.org/multipage/server-sent-events.html).

A stream of ORAC's ends with exactly one of ``done`` and ``error``. Its headers go out with its
first event, so what fails before that is told by the status.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Mapping
from contextlib import aclosing
from typing import Any

from aiohttp import web
from attrs import define, field

from .body import encode
from .errors import told

Event = tuple[str, Mapping[str, Any]]

SILENCE_S = 10.0
"""A stream that has no first event after this begins without one."""

KEEP_ALIVE_S = 15.0
"""A comment goes out after so much silence, so that nobody on the way closes the connection."""

STALLED_S = 60.0
"""A client that reads nothing for so long is given up."""

ROOM_BYTES = 256 * 1024
"""What may wait for a slow client before the engine has to."""

COMMENT = b": working\n\n"

HEADERS = {
    "Content-Type": "text/event-stream; charset=utf-8",
    "Cache-Control": "no-store",
    "X-Accel-Buffering": "no",  # nginx would hold the events back
}


def frame(name: str, data: Mapping[str, Any]) -> bytes:
    """Return one event as it goes over the wire."""
    return b"event: %b\ndata: %b\n\n" % (name.encode(), encode(data))


async def respond(request: web.Request, events: AsyncGenerator[Event, None]) -> web.StreamResponse:
    """Send *events*; they are closed at once when the client leaves.

    Raises:
        Exception: what *events* raised before the first of them.
    """
    outbox = _Outbox()
    filling = asyncio.create_task(outbox.fill(events))
    try:
        return await _sent(request, outbox)
    finally:
        filling.cancel()
        await asyncio.wait([filling])


@define(eq=False)
class _Outbox:
    """Events that wait to be written: all that are ready at once go out in one write."""

    failure: Exception | None = field(default=None, init=False)
    over: bool = field(default=False, init=False)
    _frames: list[bytes] = field(factory=list, init=False)
    _size: int = field(default=0, init=False)
    _news: asyncio.Event = field(factory=asyncio.Event, init=False)
    _room: asyncio.Event = field(factory=asyncio.Event, init=False)

    async def fill(self, events: AsyncGenerator[Event, None]) -> None:
        """Take in all of *events*."""
        try:
            async with aclosing(events):
                async for name, data in events:
                    await self._put(frame(name, data))
        except Exception as error:  # noqa: BLE001 - whoever sends the events tells it
            self.failure = error
        finally:
            self.over = True
            self._news.set()

    async def take(self, patience_s: float) -> bytes:
        """Return what is ready; nothing when it stays silent for so long, or all is over."""
        if not self._frames and not self.over:
            self._news.clear()
            try:
                async with asyncio.timeout(patience_s):
                    await self._news.wait()
            except TimeoutError:
                return b""
        ready = b"".join(self._frames)
        self._frames.clear()
        self._size = 0
        self._room.set()
        return ready

    async def _put(self, data: bytes) -> None:
        self._frames.append(data)
        self._size += len(data)
        self._news.set()
        if self._size > ROOM_BYTES:
            self._room.clear()
            await self._room.wait()


async def _sent(request: web.Request, outbox: _Outbox) -> web.StreamResponse:
    ready = await outbox.take(SILENCE_S)
    if not ready and outbox.failure:
        raise outbox.failure
    response = web.StreamResponse(headers=HEADERS)
    try:
        await response.prepare(request)
        while not outbox.over:
            await _in_time(response.write(ready or COMMENT))
            ready = await outbox.take(KEEP_ALIVE_S)
        rest = ready + await outbox.take(0) + _last(outbox, request)
        await _in_time(response.write_eof(rest))
    except (ConnectionError, TimeoutError):
        if request.transport:
            request.transport.abort()
    return response


async def _in_time(writing: Awaitable[None]) -> None:
    async with asyncio.timeout(STALLED_S):
        await writing


def _last(outbox: _Outbox, request: web.Request) -> bytes:
    return frame("error", told(outbox.failure, request).body) if outbox.failure else b""
