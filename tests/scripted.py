"""A backend whose every move a test decides: for what a real engine can not be made to do."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Iterable
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

from attrs import define, field, frozen

from orac_core import (
    BackendKind,
    BackendUnavailable,
    Chunk,
    Embeddings,
    EmbedRequest,
    GenerateRequest,
    Host,
    InstanceHealth,
    LoadedInfo,
    LoadProgress,
    LoadRequest,
    ModelInfo,
    ModelNotFound,
    ModelState,
    Plugins,
    Rates,
    Usage,
    hookimpl,
)
from orac_core.devices import Machine, Sensors


@frozen
class ScriptedSettings:
    models: tuple[str, ...] = ("small", "large")


@define(eq=False)
class ScriptedBackend:
    """Serves its models from nothing, and counts what it is asked to do.

    ``gates`` hold it up: while the event of a step is clear, that step waits. ``failures`` hold
    the error that a step raises. ``sizes`` are what models have on the disk, and take in memory.
    ``scripts`` are the answers to come, each whole, instead of ``words``; ``asked`` are the prompts
    that came.
    """

    settings: ScriptedSettings = field(factory=ScriptedSettings)
    words: tuple[str, ...] = ("one ", "two ", "three")
    loaded: dict[str, LoadRequest] = field(factory=dict)
    calls: list[tuple[str, str]] = field(factory=list)
    gates: dict[str, asyncio.Event] = field(factory=dict)
    failures: dict[str, Exception] = field(factory=dict)
    reached: dict[str, asyncio.Event] = field(factory=dict)
    generating: int = 0
    closed_early: int = 0
    down: bool = False
    rates: Rates = field(factory=Rates)
    on_gpu_ratio: float | None = None
    sizes: dict[str, int] = field(factory=dict)
    scripts: list[tuple[Chunk, ...]] = field(factory=list)
    asked: list[GenerateRequest] = field(factory=list)

    def hold(self, step: str) -> asyncio.Event:
        """Make *step* wait until the event returned is set."""
        self.gates[step] = asyncio.Event()
        self.reached[step] = asyncio.Event()
        return self.gates[step]

    async def _pass(self, step: str) -> None:
        if step in self.reached:
            self.reached[step].set()
        if step in self.gates:
            await self.gates[step].wait()
        if step in self.failures:
            raise self.failures[step]

    @hookimpl
    async def models(self) -> list[ModelInfo]:
        await self._pass("models")
        if self.down:
            raise BackendUnavailable("the engine is not running; start it")
        return [self._info(name) for name in self.settings.models]

    def _info(self, name: str) -> ModelInfo:
        request, size = self.loaded.get(name), self.sizes.get(name)
        if request is None:
            return ModelInfo(name, size_bytes=size)
        given = request.context_length or 512, 0, request.parallel or 1, size or 1000
        worn = request.adapters
        loaded = LoadedInfo(*given, on_gpu_ratio=self.on_gpu_ratio, adapters=worn)
        return ModelInfo(name, ModelState.READY, size_bytes=size, loaded=loaded)

    @property
    def taken_bytes(self) -> int:
        """What the loaded models take."""
        return sum(self.sizes.get(name, 0) for name in self.loaded)

    @hookimpl
    async def load(self, request: LoadRequest) -> AsyncGenerator[LoadProgress, None]:
        self.calls.append(("load", request.model))
        if request.model not in self.settings.models:
            raise ModelNotFound(request.model)
        yield LoadProgress("read", 0, 100)
        await self._pass("load")
        yield LoadProgress("read", 100, 100)
        yield LoadProgress("start")
        self.loaded[request.model] = request

    @hookimpl
    async def unload(self, model: str) -> None:
        self.calls.append(("unload", model))
        await self._pass("unload")
        self.loaded.pop(model, None)

    @hookimpl
    async def generate(self, request: GenerateRequest) -> AsyncGenerator[Chunk, None]:
        canary = request.options.max_tokens == 1
        self.calls.append(("canary" if canary else "generate", request.model))
        if request.model not in self.loaded:
            raise BackendUnavailable(f"{request.model} is not loaded")
        self.generating += 1
        finished = False
        try:
            await self._pass("canary" if canary else "first")
            script = self._script(request, canary=canary)
            for count, chunk in enumerate(script):
                finished = chunk.done
                yield chunk
                if not chunk.done:
                    await self._pass("canary" if canary else f"word {count}")
        finally:
            self.generating -= 1
            self.closed_early += not finished

    def _script(self, request: GenerateRequest, *, canary: bool) -> Iterable[Chunk]:
        if not canary:
            self.asked.append(request)
            if self.scripts:
                return self.scripts.pop(0)
        usage = Usage(2, len(self.words), 0)
        last = Chunk(done=True, finish_reason="stop", usage=usage, rates=self.rates)
        return (*map(Chunk, self.words), last)

    @hookimpl
    async def embed(self, request: EmbedRequest) -> Embeddings:
        """Answer with the number of letters and of words of each text."""
        self.calls.append(("embed", request.model))
        if request.model not in self.loaded:
            raise BackendUnavailable(f"{request.model} is not loaded")
        await self._pass("embed")
        vectors = tuple((float(len(it)), float(len(it.split()))) for it in request.texts)
        return Embeddings(
            vectors, Usage(prompt_tokens=sum(len(it.split()) for it in request.texts))
        )

    @hookimpl
    async def health(self) -> InstanceHealth:
        await self._pass("health")
        return InstanceHealth(not self.down, "down" if self.down else "", version="1")

    def count(self, step: str) -> int:
        return sum(call[0] == step for call in self.calls)


def said(*texts: str, **last: Any) -> tuple[Chunk, ...]:
    """Return a script that answers with *texts*; *last* are fields of its last chunk."""
    end = {"finish_reason": "stop", "usage": Usage(2, len(texts), 0), **last}
    return (*map(Chunk, texts), Chunk(done=True, **end))


class NoSensors(Sensors):
    """A machine that says nothing, at once."""

    async def look(self) -> Machine:
        return Machine()


def plugins(*backends: ScriptedBackend, adapters: bool = True) -> Plugins:
    """Return plugins that offer the kind ``scripted``, which opens *backends* one after another.

    It puts the adapters of a load on the model, unless *adapters* is False.
    """
    waiting = list(backends)

    @asynccontextmanager
    async def open_scripted(settings: ScriptedSettings, host: Host) -> AsyncIterator[object]:
        backend = waiting.pop(0)
        if settings != ScriptedSettings():
            backend.settings = settings
        yield backend

    @hookimpl
    def backend_kinds() -> list[BackendKind]:
        return [BackendKind("scripted", ScriptedSettings, open_scripted, adapters=adapters)]

    found = Plugins()
    found.register("scripted", SimpleNamespace(backend_kinds=backend_kinds))
    return found
