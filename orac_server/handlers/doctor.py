"""Why a model is slow: from what is known, by experiment, or by trying what may help."""

from contextlib import aclosing

from aiohttp import web

from .. import examinations, sse
from ..body import read, reply
from ..keys import MANAGER


async def degradation(request: web.Request) -> web.StreamResponse:
    """``POST /v1/doctor/degradation``; a client that leaves ends what was begun for it."""
    body = await read(request, examinations.DegradationBody)
    news = examinations.events(request.app[MANAGER], body)
    if body.stream:
        return await sse.respond(request, news)
    async with aclosing(news):
        async for name, data in news:
            if name == "done":
                return reply(data)
    raise AssertionError("unreachable: an examination ends with done or raises")
