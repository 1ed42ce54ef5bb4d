"""Server-sent events (https://html.spec.whatwg.org/multipage/server-sent-events.html).

A stream of ORAC's ends with exactly one of ``done`` and ``error``. Its headers go out with its
first event, so what fails before that is told by the status.
"""

import asyncio
import math
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing, closing, suppress
from typing import Any, TypeVar

from aiohttp import web
from attrs import define, field

from orac_core import Alarm

from .body import encode
from .errors import told
from .keys import STREAMS
from .observing import passage
from .streams import client_of

T = TypeVar("T")

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


def frame(event: Event) -> bytes:
    """Return an event of ORAC's own as it goes over the wire."""
    name, data = event
    return b"event: %b\ndata: %b\n\n" % (name.encode(), encode(data))


def fault(envelope: Mapping[str, Any]) -> bytes:
    """Return the event that ends a stream of ORAC's own with an error."""
    return frame(("error", envelope))


async def respond(
    request: web.Request,
    events: AsyncGenerator[T, None],
    framed: Callable[[T], bytes] = frame,  # type: ignore[assignment]
    failed: Callable[[Mapping[str, Any]], bytes] = fault,
    *,
    deadline_s: float = math.inf,
) -> web.StreamResponse:
    """Send *events*; they are closed at once when the client leaves.

    Args:
        request: Who asks.
        events: What to send; the last of them has to end the stream.
        framed: Returns an event as it goes over the wire.
        failed: Returns what ends the stream instead when *events* raise, from the envelope of the
            error.
        deadline_s: After so long *events* end by themselves, and no slow client holds them up.

    Raises:
        TooManyStreams: when the client has too many streams open.
        Exception: what *events* raised before the first of them.
    """
    async with aclosing(events):
        with (
            request.app[STREAMS].held(client_of(request), _kind(request)),
            closing(Alarm()) as alarm,
        ):
            ends_at = asyncio.get_running_loop().time() + deadline_s
            outbox = _Outbox(framed, alarm, ends_at)
            filling = asyncio.create_task(outbox.fill(events))
            try:
                return await _sent(request, outbox, failed)
            finally:
                filling.cancel()
                await _end(filling)


async def _end(filling: asyncio.Task[None]) -> None:
    """Wait for its end, however often this is cancelled: before, the events can not be closed."""
    cancelled = None
    while not filling.done():
        try:
            await asyncio.wait([filling])
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None:
        raise cancelled


def _kind(request: web.Request) -> str:
    resource = request.match_info.route.resource
    return resource.canonical if resource else ""


@define(eq=False)
class _Outbox:
    """Events that wait to be written: all that are ready at once go out in one write."""

    framed: Callable[[Any], bytes] = frame
    alarm: Alarm = field(factory=Alarm)
    ends_at: float = math.inf
    failure: Exception | None = field(default=None, init=False)
    over: bool = field(default=False, init=False)
    _frames: list[bytes] = field(factory=list, init=False)
    _size: int = field(default=0, init=False)
    _news: asyncio.Event = field(factory=asyncio.Event, init=False)
    _room: asyncio.Event = field(factory=asyncio.Event, init=False)

    async def fill(self, events: AsyncGenerator[Any, None]) -> None:
        """Take in all of *events*."""
        try:
            async with aclosing(events):
                async for event in events:
                    await self._put(self.framed(event))
        except Exception as error:  # noqa: BLE001 - whoever sends the events tells it
            self.failure = error
        except asyncio.CancelledError:
            if _is_cancelled():
                raise
            self.failure = RuntimeError("what the events come from was cancelled")
        finally:
            self.over = True
            self._news.set()

    async def take(self, patience_s: float) -> bytes:
        """Return what is ready; nothing when it stays silent for so long, or all is over."""
        if not self._frames and not self.over:
            self._news.clear()
            try:
                with self.alarm.within(patience_s):
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
            await self._wait_for_room()

    async def _wait_for_room(self) -> None:
        ends_at = None if math.isinf(self.ends_at) else self.ends_at
        with suppress(TimeoutError):
            async with asyncio.timeout_at(ends_at):
                await self._room.wait()


async def _sent(
    request: web.Request, outbox: _Outbox, failed: Callable[[Mapping[str, Any]], bytes]
) -> web.StreamResponse:
    ready = await outbox.take(SILENCE_S)
    if not ready and outbox.failure:
        raise outbox.failure
    response = web.StreamResponse(headers=HEADERS)
    try:
        await response.prepare(request)
        while not outbox.over:
            with outbox.alarm.within(STALLED_S):
                await response.write(ready or COMMENT)
            ready = await outbox.take(KEEP_ALIVE_S)
        rest = ready + await outbox.take(0)
        if outbox.failure:
            rest += failed(told(outbox.failure, request).body)
        with outbox.alarm.within(STALLED_S):
            await response.write_eof(rest)
    except (ConnectionError, TimeoutError):
        passage.abandoned()
        if request.transport:
            request.transport.abort()
    return response


def _is_cancelled() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
