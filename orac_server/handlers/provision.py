"""Making the models of roles be there."""

from contextlib import aclosing

from aiohttp import web

from .. import provisions, sse
from ..body import read, reply
from ..keys import MANAGER


async def provision(request: web.Request) -> web.StreamResponse:
    """``POST /v1/models/provision``; what has begun goes on when the client leaves."""
    body = await read(request, provisions.ProvisionBody, optional=True)
    events = provisions.events(request.app[MANAGER], body)
    if body.stream:
        return await sse.respond(request, events)
    async with aclosing(events):
        async for name, data in events:
            if name == "done":
                return reply(data)
    raise AssertionError("unreachable: it ends with what was done or raises")
