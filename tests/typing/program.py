"""A program that uses the library: what type checkers make of what the library returns."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from pathlib import Path
from typing import assert_type

import orac_core
from orac_core import (
    Answer,
    BackendError,
    BackendKind,
    Chunk,
    Embedded,
    Embeddings,
    EmbedRequest,
    FinishReason,
    GenerateRequest,
    Health,
    Instance,
    InstanceHealth,
    Loaded,
    LoadProgress,
    LoadRequest,
    Message,
    ModelInfo,
    ModelManager,
    ModelState,
    Plugin,
    Plugins,
    PullProgress,
    PullRequest,
    ServedModel,
    Unloaded,
    Usage,
    duration_s,
)
from orac_core.devices import Machine
from orac_core.doctor import Diagnosis
from orac_core.manifest import BackendEntry, ModelsSettings, parse
from orac_core.memory import Plan


def script() -> None:
    answer = orac_core.run("Hello", "small", models_dir=Path())
    assert_type(answer, Answer)
    assert_type(answer.text, str)
    assert_type(answer.finish_reason, FinishReason)
    assert_type(answer.usage, Usage)
    assert_type(duration_s("5m"), float)


async def program(request: GenerateRequest) -> None:
    async with orac_core.open() as manager:
        assert_type(manager, ModelManager)
        assert_type(await manager.models(), list[ServedModel])
        assert_type(await manager.find("small"), ServedModel)
        assert_type(await manager.plan(LoadRequest("small")), Plan)
        assert_type(await manager.load(LoadRequest("small")), Loaded)
        assert_type(await manager.unload("small", force=True), Unloaded)
        assert_type(await manager.answer(request, deadline_s=2), Answer)
        assert_type(await manager.embed(EmbedRequest("small", ("text",))), Embedded)
        assert_type(await manager.diagnose("small"), Diagnosis)
        assert_type(await manager.health(), Health)
        assert_type(await manager.machine(), Machine)
        assert_type(manager.generate(request), AsyncGenerator[Chunk | Answer, None])
        assert_type(
            manager.load_progress(LoadRequest("small")),
            AsyncGenerator[LoadProgress | Loaded, None],
        )


async def streamed(manager: ModelManager) -> Answer | None:
    request = GenerateRequest("small", (Message("user", "Hello"),))
    async with aclosing(manager.generate(request)) as stream:
        async for piece in stream:
            if isinstance(piece, Answer):
                return piece
            assert_type(piece, Chunk)
    return None


async def relayed(instance: Instance, request: GenerateRequest) -> None:
    assert_type(await instance.models(), list[ModelInfo])
    assert_type(await instance.health(), InstanceHealth)
    assert_type(await instance.embed(EmbedRequest("small", ("text",))), Embeddings)
    assert_type(await instance.obtain("small"), object)
    assert_type(instance.generate(request), AsyncGenerator[Chunk, None])
    assert_type(instance.load(LoadRequest("small")), AsyncGenerator[LoadProgress, None])
    assert_type(instance.pull(PullRequest("small")), AsyncGenerator[PullProgress, None])
    assert_type(instance.offers, frozenset[str])


def found() -> None:
    plugins = Plugins.discover()
    assert_type(plugins.plugins, dict[str, Plugin])
    assert_type(plugins.kinds, dict[str, BackendKind])
    assert_type(plugins.broken, dict[str, str])
    assert_type(plugins.bind("here", object()), Instance)


def read(model: ServedModel, error: BackendError) -> None:
    manifest = parse({}, "a test")
    assert_type(manifest.models, ModelsSettings)
    assert_type(dict(manifest.backends), dict[str, BackendEntry])
    assert_type(model.info.state, ModelState)
    assert_type((error.instance, error.operation), tuple[str, str])
