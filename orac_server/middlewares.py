"""What happens to every request and every answer."""

import re
import secrets
from collections.abc import Awaitable, Callable

from aiohttp import web
from structlog.contextvars import bind_contextvars

from .body import reply
from .errors import Problem, told, told_http

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

SERVER_NAME = "ORAC"
"""The header ``Server``: what serves, and no version of it."""

POLICY = "Content-Security-Policy"
"""The header that an answer may have of its own, as a page with its styles inside does."""

HEADERS = {
    "Server": SERVER_NAME,
    POLICY: (
        "default-src 'self'; script-src 'self'; style-src 'self'; object-src 'none'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}
"""Headers of every answer."""

ID = web.RequestKey("request_id", str)
"""The id of a request, as it is told and logged."""

SAFE_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")


@web.middleware
async def request_ids(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Give the request an id: the client's own ``X-Request-Id`` where it is harmless."""
    given = request.headers.get("X-Request-Id", "")
    request[ID] = id_ = given if SAFE_ID.fullmatch(given) else secrets.token_hex(8)
    # aiohttp handles each request in a context of its own, also those of one connection.
    bind_contextvars(request_id=id_)
    return await handler(request)


@web.middleware
async def error_envelope(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Tell every error in the same form."""
    try:
        return await handler(request)
    except web.HTTPException as error:
        return answer(told_http(error, request))
    except Exception as error:  # noqa: BLE001 - whatever it is, the client gets JSON
        return answer(told(error, request))


async def add_headers(request: web.Request, response: web.StreamResponse) -> None:
    """Add what every answer has; called when its headers are about to go out."""
    own = {POLICY: response.headers[POLICY]} if POLICY in response.headers else {}
    response.headers.update({**HEADERS, **own})
    response.headers.setdefault("Cache-Control", "no-store")
    if id_ := request.get(ID):
        response.headers["X-Request-Id"] = id_


def answer(problem: Problem) -> web.Response:
    """Return the answer that tells *problem*."""
    return reply(problem.body, problem.status, problem.headers)
