"""Generating, chatting and embedding."""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from time import perf_counter_ns
from typing import Any

from aiohttp import web
from attrs import define, field

from .answer import NO_TOKEN, Answer, Token
from .asked import Asked, BadSchema
from .bodies import check_options, parsed
from .faults import Faults
from .model import EMBEDDING, Model
from .names import Name
from .refusal import EngineDied, Refusal
from .runners import Runner, Runners, Use, Wanted
from .store import Store
from .text import prompt_tokens, vector
from .when import stamp
from .wire import Wire

_BUSY = "server busy, please try again.  maximum pending requests exceeded"


@define(eq=False)
class Answers:
    """The endpoints that need a model loaded.

    Attributes:
        answer_tokens: After how many tokens a model ends by itself.
        never_ending: Short names of models that never do.
        max_queue: How many requests may wait; None for as many as come.
        streams_running: Streams that are being sent.
        streams_abandoned: Streams whose client left.
    """

    store: Store
    runners: Runners
    faults: Faults
    wire: Wire
    answer_tokens: int = 24
    never_ending: set[str] = field(factory=set)
    max_queue: int | None = None
    streams_running: int = 0
    streams_abandoned: int = 0
    _pending: int = field(default=0, init=False)

    async def generate(self, request: web.Request) -> web.StreamResponse:
        return await self._respond(request, "generate")

    async def chat(self, request: web.Request) -> web.StreamResponse:
        return await self._respond(request, "chat")

    async def embed(self, request: web.Request) -> web.StreamResponse:
        body = parsed(await request.read(), "EmbedRequest")
        return await self.wire.answer(request, await self._embedded(body))

    # Generating

    async def _respond(self, request: web.Request, verb: str) -> web.StreamResponse:
        raw = await request.read()
        asked = Asked.of(verb, parsed(raw, f"{verb.title()}Request"))
        name, model = self._found(asked)
        if asked.unloads:
            self.runners.unload(Wanted(name, model, {}))
            return await self.wire.answer(request, self._line(asked, done_reason="unload"))
        asked.refuse_incapable(name, model)
        wanted = self._wanted(asked, name, model)
        if not asked.prompt and not asked.images:
            return await self._load(request, asked, wanted)
        return await self._generate(request, asked, wanted)

    def _found(self, asked: Asked) -> tuple[Name, Model]:
        if asked.name is not None and asked.name.is_cloud:
            raise Refusal(403, "ollama cloud is disabled: remote model is unavailable")
        found = self.store.find(asked.name) if asked.name is not None else None
        if found is None or self.faults.not_found:
            raise Refusal(404, f"model '{asked.model}' not found")
        if found[1].on_disk and not self.store.blob(found[1].weights).exists():
            raise self.runners.generation.weights_gone(asked.model, asked.verb)
        return found

    def _wanted(self, asked: Asked, name: Name, model: Model) -> Wanted:
        check_options(dict(asked.options))
        return Wanted(name, model, {**(model.settings or {}), **asked.options})

    async def _load(self, request: web.Request, asked: Asked, wanted: Wanted) -> web.StreamResponse:
        async with self._use(wanted, asked):
            pass
        return await self.wire.answer(request, self._line(asked, done_reason="load"))

    async def _generate(
        self, request: web.Request, asked: Asked, wanted: Wanted
    ) -> web.StreamResponse:
        lines = self._lines(asked, wanted)
        if not asked.stream:
            return await self.wire.answer(request, await _joined(lines, asked.verb))
        self.streams_running += 1
        finished = False
        try:
            response = await self.wire.lines(request, _with_error_line(lines))
            finished = True
        finally:
            self.streams_running -= 1
            self.streams_abandoned += not finished
        return response

    @asynccontextmanager
    async def _use(self, wanted: Wanted, asked: Asked) -> AsyncIterator[Use]:
        self._refuse_busy()
        self._pending += 1
        try:
            async with self.runners.used(wanted, asked.keeps) as use:
                await self.faults.before_engine()
                await use.runner.engine.ready()
                yield use
        finally:
            self._pending -= 1

    def _refuse_busy(self) -> None:
        full = self.max_queue is not None and self._pending > self.max_queue
        if full or self.faults.busy:
            self.faults.busy -= self.faults.busy > 0
            raise Refusal(503, _BUSY)

    async def _lines(self, asked: Asked, wanted: Wanted) -> AsyncGenerator[dict[str, Any], None]:
        began = perf_counter_ns()
        async with self._use(wanted, asked) as use:
            answer = self._answer(asked, wanted)
            if self.faults.engine_error is not None:
                raise Refusal(500, self.faults.engine_error)
            count = answer.refuse_too_long(self.runners)
            prompted = perf_counter_ns()
            async for token in self._tokens(answer, use.runner):
                yield self._line(asked, token, logprobs=answer.logprobs(token.text))
            if calls := answer.calls():
                yield self._line(asked, calls=calls)
            ended = perf_counter_ns()
            yield {
                **self._line(asked, done_reason=answer.done_reason),
                **answer.context(),
                "total_duration": ended - began,
                "load_duration": use.load_ns,
                **self._counted(use.runner, asked, count),
                "prompt_eval_duration": max(1000, prompted - began - use.load_ns),
                "eval_count": answer.sent,
                "eval_duration": max(1000, ended - prompted),
            }

    def _answer(self, asked: Asked, wanted: Wanted) -> Answer:
        try:
            text = asked.json()
        except BadSchema as error:
            raise self.runners.generation.bad_schema(str(error)) from None
        refusal = self.runners.generation.takes_no_images()
        if refusal and asked.shows_images_to(wanted.model):
            raise refusal
        endless = wanted.name.short in self.never_ending
        return Answer(asked, wanted, text, None if endless else self.answer_tokens)

    async def _tokens(self, answer: Answer, runner: Runner) -> AsyncGenerator[Token, None]:
        """Yield the tokens of an answer as the faults and the engine let them come."""
        for number, token in enumerate(answer.tokens()):
            await self.faults.before_token(number)
            await self.faults.before_engine()
            await runner.engine.ready()
            if runner.engine.dead:
                raise EngineDied
            yield token

    def _counted(self, runner: Runner, asked: Asked, count: int) -> dict[str, int]:
        again = runner.last_prompt == asked.prompt
        runner.last_prompt = asked.prompt
        return {} if again and self.faults.hides_cached else {"prompt_eval_count": count}

    def _line(
        self, asked: Asked, token: Token = NO_TOKEN, calls: list | None = None, **more: Any
    ) -> dict[str, Any]:
        said: dict[str, Any] = {"thinking": token.text} if token.is_thought else {}
        if calls:
            said["tool_calls"] = calls
        text = "" if token.is_thought else token.text
        if asked.verb == "chat":
            said = {"message": {"role": "assistant", "content": text, **said}}
        else:
            said = {"response": text, **said}
        rest = {key: value for key, value in more.items() if value is not None}
        head = {"model": asked.model, "created_at": stamp(self.runners.clock())}
        return {**head, **said, "done": "done_reason" in more, **rest}

    # Embedding

    async def _embedded(self, body: dict[str, Any]) -> dict[str, Any]:
        began = perf_counter_ns()
        asked = Asked.of("generate", {**body, "prompt": "x"})
        name, model = self._found(asked)
        given = body.get("input")
        texts = [given] if isinstance(given, str) else list(given or ())
        refusal = self.runners.generation.embeds_not()
        async with self._use(self._wanted(asked, name, model), asked) as use:
            if refusal and texts and EMBEDDING not in model.capabilities:
                raise refusal
            count = self._fitted(body, texts, use.runner)
            length = model.embedding_length
            embeddings = [vector(text, length, body.get("dimensions")) for text in texts]
        return {"model": asked.model, "embeddings": embeddings} | (
            {
                "total_duration": perf_counter_ns() - began,
                "load_duration": use.load_ns,
                "prompt_eval_count": count,
            }
            if texts
            else {}
        )

    def _fitted(self, body: dict[str, Any], texts: list[str], runner: Runner) -> int:
        counts = [prompt_tokens(text, raw=True) + 1 for text in texts]
        if body.get("truncate") is False and max(counts, default=0) > runner.wanted.window:
            raise Refusal(400, "the input length exceeds the context length")
        return sum(counts)


async def _with_error_line(
    lines: AsyncGenerator[dict[str, Any], None],
) -> AsyncGenerator[dict[str, Any], None]:
    """Yield lines; when the engine dies among them, one that says so comes last."""
    begun = False
    try:
        async with aclosing(lines):
            async for line in lines:
                begun = True
                yield line
    except EngineDied as died:
        if not begun:
            raise Refusal(500, died.text) from None
        yield {"error": died.text}


async def _joined(lines: AsyncGenerator[dict[str, Any], None], verb: str) -> dict[str, Any]:
    """Return one object that says what the lines say."""
    said: dict[str, Any] = {}
    logprobs: list = []
    last: dict = {}
    try:
        async with aclosing(lines):
            async for line in lines:
                last = line
                _add(said, line["message"] if verb == "chat" else line)
                logprobs += line.get("logprobs", ())
    except EngineDied as died:
        raise Refusal(500, died.text) from None
    more = {"logprobs": logprobs} if logprobs else {}
    if verb == "chat":
        return {**last, "message": {**last["message"], **said}, **more}
    return {**last, **said, **more}


def _add(said: dict[str, Any], part: dict[str, Any]) -> None:
    for key, nothing in (("response", ""), ("content", ""), ("thinking", ""), ("tool_calls", [])):
        if key in part:
            said[key] = said.get(key, nothing) + part[key]
