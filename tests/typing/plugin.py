"""A plugin as a third party writes it, with every type: it has to pass strict checkers."""

from collections.abc import AsyncGenerator, Generator
from contextlib import aclosing, asynccontextmanager
from typing import assert_type

from attrs import define, field, frozen

from orac_core import (
    BackendKind,
    Chunk,
    Embeddings,
    EmbedRequest,
    GenerateRequest,
    Host,
    InstanceHealth,
    LoadProgress,
    LoadRequest,
    ModelInfo,
    ModelState,
    PullProgress,
    PullRequest,
    Usage,
    hookimpl,
)

orac_hooks = "1.0"


@frozen
class Settings:
    greeting: str = "You said: "


@define(eq=False)
class Backend:
    settings: Settings
    host: Host
    loaded: set[str] = field(factory=set[str])

    @hookimpl
    async def models(self) -> list[ModelInfo]:
        return [ModelInfo("echo", ModelState.READY if self.loaded else ModelState.STOPPED)]

    @hookimpl
    async def load(self, request: LoadRequest) -> AsyncGenerator[LoadProgress, None]:
        assert_type(request.model, str)
        assert_type(request.context_length, int | None)
        yield LoadProgress("start", completed=1, total=2)
        self.loaded.add(request.model)

    @hookimpl
    async def unload(self, model: str) -> None:
        self.loaded.discard(model)

    @hookimpl
    async def generate(self, request: GenerateRequest) -> AsyncGenerator[Chunk, None]:
        assert_type(request.options.max_tokens, int | None)
        yield Chunk(self.settings.greeting)
        yield Chunk(done=True, finish_reason="stop", usage=Usage(completion_tokens=2))

    @hookimpl
    async def health(self) -> InstanceHealth:
        return InstanceHealth(usable=True, version="1")

    @hookimpl
    async def embed(self, request: EmbedRequest) -> Embeddings:
        return Embeddings(tuple((1.0,) for _ in request.texts))

    @hookimpl
    async def pull(self, request: PullRequest) -> AsyncGenerator[PullProgress, None]:
        assert_type(request.model, str)
        yield PullProgress("fetch")

    @hookimpl
    async def obtain(self, model: str) -> object:
        return model


@asynccontextmanager
async def opened(settings: Settings, host: Host) -> AsyncGenerator[Backend, None]:
    yield Backend(settings, host)


@hookimpl
def backend_kinds() -> tuple[BackendKind, ...]:
    return (BackendKind("echo", Settings, opened),)


@hookimpl(wrapper=True)
def generate(
    instance: str, request: GenerateRequest
) -> Generator[None, AsyncGenerator[Chunk, None], AsyncGenerator[Chunk, None]]:
    stream = yield
    return passed(instance, request, stream)


async def passed(
    instance: str, request: GenerateRequest, stream: AsyncGenerator[Chunk, None]
) -> AsyncGenerator[Chunk, None]:
    assert_type(f"{instance}/{request.model}", str)
    async with aclosing(stream):
        async for chunk in stream:
            yield chunk
