"""One connection: what fails before a request reaches the application is told as JSON too."""

import asyncio
import re
from http import HTTPStatus

import structlog
from aiohttp import web

from . import sse
from .body import reply
from .errors import CLIENT, INTERNAL, Rule, envelope, told_http
from .middlewares import HEADERS, answer

logger = structlog.get_logger("orac.server")

UNREADABLE = Rule(HTTPStatus.BAD_REQUEST, CLIENT, "bad_request")

QUOTED = re.compile(r"b?['\"]")
"""Where the parser begins to quote."""

SHORT_BYTES = 16 * 1024
"""With its head far less than a transport takes before anybody has to wait (64 KiB)."""

MAX_REASON = 200
"""Characters of the parser's reason that an answer repeats."""


class Connection(web.RequestHandler):
    """Tells every error in ORAC's form, and no version of what it is made of."""

    __slots__ = ()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = HTTPStatus.INTERNAL_SERVER_ERROR,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Return the answer to what is no HTTP, or failed outside of the application."""
        if request.writer.output_size > 0:
            raise ConnectionError("an answer has begun, so no error can be told")
        if isinstance(exc, UnicodeError):  # aiohttp repeats a header that is no Unicode
            status, message = HTTPStatus.BAD_REQUEST, "a header is no text"
        if status < HTTPStatus.INTERNAL_SERVER_ERROR:
            body = envelope(UNREADABLE, f"this can not be read as HTTP: {_reason(message)}")
        else:
            logger.error("connection failed", exc_info=exc)
            body = envelope(INTERNAL, "an internal error, which is none of yours")
        response = reply(body, status, HEADERS)
        response.force_close()
        return response

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        """Send the answer; an error of HTTP from outside of the middlewares becomes JSON.

        A client that takes it too slowly is cut off.
        """
        if isinstance(resp, web.HTTPException):
            resp = answer(told_http(resp, request))
        if self._goes_out_at_once(resp):
            return await super().finish_response(request, resp, start_time)
        try:
            async with asyncio.timeout(patience_s(resp)):
                return await super().finish_response(request, resp, start_time)
        except TimeoutError:
            if self.transport is not None:
                self.transport.abort()
            raise ConnectionError("the client took its answer too slowly") from None

    def _goes_out_at_once(self, response: web.StreamResponse) -> bool:
        """Whether an answer has room in what waits for the client, so that nobody waits for it."""
        if self.transport is None or self.transport.get_write_buffer_size():
            return False
        body = response.body if isinstance(response, web.Response) else None
        return isinstance(body, bytes) and len(body) <= SHORT_BYTES


def patience_s(response: web.StreamResponse) -> float:
    """Return how long a client may take for an answer: as long for each part as for a stream."""
    body = response.body if isinstance(response, web.Response) else None
    size = len(body) if isinstance(body, bytes) else 0
    return sse.STALLED_S * (1 + size // sse.ROOM_BYTES)


def _reason(message: str | None) -> str:
    """Return the parser's reason without what it quotes of the request."""
    told = (message or "").strip().partition("\n")[0]
    return QUOTED.split(told)[0].rstrip(": ")[:MAX_REASON]
