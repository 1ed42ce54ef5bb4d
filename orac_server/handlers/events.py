"""What happens, as it happens."""

import asyncio
import time
from collections.abc import AsyncGenerator, Mapping
from typing import Any, get_args

from aiohttp import web

from orac_core import InvalidRequest, ServedModel
from orac_core.events import Inbox, Kind

from .. import sse, wire
from ..keys import MANAGER, STREAMS
from ..pulse import verdict

KINDS = frozenset(get_args(Kind)) - {"lost"}
"""What a client can choose from; that it lost some it is told in any case."""


async def events(request: web.Request) -> web.StreamResponse:
    """``GET /v1/events``.

    Raises:
        InvalidRequest: when what the query asks for makes no sense.
        QueueFull: when too many streams are open.
    """
    kinds = _kinds(request.query)
    streams, manager = request.app[STREAMS], request.app[MANAGER]
    with streams.opened(manager.events, kinds) as inbox:
        return await sse.respond(request, _told(request.app, inbox))


def _kinds(query: Mapping[str, str]) -> frozenset[str] | None:
    if unknown := sorted(set(query) - {"kinds"}):
        raise InvalidRequest(
            f"there is no {unknown[0]!r} here; `kinds` is all that can be chosen",
            dict.fromkeys(unknown, "not known"),
        )
    if "kinds" not in query:
        return None
    asked = frozenset(each.strip() for each in query["kinds"].split(","))
    if wrong := sorted(asked - KINDS):
        known = ", ".join(sorted(KINDS))
        text = f"there is no kind {wrong[0][:40]!r}; there are: {known}"
        raise InvalidRequest(text, {"kinds": text})
    return asked | {"lost"}


async def _told(app: web.Application, inbox: Inbox) -> AsyncGenerator[sse.Event, None]:
    hello = asyncio.create_task(_hello(app))
    ending = asyncio.create_task(inbox.closed())
    try:
        await asyncio.wait([hello, ending], return_when=asyncio.FIRST_COMPLETED)
        if hello.done():
            yield "hello", hello.result()
    finally:
        for task in (hello, ending):
            task.cancel()
    while event := await inbox.get():
        yield event.kind, {"at": wire.timestamp(event.at), **event.data}
    yield "done", {"at": wire.timestamp(time.time()), "reason": "ORAC is stopping"}


async def _hello(app: web.Application) -> dict[str, Any]:
    """Return how everything is now, so that who comes back is right at once."""
    manager = app[MANAGER]
    at = manager.events.wall()
    models, health = await asyncio.gather(manager.models(), verdict(app))
    return {
        "at": wire.timestamp(at),
        "models": [_state(each) for each in models],
        "health": {"status": health.status, "message": health.message},
    }


def _state(served: ServedModel) -> dict[str, Any]:
    info = served.info
    return {
        "instance": served.instance,
        "model": info.id,
        "state": info.state.value,
        "reason": info.state_reason,
    }
