"""One connection: what fails before a request reaches the application is told as JSON too."""

from http import HTTPStatus

import structlog
from aiohttp import web

from .body import reply
from .errors import CLIENT, INTERNAL, Rule, envelope, told_http
from .middlewares import HEADERS, answer

logger = structlog.get_logger("orac.server")

UNREADABLE = Rule(HTTPStatus.BAD_REQUEST, CLIENT, "bad_request")

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
        """Send the answer; an error of HTTP from outside of the middlewares becomes JSON."""
        if isinstance(resp, web.HTTPException):
            resp = answer(told_http(resp, request))
        return await super().finish_response(request, resp, start_time)


def _reason(message: str | None) -> str:
    """Return the parser's reason without what it quotes of the request."""
    return (message or "").strip().partition("\n")[0].rstrip(":")[:MAX_REASON]
