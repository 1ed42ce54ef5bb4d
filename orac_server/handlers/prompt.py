"""One answer, whole or as it is written."""

from collections.abc import AsyncGenerator
from contextlib import aclosing

from aiohttp import web

from orac_core import Answer, Chunk

from .. import sse, wire
from ..body import read, reply
from ..keys import MANAGER, SETTINGS
from ..lengths import refuse_longer
from ..requests import PromptBody


async def prompt(request: web.Request) -> web.StreamResponse:
    """``POST /v1/prompt``."""
    body = await read(request, PromptBody)
    manager, wanted = request.app[MANAGER], body.request
    refuse_longer(wanted, request.app[SETTINGS].max_prompt_chars, body.said_in)
    if body.stream:
        pieces = manager.generate(wanted, deadline_s=body.deadline_s)
        deadline_s = body.deadline_s or manager.limits.deadline_s
        return await sse.respond(request, _events(pieces), deadline_s=deadline_s)
    answer = await manager.answer(wanted, deadline_s=body.deadline_s, repair=body.repair)
    return reply(wire.answer(answer))


async def _events(pieces: AsyncGenerator[Chunk | Answer, None]) -> AsyncGenerator[sse.Event, None]:
    async with aclosing(pieces):
        async for piece in pieces:
            if isinstance(piece, Answer):
                yield "done", wire.answer(piece)
            else:
                yield "chunk", {"text": piece.text}
