"""A service on a real socket, and a client for it."""

import asyncio
import socket
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import orjson
from attrs import define, frozen

from orac_core import ModelManager
from orac_core.manifest import ServerSettings
from orac_server import create_app
from orac_server.service import bound, listening, url
from tests.server import published

Event = tuple[str, Any]

WITHIN_S = 30

TESTS = ServerSettings(allowed_hosts=("a",))
"""`a` is the host that requests written by hand name."""


@frozen
class Reply:
    """An answer, read to its end."""

    status: int
    body: Any
    headers: Mapping[str, str]

    @property
    def error(self) -> dict[str, Any]:
        """The error that it tells, once it has the form that every error has."""
        assert self.status >= 400, self.body
        assert self.headers["Content-Type"] == "application/json"
        assert set(self.body) == {"error"}
        error: dict[str, Any] = self.body["error"]
        numbers = {"retry_after_s"} & set(error)
        if error["code"] == "insufficient_memory":
            numbers |= {"needed_bytes", "available_bytes"} & set(error)
        assert set(error) - {"details"} - numbers == {"message", "type", "param", "code"}
        assert self.headers.get("Retry-After", "") == str(error.get("retry_after_s", ""))
        assert error["message"]
        assert "Traceback" not in error["message"]
        assert ".py" not in error["message"]
        return error

    @property
    def faults(self) -> dict[str, str]:
        """The faults of a request, by path."""
        assert self.status == 400, self.body
        return {each["path"]: each["message"] for each in self.error["details"]}


@define(eq=False)
class Service:
    """A service that listens, and a session with it."""

    url: str
    manager: ModelManager
    session: aiohttp.ClientSession

    @property
    def port(self) -> int:
        return int(self.url.rstrip("/").rpartition(":")[2])

    async def get(self, path: str) -> Reply:
        return await self.ask("GET", path)

    async def post(self, path: str, body: object = None) -> Reply:
        return await self.ask("POST", path, json=body)

    async def ask(self, method: str, path: str, **options: Any) -> Reply:
        async with self.session.request(method, path, **options) as response:
            raw = await response.read()
            in_json = raw and response.content_type == "application/json"
            body = orjson.loads(raw) if in_json else raw
            published.check(method, path, response.status, response.content_type, body)
            if response.ok:
                published.check_taken(method, path, options.get("json"))
            return Reply(response.status, body, response.headers)

    async def events(self, path: str, body: Mapping[str, Any]) -> list[Event]:
        """Post a body that asks for a stream, and return the events."""
        async with self.session.post(path, json={**body, "stream": True}) as response:
            raw = await response.read()
            assert response.content_type == "text/event-stream", raw
            found = events(raw)
            published.check_events("POST", path, found)
            return found

    async def frames(self, path: str, body: Mapping[str, Any]) -> list[Any]:
        """Post a body that asks OpenAI's stream, and return what its frames hold."""
        async with self.session.post(path, json={**body, "stream": True}) as response:
            raw = await response.read()
            assert response.content_type == "text/event-stream", raw
            found = frames(raw)
            published.check_frames("POST", path, found)
            return found

    def socket(self) -> socket.socket:
        """Connect by hand, for what no client would send."""
        connection = socket.create_connection(("127.0.0.1", self.port), timeout=WITHIN_S)
        connection.settimeout(0)
        return connection

    async def raw(self, *sent: bytes) -> bytes:
        """Send bytes as they are and return all that comes back until the connection closes."""
        return await self._raw(sent, ends=False)

    async def raw_then_end(self, *sent: bytes) -> bytes:
        """Do the same, and send nothing more, which the server is told."""
        return await self._raw(sent, ends=True)

    async def _raw(self, sent: Iterable[bytes], *, ends: bool) -> bytes:
        loop = asyncio.get_running_loop()
        with self.socket() as connection:
            received = b""
            try:
                for data in sent:
                    await loop.sock_sendall(connection, data)
                if ends:
                    connection.shutdown(socket.SHUT_WR)
                while data := await loop.sock_recv(connection, 65536):
                    received += data
            except ConnectionError:
                pass
            return received


def events(raw: bytes) -> list[Event]:
    """Return the events of a stream, without its comments."""
    assert raw.endswith(b"\n\n")
    blocks = [block for block in raw.split(b"\n\n") if block and not block.startswith(b":")]
    return [_event(block) for block in blocks]


def frames(raw: bytes) -> list[Any]:
    """Return what the frames of a stream of OpenAI's hold, its end ``[DONE]`` as text."""
    assert raw.endswith(b"\n\n")
    blocks = [block for block in raw.split(b"\n\n") if block and not block.startswith(b":")]
    assert all(block.startswith(b"data: ") for block in blocks)
    assert b"\n" not in b"".join(blocks)
    return ["[DONE]" if block == b"data: [DONE]" else orjson.loads(block[6:]) for block in blocks]


def _event(block: bytes) -> Event:
    name, data = block.split(b"\n")
    assert name.startswith(b"event: ")
    assert data.startswith(b"data: ")
    return name[7:].decode(), orjson.loads(data[6:])


@asynccontextmanager
async def service(
    manager: ModelManager, settings: ServerSettings = TESTS, **options: Any
) -> AsyncIterator[Service]:
    """Serve a manager as `orac_server.serve` does; *options* are those of `create_app`."""
    published.published()  # made now, as tests measure how long an answer takes
    timeout = aiohttp.ClientTimeout(total=WITHIN_S)
    with bound("127.0.0.1", 0) as listener:
        address = url(listener)
        async with (
            listening(create_app(manager, settings=settings, **options), listener),
            aiohttp.ClientSession(address, timeout=timeout) as session,
        ):
            yield Service(address, manager, session)
