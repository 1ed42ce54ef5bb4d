"""The gate: the guard's part in the application."""

from collections.abc import Iterable

from aiohttp import hdrs, web

from ..endpoint import Endpoint, Handler, Scope
from ..keys import GUARD, SCOPES
from ..middlewares import answer
from ..observing import passage

METHODS = "GET, HEAD, POST"

READABLE = "Retry-After, WWW-Authenticate, X-Request-Id"
"""Headers that a page which may use ORAC gets to see."""

KEPT_S = 600
"""Time for which a browser need not ask again what a page may do."""


def add_endpoints(app: web.Application, table: Iterable[Endpoint]) -> None:
    """Let *app* answer to the *table*, and keep who may ask for what."""
    scopes: dict[tuple[str, web.AbstractResource], Scope] = {}
    for each in table:
        (route,) = app.add_routes([each.route])
        if route.resource is not None:
            scopes[each.method, route.resource] = each.scope
    app[SCOPES] = scopes


@web.middleware
async def guarded(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Let a request through when it may come; tell why when it may not."""
    guard = request.app[GUARD]
    if refused := guard.refusal(request, _scope(request)):
        passage.failed(refused.body["error"]["code"])
        return answer(refused)
    if request.method == hdrs.METH_OPTIONS and _is_preflight(request):
        return web.Response(status=204, headers=_allowed(request))
    return await handler(request)


async def share(request: web.Request, response: web.StreamResponse) -> None:
    """Let pages that may use ORAC read its answers; called when the headers are about to go out."""
    origins = request.app[GUARD].origins
    if not origins.allowed:
        return
    response.headers.add(hdrs.VARY, hdrs.ORIGIN)
    origin = request.headers.get(hdrs.ORIGIN)
    if origin is not None and origins.shared_with(origin):
        response.headers[hdrs.ACCESS_CONTROL_ALLOW_ORIGIN] = origin
        response.headers[hdrs.ACCESS_CONTROL_EXPOSE_HEADERS] = READABLE


def _scope(request: web.Request) -> Scope:
    """Return who may ask for it: what is not there is told to anybody, as the docs tell it too."""
    resource = request.match_info.route.resource
    if resource is None:
        return "open"
    method = hdrs.METH_GET if request.method == hdrs.METH_HEAD else request.method
    return request.app[SCOPES].get((method, resource), "admin")


def _is_preflight(request: web.Request) -> bool:
    return hdrs.ORIGIN in request.headers and hdrs.ACCESS_CONTROL_REQUEST_METHOD in request.headers


def _allowed(request: web.Request) -> dict[str, str]:
    wanted = request.headers.get(hdrs.ACCESS_CONTROL_REQUEST_HEADERS, "")
    return {
        hdrs.ACCESS_CONTROL_ALLOW_METHODS: METHODS,
        hdrs.ACCESS_CONTROL_ALLOW_HEADERS: wanted if wanted.isprintable() else "",
        hdrs.ACCESS_CONTROL_MAX_AGE: str(KEPT_S),
    }
