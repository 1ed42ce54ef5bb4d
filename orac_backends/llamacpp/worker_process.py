"""One model in one process of the engine: started, asked, watched and stopped."""

import asyncio
import secrets
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import Any

from attrs import define, evolve, field

from orac_core import (
    BackendError,
    BackendUnavailable,
    Chunk,
    GenerateRequest,
    InvalidRequest,
    LoadedInfo,
    LoadProgress,
    ModelFile,
    ModelState,
    OracError,
)

from .._http import HttpClient, Reply
from .._logprobs import limited
from .._openai import refusal, stream_answer
from .._process import ChildProcess, Tail
from .._vectors import Vector
from . import log
from .launch import Engine, Launch
from .plan import Plan
from .question import question
from .reading import read_ahead
from .turns import Turns

_OK = 200
_ASK_S = 5.0
_FIRST_PAUSE_S = 0.02
_LONGEST_PAUSE_S = 0.25
_EXIT_NOTICED_S = 1.0
_LOG_LATE_S = 0.05
"""The engine writes its log in a thread of its own; so late a line may come."""


@define(eq=False)
class Worker:
    """A model that is being loaded, is loaded, or has failed.

    Attributes:
        plan: How the model is served.
        engine: What serves it.
        socket: Where it shall listen, if it knows how to.
        idle_timeout_s: Longest silence of the engine during an answer.
        state: What it is doing.
        sees_gpu: Whether its engine lists a GPU; None where that did not say.
    """

    plan: Plan
    engine: Engine
    socket: Path
    idle_timeout_s: float
    state: ModelState = ModelState.STARTING
    sees_gpu: bool | None = field(default=None, init=False)
    _failure: str | None = field(default=None, init=False)
    _process: ChildProcess | None = field(default=None, init=False)
    _grace_s: float = field(default=0.0, init=False)
    _client: HttpClient | None = field(default=None, init=False)
    _applied: LoadedInfo = field(factory=LoadedInfo, init=False)
    _spawning: asyncio.Lock = field(factory=asyncio.Lock, init=False)
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
    def reason(self) -> str | None:
        """Why it has failed; None while it has not."""
        if self.state is not ModelState.FAILED:
            return None
        return self._failure or self._obituary()

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

    @property
    def loaded(self) -> LoadedInfo | None:
        """What the engine uses for it; None unless it is ready."""
        if self.state is not ModelState.READY or self._process is None:
            return None
        return LoadedInfo(
            context_length=self._applied.context_length,
            gpu_layers=self._applied.gpu_layers,
            parallel=self._applied.parallel,
            on_gpu_ratio=self._applied.on_gpu_ratio,
            memory_bytes=self._process.memory_bytes(),
            mapped_bytes=self._process.mapped_bytes(),
        )

    async def start(self) -> AsyncGenerator[LoadProgress, None]:
        """Load the model; whoever closes this early stops the worker as well.

        Raises:
            ModelFileInvalid: when the engine can not use the file.
            BackendError: when the engine can not be started, or is stopped meanwhile.
        """
        async with aclosing(read_ahead(self.file.parts)) as reading:
            async for progress in reading:
                self._require_wanted()
                yield progress
        yield LoadProgress("start", message="llama.cpp is starting")
        async with self._spawning:  # whoever stops it waits until there is something to kill
            self._require_wanted()
            await self._spawn()
        self._require_wanted()
        await self._until_ready()
        self._applied = await self._told()
        self._require_wanted()
        self.state = ModelState.READY

    async def stop(self) -> None:
        """Kill the process and return when it is gone; may be called at any time, and again.

        Raises:
            BackendError: when the process does not die.
        """
        self.state = ModelState.STOPPING
        async with self._spawning:
            if self._process is not None:
                await self._process.stop(self._grace_s)
            if self._client is not None:
                await self._client.close()
        self.socket.unlink(missing_ok=True)
        self.state = ModelState.STOPPED

    def fail(self, reason: str) -> None:
        """Remember why the model could not be loaded."""
        self.state, self._failure = ModelState.FAILED, reason

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
            if self.state is not ModelState.READY or self._client is None:
                raise self._unavailable()
            reply = await self._client.request(
                "POST", "/v1/embeddings", json={"input": text}, timeout_s=self.idle_timeout_s
            )
        if reply.status != _OK:
            raise _unread(reply)
        return _vector(reply)

    async def _asked_for(self, path: str, body: dict[str, Any]) -> AsyncGenerator[Chunk, None]:
        if self.state is not ModelState.READY or self._client is None:
            raise self._unavailable()
        stream = stream_answer(self._client, path, body, idle_s=self.idle_timeout_s)
        if "json_schema" in body:
            stream = self._held_to_schema(stream)
        async with self._noticing_an_end(), aclosing(stream) as chunks:
            async for chunk in chunks:
                yield chunk

    @asynccontextmanager
    async def _noticing_an_end(self) -> AsyncIterator[None]:
        try:
            yield
        except BackendUnavailable as error:
            if await self._has_ended():
                raise self._unavailable() from error
            raise

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

    async def _spawn(self) -> None:
        key = secrets.token_urlsafe(32)
        launch = await self.engine.launch(self.plan, key, self.socket)
        self._grace_s = launch.grace_s
        self._client = _client(self._name, launch, key)
        self._process = await ChildProcess.start(
            self._name,
            launch.argv,
            environment=launch.environment,
            stdin=launch.stdin,
            on_exit=self._on_exit,
        )

    async def _until_ready(self) -> None:
        try:
            async with asyncio.timeout(self.plan.start_timeout_s):
                await self._poll()
        except TimeoutError:
            raise BackendError(
                f"llama.cpp did not start with {self.file.id} within "
                f"{self.plan.start_timeout_s:.0f} s ({log.told(self._tail.lines)}); raise "
                "start_timeout_s if the machine is that slow",
            ) from None

    async def _poll(self) -> None:
        pause = _FIRST_PAUSE_S
        while not await self._healthy():
            if await self._has_ended(pause):
                self._require_wanted()
                raise log.failed_start(
                    self.file.id, self.file.path, self._tail.lines, self._how_it_ended()
                )
            pause = min(pause * 1.5, _LONGEST_PAUSE_S)

    async def _healthy(self) -> bool:
        try:
            return (await self._get("/health")).status == _OK
        except BackendUnavailable:
            return False

    async def _told(self) -> LoadedInfo:
        """Return what the engine says it uses."""
        reply = await self._get("/props")
        told = reply.json() if reply.status == _OK else {}
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
        )

    async def _get(self, path: str) -> Reply:
        if self._client is None:
            raise self._unavailable()
        return await self._client.request("GET", path, timeout_s=_ASK_S)

    async def _has_ended(self, within: float = _EXIT_NOTICED_S) -> bool:
        return self._process is not None and await self._process.ended_within(within)

    def _on_exit(self) -> None:
        if self.state is ModelState.READY:
            self.state = ModelState.FAILED

    def _require_wanted(self) -> None:
        if self.state is not ModelState.STARTING:
            raise BackendError(f"{self.file.id} was unloaded while it was loading")

    def _unavailable(self) -> BackendUnavailable:
        match self.state:
            case ModelState.FAILED:
                why = f"has failed: {self.reason}; load it again"
            case ModelState.STARTING:
                why = "is still being loaded; ask again when it is ready"
            case _:
                why = "is not loaded any more; load it first"
        return BackendUnavailable(f"{self.file.id} {why}")

    def _obituary(self) -> str:
        return f"{self._name} ended with {self._how_it_ended()}; {log.told(self._tail.lines)}"

    def _how_it_ended(self) -> str:
        how = self._process.how_it_ended() if self._process else "no process"
        # Nobody else sends this signal to a process of ORAC's.
        return f"{how} (the kernel, when memory runs out?)" if "SIGKILL" in how else how

    @property
    def _tail(self) -> Tail:
        return self._process.tail if self._process else Tail()

    @property
    def _name(self) -> str:
        return f"the llama.cpp worker of {self.file.id}"


def _client(server: str, launch: Launch, key: str) -> HttpClient:
    """Return a client; the engine closes a connection after each stream, so none is kept."""
    return HttpClient.open(
        server,
        launch.base_url,
        socket=launch.socket,
        headers={"authorization": f"Bearer {key}"},
        keep_alive=False,
    )


def _without_more(chunk: Chunk, top: int | None) -> Chunk:
    """Return a chunk with no more of the likeliest tokens than were asked for."""
    return evolve(chunk, tokens=limited(chunk.tokens, top)) if chunk.tokens else chunk


def _unread(reply: Reply) -> OracError:
    """Return why the engine made no vector; it calls it a failure of its own if a text is long."""
    error = refusal(reply)
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
