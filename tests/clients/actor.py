"""A backend that does what the prompt tells it, so that a client can bring anything about."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator, Mapping
from contextlib import aclosing
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar

from attrs import define

from orac_core import (
    BackendError,
    BackendUnavailable,
    CallPiece,
    Candidate,
    Chunk,
    DeadlineExceeded,
    GenerateRequest,
    InsufficientMemory,
    InvalidRequest,
    ModelFileInvalid,
    ModelManager,
    OracError,
    PromptTooLong,
    QueueFull,
    ShuttingDown,
    StateConflict,
    Token,
    Usage,
    hookimpl,
)
from tests.scripted import ScriptedBackend

T = TypeVar("T")

PACE_S = 0.005


def at_once(error: OracError) -> OracError:
    """Return *error*; a client that asks again by itself need not wait long."""
    error.retry_after_s = error.retry_after_s and 0
    return error


FAILURES: Mapping[str, OracError] = MappingProxyType(
    {
        "invalid_request": InvalidRequest("this makes no sense"),
        "context_length_exceeded": PromptTooLong("it exceeds the available context size"),
        "state_conflict": StateConflict("it is being examined"),
        "model_file_invalid": ModelFileInvalid(Path("small.gguf"), "truncated"),
        "queue_full": at_once(QueueFull("too many wait", 1)),
        "backend_error": BackendError("the engine stumbled"),
        "backend_unavailable": at_once(BackendUnavailable("the engine died")),
        "insufficient_memory": at_once(InsufficientMemory("it does not fit")),
        "shutting_down": at_once(ShuttingDown("it stops")),
        "deadline_exceeded": DeadlineExceeded("it took too long"),
    }
)
"""What ``fail CODE`` and ``break CODE`` raise: before the first word, and after it."""

STATUSES: Mapping[str, int] = MappingProxyType(
    {
        "invalid_request": 400,
        "context_length_exceeded": 400,
        "state_conflict": 409,
        "model_file_invalid": 422,
        "queue_full": 429,
        "internal_error": 500,
        "backend_error": 502,
        "backend_unavailable": 503,
        "insufficient_memory": 503,
        "shutting_down": 503,
        "deadline_exceeded": 504,
    }
)


def stumbling(method: Callable[..., T]) -> Callable[..., T]:
    """Return *method* of a manager; ``fail internal_error`` is an error that nobody expected."""

    def stumbled(manager: ModelManager, request: GenerateRequest, **options: Any) -> T:
        if told(request) == "fail internal_error":
            raise RuntimeError("oh")
        return method(manager, request, **options)

    return stumbled


@define(eq=False)
class Actor(ScriptedBackend):
    """Answers ``one two three``, calls the first tool there is, or writes ``{"go":true}``.

    To ``endless`` it writes until it is stopped.
    """

    @hookimpl
    async def generate(self, request: GenerateRequest) -> AsyncGenerator[Chunk, None]:
        writing = self._endless() if told(request) == "endless" else super().generate(request)
        async with aclosing(writing) as chunks:
            async for chunk in chunks:
                yield chunk

    async def _endless(self) -> AsyncGenerator[Chunk, None]:
        self.generating += 1
        try:
            while True:
                yield Chunk("on ")
                await asyncio.sleep(PACE_S)
        finally:
            self.generating -= 1
            self.closed_early += 1

    def _script(self, request: GenerateRequest, *, canary: bool) -> Iterable[Chunk]:
        if not canary:
            self.asked.append(request)
        word, _, code = told(request).partition(" ")
        if word == "fail" and not canary:
            raise FAILURES[code]
        if request.toolbox and request.toolbox.choice != "none":
            return called(request.toolbox.tools[0].name)
        words = ("{", '"go":', "true}") if request.format else self.words
        return written(words, request.top_logprobs, FAILURES[code] if word == "break" else None)


def told(request: GenerateRequest) -> str:
    """Return the text that *request* ends with."""
    return request.messages[-1].content if request.messages else request.prompt or ""


def called(name: str) -> Iterator[Chunk]:
    """Yield a call of the tool *name*, in pieces."""
    yield Chunk(calls=(CallPiece(0, "", "call_1", name),))
    yield Chunk(calls=(CallPiece(0, '{"place":'),))
    yield Chunk(calls=(CallPiece(0, '"Rome"}'),))
    yield Chunk(done=True, finish_reason="tool_calls", usage=Usage(9, 4))


def written(words: tuple[str, ...], top: int | None, failure: Exception | None) -> Iterator[Chunk]:
    """Yield *words*; raise *failure*, where there is one, after the first of them."""
    for word in words:
        likeliest = tuple(Candidate(each, -1.0) for each in words[: top or 0])
        yield Chunk(word, tokens=() if top is None else (Token(word, -1.0, None, likeliest),))
        if failure:
            raise failure
    yield Chunk(done=True, finish_reason="stop", usage=Usage(2, len(words), 0))
