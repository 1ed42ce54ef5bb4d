"""A TCP proxy between two that talk, which does to their bytes what a bad network does.

Its faults are those of toxiproxy (https://github.com/Shopify/toxiproxy#toxics).
"""

import asyncio
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Self

from attrs import define, field, frozen

READ_BYTES = 1 << 16


@frozen
class Toxic:
    """What happens to the bytes of one direction; as it is, nothing.

    Attributes:
        latency_s: Each read is passed on so much later.
        bytes_per_s: No faster than this.
        slice_bytes: In pieces of so many bytes.
        limit_bytes: After so many the connection is closed.
        reset_bytes: After so many it is reset.
        hang_bytes: After so many nothing is passed on any more, and nothing is closed.
        close_late_s: The end is passed on so much later.
    """

    latency_s: float = 0.0
    bytes_per_s: float | None = None
    slice_bytes: int | None = None
    limit_bytes: int | None = None
    reset_bytes: int | None = None
    hang_bytes: int | None = None
    close_late_s: float = 0.0

    @property
    def most_bytes(self) -> float:
        """How many are passed on at all."""
        given = (self.limit_bytes, self.reset_bytes, self.hang_bytes)
        return min((each for each in given if each is not None), default=float("inf"))


@define(eq=False)
class FaultProxy:
    """Passes on what clients send, and what the server answers.

    Attributes:
        port: The server's.
        up: What happens to what clients send.
        down: What happens to what the server answers.
        open: Connections that are open now.
        taken: Connections that there have been.
    """

    port: int
    up: Toxic = Toxic()
    down: Toxic = Toxic()
    open: int = 0
    taken: int = 0
    _server: asyncio.Server | None = field(default=None, init=False)
    _tasks: set[asyncio.Task[None]] = field(factory=set, init=False)

    @property
    def url(self) -> str:
        """What to ask in place of the server."""
        assert self._server is not None
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[Self]:
        """Listen; leaving ends every connection."""
        self._server = await asyncio.start_server(self._taken, "127.0.0.1", 0)
        try:
            yield self
        finally:
            self._server.close()
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _taken(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.open += 1
        self.taken += 1
        try:
            with suppress(ConnectionError, asyncio.CancelledError):
                await self._joined(reader, writer)
        finally:
            self.open -= 1
            self._tasks.discard(task)

    async def _joined(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection("127.0.0.1", self.port)
        ways = [
            asyncio.create_task(_passed(reader, back, self.up)),
            asyncio.create_task(_passed(there, writer, self.down)),
        ]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            reset = any(each.reset_bytes is not None for each in (self.up, self.down))
            for end in (writer, back):
                _ended(end, reset=reset)
            await asyncio.gather(*ways, return_exceptions=True)


async def _passed(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, toxic: Toxic) -> None:
    """Pass on what comes, until it ends or the toxic ends it."""
    passed = 0
    while passed < toxic.most_bytes:
        read = await reader.read(toxic.slice_bytes or READ_BYTES)
        if not read:
            break
        data = read[: int(min(len(read), toxic.most_bytes - passed))]
        await asyncio.sleep(toxic.latency_s + len(data) / (toxic.bytes_per_s or float("inf")))
        writer.write(data)
        await writer.drain()
        passed += len(data)
    if toxic.hang_bytes is not None and passed >= toxic.hang_bytes:
        await asyncio.Event().wait()
    await asyncio.sleep(toxic.close_late_s)


def _ended(writer: asyncio.StreamWriter, *, reset: bool) -> None:
    if reset:
        found = writer.get_extra_info("socket")
        with suppress(OSError):
            found.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()
    else:
        writer.close()
