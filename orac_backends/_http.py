"""HTTP as a client: the only place that imports httpx.

httpx makes the addresses. All else is aiohttp's, whose connection pool and parser are many times
faster; a request and a response of httpx made for each answer would cost a tenth of its CPU time.
No redirect is followed, so a key goes nowhere but to the server it is for, and no proxy is taken
from the environment. Whatever goes wrong comes out as a `BackendError`.
"""

import asyncio
import os
import ssl
import sys
from collections.abc import AsyncIterable, Awaitable, Mapping
from functools import lru_cache
from pathlib import Path
from socket import gaierror
from typing import Any, Self

import aiohttp
import orjson
from attrs import define, field, frozen
from yarl import URL

from orac_core import Alarm, BackendError, BackendUnavailable, InvalidRequest

# Where rich is installed httpx brings its command line along: three quarters of the time and the
# memory that importing it costs. Without this module it does as if rich were not there.
sys.modules.setdefault("httpx._main", None)  # type: ignore[arg-type]

import httpx  # noqa: E402

_ALWAYS = {"accept-encoding": "identity", "user-agent": "orac"}
_JSON = {"content-type": "application/json"}
_BYTES = "application/octet-stream"
_MAX_CONNECTIONS = 1024
_READ_BYTES = 16 << 10


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
        headers: What else it said.
    """

    status: int
    body: bytes
    server: str
    headers: Mapping[str, str] = field(factory=dict)

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


@define(eq=False)
class Stream:
    """An answer that arrives while this is entered: its body, cut wherever the network cut it.

    No generator, here and for its reads: these would be made, noted and closed for each answer.
    Entering and each read raise `BackendUnavailable` when the server can not be reached, the
    connection breaks, or nothing comes for too long.

    Attributes:
        server: Who sends it, for messages.
        idle_s: Longest silence of the server from now on; may be changed between two reads.
        status: HTTP status, once it is entered.
    """

    server: str
    _asked: Awaitable[aiohttp.ClientResponse]
    _patience_s: float
    idle_s: float
    status: int = field(default=0, init=False)
    _response: aiohttp.ClientResponse = field(init=False)
    _alarm: Alarm = field(factory=Alarm, init=False)

    async def __aenter__(self) -> Self:
        with _Translating(self.server, self._patience_s):
            self._response = await self._asked
        self.status = self._response.status
        return self

    async def __aexit__(self, *error: object) -> None:
        self._alarm.close()
        with _Translating(self.server):
            self._response.release()
            await self._response.wait_for_close()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        with _Translating(self.server, self.idle_s), self._alarm.within(self.idle_s):
            read = await self._response.content.read(_READ_BYTES)
        if not read:
            raise StopAsyncIteration
        return read

    def header(self, name: str) -> str:
        """Return a header of the answer; empty where there is none."""
        return self._response.headers.get(name, "")

    async def whole(self, limit: int = 1 << 20) -> Reply:
        """Read the rest.

        Raises:
            BackendError: when it is longer than *limit* bytes.
        """
        body = bytearray()
        async for read in self:
            body += read
            if len(body) > limit:
                raise BackendError(f"{self.server} answered with more than {limit} bytes")
        return Reply(self.status, bytes(body), self.server, self._response.headers)


@define(eq=False)
class HttpClient:
    """Connections to one server.

    Attributes:
        server: What the server is called in messages.
    """

    server: str
    _base: httpx.URL
    _session: aiohttp.ClientSession
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
        ca_file: Path | None = None,
        proxy: str | None = None,
    ) -> Self:
        """Make a client; nothing is connected yet. Must be called with an event loop running.

        Args:
            server: What the server is called in messages.
            base_url: What paths are added to. With *socket* its host does not matter.
            socket: Unix socket to connect to, instead of the host and port.
            headers: Sent with each request: a key.
            keep_alive: Whether connections are used again.
            connect_s: Longest time to make a connection, or to wait for a free one.
            ca_file: Certificates to trust for https, instead of those of the system.
            proxy: Address of a proxy to go through; none is taken from the environment.

        Raises:
            OSError: when there are no certificates in *ca_file*.
        """
        trusted = None if ca_file is None else ssl.create_default_context(cafile=ca_file)
        session = aiohttp.ClientSession(
            connector=_connector(socket, trusted, keep_alive=keep_alive),
            headers=_ALWAYS | dict(headers or {}),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            proxy=proxy,
        )
        return cls(server, httpx.URL(base_url.rstrip("/") + "/"), session, connect_s)

    @property
    def url(self) -> str:
        """What paths are added to."""
        return str(self._base)

    async def close(self) -> None:
        """Close all connections."""
        await self._session.close()

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

    def stream(  # noqa: PLR0913 - named in every call but the first two
        self,
        method: str,
        path: str,
        *,
        json: object = None,
        upload: Upload | None = None,
        idle_s: float,
        first_s: float | None = None,
    ) -> Stream:
        """Return an answer, to be entered by ``async with``: only then is it asked for.

        Leaving it before its end closes the connection.

        Args:
            method: HTTP method.
            path: Added to the base address.
            json: Sent as the body, unless it is None.
            upload: Sent as the body instead, never held whole.
            idle_s: Longest silence of the server.
            first_s: Longest silence until its answer begins, when that may be longer.

        Raises:
            InvalidRequest: when *json* can not be written as JSON.
        """
        patience_s = max(idle_s, first_s or 0.0)
        headers, body = _said(json, upload)
        asked = self._session.request(
            method,
            _joined(self._base, path),
            headers=headers,
            data=body,
            allow_redirects=False,
            timeout=_limits(self._connect_s, patience_s),
        )
        return Stream(self.server, asked, patience_s, idle_s)


def _said(
    json: object, upload: Upload | None
) -> tuple[Mapping[str, str] | None, bytes | AsyncIterable[bytes] | None]:
    """Return the headers and the body of a request."""
    if upload is not None:
        told = {"content-type": _BYTES, "content-length": str(upload.length)}
        return told, upload.pieces
    return (None, None) if json is None else (_JSON, _encoded(json))


@lru_cache(maxsize=64)
def _limits(connect_s: float, read_s: float) -> aiohttp.ClientTimeout:
    return aiohttp.ClientTimeout(connect=connect_s, sock_connect=connect_s, sock_read=read_s)


@lru_cache(maxsize=64)
def _joined(base: httpx.URL, path: str) -> URL:
    """Return an address; the same few are asked for again and again, and making one is dear."""
    return URL(str(base.join(path.removeprefix("/"))))


def _connector(
    socket: Path | None, trusted: ssl.SSLContext | None, *, keep_alive: bool
) -> aiohttp.BaseConnector:
    if socket is not None:
        return aiohttp.UnixConnector(
            str(socket), force_close=not keep_alive, limit=_MAX_CONNECTIONS
        )
    return aiohttp.TCPConnector(
        force_close=not keep_alive, limit=_MAX_CONNECTIONS, ssl=trusted or True
    )


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
        if isinstance(error, aiohttp.ConnectionTimeoutError):
            raise _broken(self.server, error) from error
        if isinstance(error, TimeoutError):
            raise _silent(self.server, self.idle_s) from error
        if isinstance(error, aiohttp.ClientError):
            raise _broken(self.server, error) from error


def _broken(server: str, error: Exception) -> BackendUnavailable:
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return BackendUnavailable(
            f"the certificate of {server} is not to be trusted: {error.certificate_error}; "
            "name the file of those who signed it in `ca_file`"
        )
    if isinstance(error, aiohttp.ClientConnectorError):
        return BackendUnavailable(f"cannot connect to {server}: {_refusal(error)}; is it running?")
    told = str(error) or type(error).__name__
    return BackendUnavailable(f"the connection to {server} broke: {told}")


def _refusal(error: aiohttp.ClientConnectorError) -> str:
    """Return why there is no connection, without the addresses that were tried."""
    cause = error.os_error
    if isinstance(cause, gaierror):
        return f"its name is not known ({cause.strerror})"
    return os.strerror(cause.errno) if cause.errno else str(error)


def _silent(server: str, idle_s: float | None) -> BackendUnavailable:
    span = "too long" if idle_s is None else f"{idle_s:g} s"
    return BackendUnavailable(f"{server} has been silent for {span}; it may hang")
