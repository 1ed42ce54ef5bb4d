"""Asking other machines for a file: by GET alone, with every address checked on the way."""

import asyncio
import socket
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from attrs import define, field, frozen
from yarl import URL

from orac_core import BackendError, BackendUnavailable

from ._download_addresses import Near, forwarded, near, of_host, permitted
from ._download_source import Web, shown

_CONNECT_S = 10.0
_IDLE_S = 30.0
_REDIRECTS = 5
_REDIRECTING = frozenset({301, 302, 303, 307, 308})
_ALWAYS = {"accept-encoding": "identity", "user-agent": "orac"}
_BUFFER = 256 << 10


@frozen(eq=False)
class Answer:
    """What a server answers, its body still to come.

    Attributes:
        status: HTTP status.
        headers: As the server sent them, whatever the case of their names.
        server: Who sent it, for messages.
    """

    status: int
    headers: Mapping[str, str]
    server: str
    _response: aiohttp.ClientResponse

    async def pieces(self) -> AsyncGenerator[bytes, None]:
        """Yield the body as it comes.

        Raises:
            BackendUnavailable: The connection breaks, or nothing comes for too long.
        """
        try:
            async for piece in self._response.content.iter_any():
                yield piece
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise _broken(self.server, error) from error


@asynccontextmanager
async def asked(source: Web, headers: Mapping[str, str]) -> AsyncIterator[Answer]:
    """Ask for a file, following redirects; leaving closes the connection.

    The source's secret goes to the first server and to no other.

    Raises:
        BackendError: A redirect leads where a download does not go, or there are too many.
        BackendUnavailable: A server can not be reached.
    """
    url, secret = URL(source.url, encoded=True), source.secret
    guard = _Guard(of_host(url.host or ""))
    async with _session(guard) as session:
        for _ in range(_REDIRECTS + 1):
            guard.check(url)
            sent = {**headers, "authorization": f"Bearer {secret}"} if secret else headers
            async with _sent(session, url, sent) as response:
                if response.status not in _REDIRECTING:
                    yield Answer(response.status, response.headers, _name(url), response)
                    return
                url, secret = forwarded(url, response.headers.get("location", "")), None
                guard.begun()
    raise BackendError(f"{shown(source.url)} redirects more than {_REDIRECTS} times; is it right?")


@define(eq=False)
class _Guard(AbstractResolver):
    """Finds the addresses of hosts, and gives out only those that may be connected to.

    Attributes:
        own: How near the manifest's own host is, once that is known.
    """

    own: Near | None
    _seen: set[Near] = field(factory=set, init=False)
    _names: aiohttp.ThreadedResolver = field(factory=aiohttp.ThreadedResolver, init=False)

    def check(self, url: URL) -> None:
        """Refuse a host that is an address, which is never resolved.

        Raises:
            BackendError: It may not be connected to.
        """
        found = of_host(url.host or "")
        if found is not None and found not in permitted(self.own):
            raise _refused(url.host or "", found)

    def begun(self) -> None:
        """Take note that the first answer has come: how near its server was holds from now on."""
        if self.own is None:
            self.own = "private" if "private" in self._seen else "public"

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Return the addresses of *host*, without those that may not be connected to."""
        found = await self._names.resolve(host, port, family)
        nears = [near(each["host"]) for each in found]
        allowed = permitted(self.own)
        self._seen.update(nears)
        kept = [each for each, how in zip(found, nears, strict=True) if how in allowed]
        if found and not kept:
            raise _refused(host, nears[0])
        return kept

    async def close(self) -> None:
        """Nothing is held."""


def _session(guard: _Guard) -> aiohttp.ClientSession:
    limits = aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_S, sock_read=_IDLE_S)
    connector = aiohttp.TCPConnector(resolver=guard, use_dns_cache=False, force_close=True)
    return aiohttp.ClientSession(
        connector=connector,
        headers=_ALWAYS,
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=limits,
        auto_decompress=False,
        read_bufsize=_BUFFER,
    )


@asynccontextmanager
async def _sent(
    session: aiohttp.ClientSession, url: URL, headers: Mapping[str, str]
) -> AsyncIterator[aiohttp.ClientResponse]:
    try:
        async with asyncio.timeout(_CONNECT_S + _IDLE_S):
            response = await session.get(url, headers=headers, allow_redirects=False)
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        raise _broken(_name(url), error) from error
    try:
        yield response
    finally:
        response.close()


def _name(url: URL) -> str:
    return url.host or "the server"


def _broken(server: str, error: Exception) -> BackendUnavailable:
    if isinstance(error, TimeoutError):
        return BackendUnavailable(f"{server} has been silent for too long; try again later")
    told = shown(str(error)) or type(error).__name__
    return BackendUnavailable(f"the connection to {server} broke: {told}")


def _refused(host: str, how: Near) -> BackendError:
    return BackendError(
        f"{host} is a {how} address, to which a download is not led; name it in the manifest by "
        "its address if it is meant"
    )
