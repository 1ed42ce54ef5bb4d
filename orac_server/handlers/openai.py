"""OpenAI's routes: chats, completions and embeddings."""

from aiohttp import web
from attrs import evolve

from orac_core import GenerateRequest

from .. import sse
from ..body import read, reply
from ..keys import MANAGER, SETTINGS
from ..lengths import refuse_longer
from ..observing.passage import about
from ..openai import frames, replies
from ..openai.chat import ChatBody
from ..openai.completions import CompletionBody
from ..openai.embeddings import EmbeddingsBody
from ..openai.embeddings import embeddings as embedded
from ..openai.frames import Frames
from ..openai.sampling import Sampling
from ..relays import relayed


async def chat(request: web.Request) -> web.StreamResponse:
    """``POST /v1/chat/completions``."""
    body = await read(request, ChatBody)
    asked = evolve(body.request, relayed=relayed(request))
    refuse_longer(asked, request.app[SETTINGS].max_prompt_chars, "messages")
    if body.stream:
        framing = frames.chat_frames(body.model, with_usage=body.with_usage)
        return await _streamed(request, body, asked, framing)
    answer = await request.app[MANAGER].answer(
        asked, deadline_s=body.deadline_s, repair=body.orac.repair
    )
    return reply(replies.chat_completion(body.model, answer))


async def complete(request: web.Request) -> web.StreamResponse:
    """``POST /v1/completions``."""
    body = await read(request, CompletionBody)
    asked = evolve(body.request, relayed=relayed(request))
    refuse_longer(asked, request.app[SETTINGS].max_prompt_chars, "prompt")
    if body.stream:
        framing = frames.text_frames(body.model, with_usage=body.with_usage)
        return await _streamed(request, body, asked, framing)
    answer = await request.app[MANAGER].answer(asked, deadline_s=body.deadline_s)
    return reply(replies.completion(body.model, answer))


async def embeddings(request: web.Request) -> web.StreamResponse:
    """``POST /v1/embeddings``."""
    body = await read(request, EmbeddingsBody)
    asked = evolve(body.request, relayed=relayed(request))
    made = await request.app[MANAGER].embed(asked, deadline_s=body.deadline_s)
    about(f"{made.instance}/{made.model}")
    return reply(embedded(body, made))


async def _streamed(
    request: web.Request, body: Sampling, asked: GenerateRequest, framing: Frames
) -> web.StreamResponse:
    manager = request.app[MANAGER]
    pieces = manager.generate(asked, deadline_s=body.deadline_s)
    deadline_s = body.deadline_s or manager.limits.deadline_s
    return await sse.respond(request, pieces, framing.framed, frames.fault, deadline_s=deadline_s)
