"""Answers on their way to the client, whole or in lines, and everything that can befall them."""

import asyncio
import json
import socket
import struct
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any, NoReturn

from aiohttp import web
from attrs import define

from .faults import Faults

JSON, BARE_JSON = "application/json; charset=utf-8", "application/json"
LINES, TEXT, HTML = "application/x-ndjson", "text/plain", "text/html"

_STREAMED = frozenset({"/api/generate", "/api/chat", "/api/create", "/api/pull", "/api/embed"})
_PAGE = "<html><body><h1>Bad Gateway</h1></body></html>"
_SLICES_PER_S = 50


@define(eq=False)
class Wire:
    """Sends what handlers say, through the faults."""

    faults: Faults

    async def instead(self, request: web.Request) -> web.StreamResponse | None:
        """Return what a fault answers in place of the handler; None for nothing."""
        faults = self.faults
        if not faults.concern(request.path):
            return None
        if faults.drop or (faults.reset_after == 0 and request.path in _STREAMED):
            reset(request)
        if faults.redirect_to is not None:
            where = {"Location": f"{faults.redirect_to.rstrip('/')}{request.rel_url}"}
            return web.Response(status=307, headers=where)
        if faults.html is not None:
            return await self.whole(request, _PAGE, faults.html, HTML)
        return None

    async def answer(
        self, request: web.Request, body: Any, status: int = 200, kind: str = JSON
    ) -> web.StreamResponse:
        """Send a JSON object."""
        if self._cuts(request, "close_after", 0):
            close(request)
        if self._cuts(request, "error_after", 0):
            status, body = 500, {"error": self.faults.error_text}
        return await self.whole(request, _line(body).decode(), status, kind)

    async def whole(
        self, request: web.Request, text: str, status: int, kind: str, **headers: str
    ) -> web.StreamResponse:
        """Send a body in one piece, or sliced."""
        body = text.encode()
        response = web.StreamResponse(status=status, headers={"Content-Type": kind, **headers})
        response.content_length = len(body)
        await response.prepare(request)
        if request.method != "HEAD":
            await self._write(response, body)
        await response.write_eof()
        return response

    async def lines(
        self, request: web.Request, lines: AsyncGenerator[dict[str, Any], None]
    ) -> web.StreamResponse:
        """Send objects as lines; an error before the first one leaves the answer to the caller."""
        async with aclosing(lines):
            first = await anext(lines)
            response = web.StreamResponse(headers={"Content-Type": LINES})
            response.enable_chunked_encoding()
            await response.prepare(request)
            await self._lines(request, response, first, lines)
        await response.write_eof()
        return response

    async def _lines(
        self,
        request: web.Request,
        response: web.StreamResponse,
        first: dict[str, Any],
        rest: AsyncGenerator[dict[str, Any], None],
    ) -> None:
        sent = 0
        line: dict[str, Any] | None = first
        while line is not None and not self._cuts(request, "end_after", sent):
            self._break_off(request, sent)
            if self._cuts(request, "error_after", sent):
                line = {"error": self.faults.error_text}
                rest = _nothing()
            await self._write(response, _line(line) + b"\n")
            sent += 1
            line = await anext(rest, None)

    def _break_off(self, request: web.Request, sent: int) -> None:
        if self._cuts(request, "reset_after", sent):
            reset(request)
        if self._cuts(request, "close_after", sent):
            close(request)

    def _cuts(self, request: web.Request, fault: str, sent: int) -> bool:
        concerned = request.path in _STREAMED and self.faults.concern(request.path)
        return concerned and getattr(self.faults, fault) == sent

    async def _write(self, response: web.StreamResponse, body: bytes) -> None:
        rate = self.faults.bytes_per_s
        step = max(1, int(rate / _SLICES_PER_S)) if rate else len(body)
        step = 1 if self.faults.byte_at_a_time else max(1, step)
        for at in range(0, len(body), step):
            await response.write(body[at : at + step])
            if rate:
                await asyncio.sleep(step / rate)


def reset(request: web.Request) -> NoReturn:
    """End the connection so that the client's read fails."""
    if request.transport is not None:
        bound = request.transport.get_extra_info("socket")
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        request.transport.abort()
    raise asyncio.CancelledError


def close(request: web.Request) -> NoReturn:
    """End the connection in the middle of an answer, after what has been sent."""
    if request.transport is not None:
        request.transport.close()
    raise asyncio.CancelledError


def _line(body: Any) -> bytes:
    return json.dumps(body, separators=(",", ":"), ensure_ascii=False).encode(errors="replace")


async def _nothing() -> AsyncGenerator[dict[str, Any], None]:
    for line in list[dict[str, Any]]():
        yield line
