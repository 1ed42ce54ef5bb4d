"""Watching each request from its head to the end of its answer."""

from asyncio import CancelledError
from time import perf_counter

from aiohttp import hdrs, web

from ..endpoint import Handler
from ..keys import OBSERVER
from .journal import LEFT, Ended
from .observer import Observer
from .passage import CURRENT, Passage, about

UNMATCHED = "unmatched"
OF_MODELS = "/v1/models/"
METHODS = frozenset(hdrs.METH_ALL)


@web.middleware
async def observed(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Tell the observer of the request when it has ended, however that was."""
    observer, passage = request.app[OBSERVER], Passage()
    CURRENT.set(passage)  # each request has a context of its own
    if observer.tracing is not None:
        observer.tracing.began(passage, request.headers)
    began = perf_counter()
    observer.in_flight += 1
    response, failed = None, LEFT
    try:
        response = await handler(request)
    except CancelledError:
        raise
    except BaseException:
        failed = web.HTTPInternalServerError.status_code
        raise
    finally:
        observer.in_flight -= 1
        _tell(observer, request, response, failed, perf_counter() - began)
    return response


def _tell(
    observer: Observer,
    request: web.Request,
    response: web.StreamResponse | None,
    failed: int,
    took_s: float,
) -> None:
    passage, address = CURRENT.get() or Passage(), route(request)
    if passage.model is None and address.startswith(OF_MODELS):
        about(request.match_info.get("id"))
    ended = Ended(
        request.method if request.method in METHODS else "other",
        address,
        failed if response is None else LEFT if passage.left else response.status,
        took_s,
        _sent(request, response),
        response is not None and not isinstance(response, web.Response),
    )
    observer.ended(ended, passage, request.remote)


def route(request: web.Request) -> str:
    """Return the template of the address, which holds no word of the client's."""
    resource = request.match_info.route.resource
    return UNMATCHED if resource is None else resource.canonical


def _sent(request: web.Request, response: web.StreamResponse | None) -> int:
    if response is None or request.method == hdrs.METH_HEAD:
        return 0
    return response.body_length if response.prepared else response.content_length or 0
