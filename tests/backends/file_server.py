"""A server of files that a test makes as bad as it likes."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from email.utils import formatdate

from aiohttp import web
from attrs import define, field, frozen

from tests.raw_gguf import Raw

PIECE = 64 << 10


def model(size: int = 4 << 20, seed: int = 0) -> bytes:
    """A whole GGUF of about that size whose bytes differ from each other."""
    head = Raw().text("general.architecture", "llama").tensor("a", size // 4).build()
    noise = bytes((each * 31 + seed) % 251 for each in range(1 << 16))
    return head + (noise * (size // len(noise) + 1))[:size]


@frozen
class Sent:
    """A request and what it was answered with."""

    path: str
    start: int
    status: int
    headers: dict[str, str]


@define(eq=False)
class FileServer:
    """Serves one file under every path but those in ``redirects`` and ``statuses``.

    ``cuts`` are the bytes of a body after which the connection breaks, one for each request to
    come; None lets it through. ``hold`` stops for ever where the cut is.
    """

    body: bytes = field(factory=model)
    etag: str | None = '"one"'
    modified: str | None = field(factory=lambda: formatdate(1_700_000_000, usegmt=True))
    ranges: bool = True
    length: bool = True
    hold: bool = False
    cuts: list[int | None] = field(factory=list)
    statuses: dict[str, list[int]] = field(factory=dict)
    redirects: dict[str, str] = field(factory=dict)
    sent: list[Sent] = field(factory=list)
    bytes_sent: int = 0
    held: asyncio.Event = field(factory=asyncio.Event)
    released: asyncio.Event = field(factory=asyncio.Event)
    port: int = 0

    def url(self, path: str = "/file.gguf", host: str = "127.0.0.1") -> str:
        return f"http://{host}:{self.port}{path}"

    @property
    def starts(self) -> list[int]:
        return [each.start for each in self.sent]

    async def answer(self, request: web.Request) -> web.StreamResponse:
        path, headers = request.path, {name.lower(): it for name, it in request.headers.items()}
        statuses = self.statuses.get(path, [])
        status = statuses.pop(0) if statuses else 302 if path in self.redirects else 200
        if status != 200:
            self.sent.append(Sent(path, 0, status, headers))
            told = {"Location": self.redirects[path]} if path in self.redirects else {}
            return web.Response(status=status, headers=told)
        start = self._start(headers)
        not_modified = self.etag and headers.get("if-none-match") == self.etag
        status = 304 if not_modified else 206 if start is not None else 200
        if start is not None and start >= len(self.body):
            status = 416
        self.sent.append(Sent(path, start or 0, status, headers))
        return await self._written(request, status, start or 0)

    def _start(self, headers: dict[str, str]) -> int | None:
        match = re.fullmatch(r"bytes=(\d+)-(\d*)", headers.get("range", ""))
        condition = headers.get("if-range")
        if match is None or not self.ranges or condition not in (None, self.etag, self.modified):
            return None
        return int(match[1])

    async def _written(self, request: web.Request, status: int, start: int) -> web.StreamResponse:
        response = web.StreamResponse(status=status)
        told = {"ETag": self.etag, "Last-Modified": self.modified}
        response.headers.update({name: it for name, it in told.items() if it})
        body = self.body[start:] if status < 300 else b""
        if status == 206:
            response.headers["Content-Range"] = (
                f"bytes {start}-{len(self.body) - 1}/{len(self.body)}"
            )
        if self.length:
            response.content_length = len(body)
        else:
            response.enable_chunked_encoding()
        await response.prepare(request)
        await self._poured(request, response, body)
        return response

    async def _poured(
        self, request: web.Request, response: web.StreamResponse, body: bytes
    ) -> None:
        cut = self.cuts.pop(0) if self.cuts else None
        allowed = len(body) if cut is None else min(cut, len(body))
        for at in range(0, allowed, PIECE):
            piece = body[at : min(at + PIECE, allowed)]
            await response.write(piece)
            self.bytes_sent += len(piece)
        if cut is not None and self.hold:
            self.held.set()
            await self.released.wait()
        elif cut is not None and request.transport is not None:
            request.transport.close()


@asynccontextmanager
async def serving(server: FileServer, host: str = "127.0.0.1") -> AsyncIterator[FileServer]:
    """Let *server* listen."""
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", server.answer)
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, host, 0)
    await site.start()
    server.port = runner.addresses[0][1]
    try:
        yield server
    finally:
        server.released.set()
        await runner.cleanup()
