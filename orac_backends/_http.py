"""HTTP as a client: the only place that imports httpx.

httpx speaks through aiohttp, whose connection pool and parser are many times faster than its own.
No redirect is followed, so a key goes nowhere but to the server it is for, and no proxy is taken
from the environment. Whatever goes wrong comes out as a `BackendError`.
"""

import asyncio
import ssl
import sys
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Mapping
from contextlib import aclosing, asynccontextmanager, closing
from functools import lru_cache
from pathlib import Path
from typing import Any, Self, cast

import aiohttp
import orjson
from attrs import define, frozen

from orac_core import Alarm, BackendError, BackendUnavailable, InvalidRequest

# Where rich is installed httpx brings its command line along: three quarters of the time and the
# memory that importing it costs. Without this module it does as if rich were not there.
sys.modules.setdefault("httpx._main", None)  # type: ignore[arg-type]

import httpx  # noqa: E402
import httpx_aiohttp  # noqa: E402

_ALWAYS = {"accept-encoding": "identity", "user-agent": "orac"}
_ENCODING = "ascii"  # else it is found out, header by header, for each request
_NONE = httpx.Headers(encoding=_ENCODING)
_JSON = httpx.Headers({"content-type": "application/json"}, _ENCODING)
_BYTES = "application/octet-stream"
_MAX_CONNECTIONS = 1024


@frozen
class Upload:
    """A body that is sent as it is read.

    Attributes:
        pieces: Its bytes.
        length: How many they are together.
    """

    pieces: AsyncIterable[bytes]
    length: int


@frozen
class Reply:
    """A whole answer of a server.

    Attributes:
        status: HTTP status.
        body: At most as many bytes as were allowed.
        server: Who sent it, for messages.
    """

    status: int
    body: bytes
    server: str

    def json(self) -> Any:
        """Return the body as JSON.

        Raises:
            BackendError: when it is none.
        """
        try:
            return orjson.loads(self.body)
        except ValueError as error:
            raise BackendError(
                f"{self.server} answered {self.status} with something that is not JSON; "
                "is it the server that it is meant to be?",
            ) from error


@frozen(eq=False)
class Stream:
    """An answer of a server that is still arriving."""

    status: int
    server: str
    _response: httpx.Response
    _idle_s: float

    async def reads(self) -> AsyncGenerator[bytes, None]:
        """Yield the body as it arrives, cut wherever the network cut it.

        Raises:
            BackendUnavailable: when the connection breaks, or nothing comes for too long.
        """
        stream = cast("httpx.AsyncByteStream", self._response.stream)
        reads = cast("AsyncGenerator[bytes, None]", aiter(stream))
        with _Translating(self.server, self._idle_s), closing(Alarm()) as alarm:
            async with aclosing(reads):
                while True:
                    try:
                        with alarm.within(self._idle_s):
                            read = await anext(reads)
                    except StopAsyncIteration:
                        return
                    except TimeoutError as error:
                        raise _silent(self.server, self._idle_s) from error
                    yield read

    async def whole(self, limit: int = 1 << 20) -> Reply:
        """Read the rest.

        Raises:
            BackendError: when it is longer than *limit* bytes.
        """
        body = bytearray()
        async with aclosing(self.reads()) as reads:
            async for read in reads:
                body += read
                if len(body) > limit:
                    raise BackendError(f"{self.server} answered with more than {limit} bytes")
        return Reply(self.status, bytes(body), self.server)


@define(eq=False)
class HttpClient:
    """Connections to one server.

    Attributes:
        server: What the server is called in messages.
    """

    server: str
    _base: httpx.URL
    _transport: httpx.AsyncBaseTransport
    _connect_s: float

    @classmethod
    def open(  # noqa: PLR0913 - named in every call but the first two
        cls,
        server: str,
        base_url: str,
        *,
        socket: Path | None = None,
        headers: Mapping[str, str] | None = None,
        keep_alive: bool = True,
        connect_s: float = 5.0,
    ) -> Self:
        """Make a client; nothing is connected yet. Must be called with an event loop running.

        Args:
            server: What the server is called in messages.
            base_url: What paths are added to. With *socket* its host does not matter.
            socket: Unix socket to connect to, instead of the host and port.
            headers: Sent with each request: a key.
            keep_alive: Whether connections are used again.
            connect_s: Longest time to make a connection, or to wait for a free one.
        """
        unused = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # spares httpx reading certificates
        transport = httpx_aiohttp.AiohttpTransport(
            client=_session(socket, _ALWAYS | dict(headers or {}), keep_alive=keep_alive),
            verify=unused,
        )
        return cls(server, httpx.URL(base_url.rstrip("/") + "/"), transport, connect_s)

    @property
    def url(self) -> str:
        """What paths are added to."""
        return str(self._base)

    async def close(self) -> None:
        """Close all connections."""
        await self._transport.aclose()

    async def request(
        self,
        method: str,
        path: str,
        *,
        json: object = None,
        timeout_s: float = 10.0,
        limit: int = 16 << 20,
    ) -> Reply:
        """Ask, and read the whole answer, of at most *limit* bytes.

        Raises:
            BackendUnavailable: when the server can not be reached or is silent for too long.
            BackendError: when the answer is too long.
        """
        try:
            async with (
                asyncio.timeout(timeout_s),
                self.stream(method, path, json=json, idle_s=timeout_s) as stream,
            ):
                return await stream.whole(limit)
        except TimeoutError as error:
            raise _silent(self.server, timeout_s) from error

    @asynccontextmanager
    async def stream(  # noqa: PLR0913 - named in every call but the first two
        self,
        method: str,
        path: str,
        *,
        json: object = None,
        upload: Upload | None = None,
        idle_s: float,
        first_s: float | None = None,
    ) -> AsyncIterator[Stream]:
        """Ask, and let the answer arrive; leaving closes the connection if it has not ended.

        Args:
            method: HTTP method.
            path: Added to the base address.
            json: Sent as the body, unless it is None.
            upload: Sent as the body instead, never held whole.
            idle_s: Longest silence of the server.
            first_s: Longest silence until its answer begins, when that may be longer.

        Raises:
            BackendUnavailable: when the server can not be reached or is silent for too long.
            InvalidRequest: when *json* can not be written as JSON.
        """
        patience_s = max(idle_s, first_s or 0.0)
        request = self._request(method, path, json, upload, patience_s)
        with _Translating(self.server, patience_s):
            response = await self._transport.handle_async_request(request)
        try:
            yield Stream(response.status_code, self.server, response, idle_s)
        finally:
            with _Translating(self.server):
                await response.aclose()

    def _request(
        self, method: str, path: str, json: object, upload: Upload | None, read_s: float
    ) -> httpx.Request:
        headers = _NONE
        body: httpx.AsyncByteStream = httpx.ByteStream(b"")
        if upload is not None:
            told = {"content-type": _BYTES, "content-length": str(upload.length)}
            headers = httpx.Headers(told, _ENCODING)
            body = _Body(upload.pieces)
        elif json is not None:
            headers, body = _JSON, httpx.ByteStream(_encoded(json))
        limits = {"connect": self._connect_s, "pool": self._connect_s, "read": read_s}
        request = httpx.Request(
            method,
            _joined(self._base, path),
            headers=headers,
            stream=body,
            extensions={"timeout": limits},
        )
        request.headers.encoding = _ENCODING
        if upload is None:
            request.read()
        return request


@frozen(eq=False)
class _Body(httpx.AsyncByteStream):
    """A body that is sent as it is read."""

    pieces: AsyncIterable[bytes]

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for piece in self.pieces:
            yield piece


@lru_cache(maxsize=64)
def _joined(base: httpx.URL, path: str) -> httpx.URL:
    """Return an address; the same few are asked for again and again, and making one is dear."""
    return base.join(path.removeprefix("/"))


def _session(
    socket: Path | None, headers: Mapping[str, str], *, keep_alive: bool
) -> aiohttp.ClientSession:
    connector: aiohttp.BaseConnector
    if socket is not None:
        connector = aiohttp.UnixConnector(
            str(socket), force_close=not keep_alive, limit=_MAX_CONNECTIONS
        )
    else:
        connector = aiohttp.TCPConnector(force_close=not keep_alive, limit=_MAX_CONNECTIONS)
    jar = aiohttp.DummyCookieJar()
    return aiohttp.ClientSession(connector=connector, headers=headers, cookie_jar=jar)


def _encoded(json: object) -> bytes:
    try:
        return bytes(memoryview(orjson.dumps(json)))  # its own holds 4 KiB, however short it is
    except (TypeError, ValueError) as error:
        raise InvalidRequest(f"the request cannot be written as JSON: {error}") from error


@frozen
class _Translating:
    """Makes a `BackendError` of what goes wrong within."""

    server: str
    idle_s: float | None = None

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, httpx.ReadTimeout):
            raise _silent(self.server, self.idle_s) from error
        if isinstance(error, httpx.HTTPError | aiohttp.ClientError):
            raise _broken(self.server, error) from error


def _broken(server: str, error: Exception) -> BackendUnavailable:
    # The transport gives a refused connection out as a timeout; its cause knows better.
    if isinstance(error.__cause__, aiohttp.ClientConnectorError):
        return BackendUnavailable(f"cannot connect to {server}: {error}; is it running?")
    told = str(error) or type(error).__name__
    return BackendUnavailable(f"the connection to {server} broke: {told}")


def _silent(server: str, idle_s: float | None) -> BackendUnavailable:
    span = "too long" if idle_s is None else f"{idle_s:g} s"
    return BackendUnavailable(f"{server} has been silent for {span}; it may hang")
