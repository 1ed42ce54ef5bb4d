"""One answer, whole or as it is written."""

from collections.abc import AsyncGenerator
from contextlib import aclosing

from aiohttp import web

from orac_core import Answer

from .. import sse, wire
from ..body import read, reply
from ..keys import MANAGER


async def prompt(request: web.Request) -> web.StreamResponse:
    """``POST /v1/prompt``."""
    body = await read(request, wire.PromptBody)
    manager = request.app[MANAGER]
    if body.stream:
        pieces = manager.generate(body.request, deadline_s=body.deadline_s)
        return await sse.respond(request, _events(pieces))
    return reply(wire.answer(await manager.answer(body.request, deadline_s=body.deadline_s)))


async def _events(pieces: AsyncGenerator[str | Answer, None]) -> AsyncGenerator[sse.Event, None]:
    async with aclosing(pieces):
        async for piece in pieces:
            if isinstance(piece, Answer):
                yield "done", wire.answer(piece)
            else:
                yield "chunk", {"text": piece}
