"""One model in one process of the engine: started, asked, watched and stopped."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

from attrs import define, evolve, field

from orac_core import (
    Adapter,
    BackendError,
    Chunk,
    GenerateRequest,
    InvalidRequest,
    LoadedInfo,
    ModelFile,
    OracError,
)

from .._http import Reply
from .._launch import Launch
from .._logprobs import limited
from .._model_process import OK, ModelProcess, Served
from .._openai import stream_answer
from .._refusal import Refusals
from .._vectors import Vector
from . import log
from .launch import Engine
from .plan import Plan
from .question import question
from .turns import Turns

_LOG_LATE_S = 0.05
"""The engine writes its log in a thread of its own; so late a line may come."""


@define(eq=False)
class Worker(ModelProcess):
    """A model that is being loaded, is loaded, or has failed.

    Attributes:
        plan: How the model is served.
        engine: What serves it.
        idle_timeout_s: Longest silence of the engine during an answer.
        sees_gpu: Whether its engine lists a GPU; None where that did not say.
    """

    plan: Plan
    engine: Engine
    idle_timeout_s: float
    sees_gpu: bool | None = field(default=None, init=False)
    _turns: Turns = field(init=False)
    _template_knows_tools: bool | None = field(default=None, init=False)
    _schema_turn: asyncio.Lock = field(factory=asyncio.Lock, init=False)

    def __attrs_post_init__(self) -> None:
        alone = self.plan.vectors is not None and self.plan.vectors.alone
        self._turns = Turns(self.plan.parallel, 1 if alone else self.plan.parallel)

    @property
    def file(self) -> ModelFile:
        """The file of the model."""
        return self.plan.file

    @property
    def served(self) -> Served:
        """The model, and llama.cpp."""
        return Served("llama.cpp", self.file.id, self.file.parts, self.plan.start_timeout_s)

    @property
    def only_embeds(self) -> bool:
        """Whether it is made for vectors, and continues no text."""
        header = self.file.header
        return header is not None and header.pooling is not None

    @property
    def knows_tools(self) -> bool:
        """Whether its chat template has a place for tools; as its file looks until it is loaded."""
        header = self.file.header
        if header is None or not header.has_chat_template:
            return False
        told = self._template_knows_tools
        return header.offers_tools if told is None else told

    async def answer(self, request: GenerateRequest) -> AsyncGenerator[Chunk, None]:
        """Yield the answer.

        Raises:
            InvalidRequest: when the request is malformed, or too long for the context.
            BackendUnavailable: when the model is not ready, or the process dies.
            BackendError: when the engine fails.
        """
        header = self.file.header
        path, body = question(
            request,
            self._applied.context_length or self.plan.context_length,
            has_template=header is not None and header.has_chat_template,
            knows_tools=self.knows_tools,
        )
        async with self._turns.of("answers"), aclosing(self._asked_for(path, body)) as chunks:
            async for chunk in chunks:
                yield _without_more(chunk, request.top_logprobs)

    async def vector(self, text: str) -> tuple[Vector, int]:
        """Return the vector of a text, and the tokens that it has.

        Raises:
            InvalidRequest: when it is too long.
            BackendUnavailable: when the model is not ready, or the process dies.
            BackendError: when the engine fails, or sends what is no vector.
        """
        async with self._turns.of("vectors"), self._noticing_an_end():
            reply = await self._ready().request(
                "POST", "/v1/embeddings", json={"input": text}, timeout_s=self.idle_timeout_s
            )
        if reply.status != OK:
            raise _unread(reply)
        return _vector(reply)

    async def _asked_for(self, path: str, body: dict[str, Any]) -> AsyncGenerator[Chunk, None]:
        stream = stream_answer(self._ready(), path, body, idle_s=self.idle_timeout_s)
        if "json_schema" in body:
            stream = self._held_to_schema(stream)
        async with self._noticing_an_end(), aclosing(stream) as chunks:
            async for chunk in chunks:
                yield chunk

    async def _held_to_schema(
        self, stream: AsyncGenerator[Chunk, None]
    ) -> AsyncGenerator[Chunk, None]:
        """Watch the log while a schema binds raw text.

        An engine whose compiler for that fails says so in its log alone, and goes on without the
        schema. One such answer at a time, so that it is clear which of them is meant.
        """
        async with self._schema_turn, aclosing(stream) as chunks:
            seen = self._tail.count
            async for chunk in chunks:
                if chunk.done:
                    await asyncio.sleep(_LOG_LATE_S)
                if fault := log.ignored_format(self._tail.since(seen)):
                    raise InvalidRequest(
                        f"format: the engine cannot hold {self.file.id} to it ({fault}); send "
                        "messages instead of a raw prompt, or a simpler schema",
                        {"format": fault},
                    )
                yield chunk

    async def _launch(self, key: str) -> Launch:
        return await self.engine.launch(self.plan, key, self.socket)

    def _failed_start(self) -> OracError:
        return log.failed_start(
            self.file.id, self.file.path, self._tail.lines, self._how_it_ended()
        )

    def _last_words(self) -> str:
        return log.told(self._tail.lines)

    async def _told(self) -> LoadedInfo:
        """Return what the engine says it uses."""
        reply = await self._get("/props")
        told = reply.json() if reply.status == OK else {}
        layers = log.offloaded_layers(self._tail.lines)
        self.sees_gpu = log.sees_gpu(self._tail.lines)
        settings = told.get("default_generation_settings") or {}
        template = told.get("chat_template_caps") or {}
        self._template_knows_tools = template.get("supports_tools")
        return LoadedInfo(
            context_length=settings.get("n_ctx") or self.plan.context_length,
            parallel=told.get("total_slots") or self.plan.parallel,
            gpu_layers=self.plan.gpu_layers if layers is None else layers,
            on_gpu_ratio=0.0 if layers == 0 else None,
            adapters=await self._worn(),
        )

    async def _worn(self) -> tuple[Adapter, ...]:
        """Return the adapters, after the engine has said that they are on the model."""
        if not self.plan.adapters:
            return ()
        told = (await self._get("/lora-adapters")).json()
        if not isinstance(told, list) or len(told) != len(self.plan.adapters):
            raise BackendError(f"llama.cpp did not put the adapters on {self.file.id}")
        return self.plan.adapters


def _without_more(chunk: Chunk, top: int | None) -> Chunk:
    """Return a chunk with no more of the likeliest tokens than were asked for."""
    return evolve(chunk, tokens=limited(chunk.tokens, top)) if chunk.tokens else chunk


def _unread(reply: Reply) -> OracError:
    """Return why the engine made no vector; it calls it a failure of its own if a text is long."""
    error = Refusals(reply.server).of_reply(reply)
    if "is too large to process" in str(error):
        return InvalidRequest(str(error))
    return error


def _vector(reply: Reply) -> tuple[Vector, int]:
    told = reply.json()
    try:
        numbers = tuple(map(float, told["data"][0]["embedding"]))
        return numbers, int(told["usage"]["prompt_tokens"])
    except (LookupError, TypeError, ValueError) as error:
        raise BackendError(f"{reply.server} answered without a vector") from error
