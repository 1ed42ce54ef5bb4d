"""How models come into memory, and leave it."""

from contextlib import aclosing

from ...errors import ModelNotFound
from ...types import ModelState
from ..broken import expect, need
from ..promise import Promise
from ..trial import Trial

BEFORE_MEMORY = ("validate", "upload")
"""Stages in which a load does not take memory yet."""


async def _ours(trial: Trial) -> None:
    need(not (await trial.info()).remote, "its models are in the memory of another machine")


async def _state(trial: Trial, wanted: ModelState, after: str) -> None:
    seen = (await trial.info()).state
    expect(seen is wanted, f"after {after} models() says {seen}, not {wanted}")


async def _loads(trial: Trial) -> None:
    await _ours(trial)
    await trial.load()
    await _state(trial, ModelState.READY, "load")


async def _announces_memory(trial: Trial) -> None:
    await _ours(trial)
    stages = [each.stage for each in await trial.load()]
    expect(set(stages) - {*BEFORE_MEMORY}, f"load yielded only these stages: {stages}")


async def _counts_forward(trial: Trial) -> None:
    for each in await trial.load():
        sound = each.completed >= 0 and (each.total is None or each.completed <= each.total)
        expect(sound, f"load told {each.completed} of {each.total} bytes")


async def _loads_again(trial: Trial) -> None:
    await trial.load()
    await trial.load()
    await trial.ask()


async def _refuses_to_load_what_it_has_not(trial: Trial) -> None:
    try:
        await trial.load(trial.subject.unknown_model)
    except ModelNotFound:
        return
    expect(None, f"load of {trial.subject.unknown_model!r} ended without an error")


async def _gives_a_load_up(trial: Trial) -> None:
    await _ours(trial)
    async with aclosing(trial.instance.load(trial.loading())) as stages:
        async for each in stages:
            if each.stage not in BEFORE_MEMORY:
                break
        await trial.ends_soon(stages.aclose(), "a load that was closed")
    await _state(trial, ModelState.STOPPED, "a load that was closed")
    await trial.load()
    await trial.ask()


async def _unloads(trial: Trial) -> None:
    await _ours(trial)
    await trial.load()
    await trial.unload()
    await _state(trial, ModelState.STOPPED, "unload")


async def _unloads_again(trial: Trial) -> None:
    await trial.unload()
    await trial.load()
    await trial.unload()
    await trial.unload()


async def _unloads_what_it_has_not(trial: Trial) -> None:
    await trial.instance.unload(trial.subject.unknown_model)


async def _gives_memory_back(trial: Trial) -> None:
    await _ours(trial)
    await trial.load()
    await trial.unload()
    loaded = (await trial.info()).loaded
    expect(loaded is None, f"after unload ModelInfo.loaded is {loaded}")


async def _loads_after_an_unload(trial: Trial) -> None:
    for _ in range(2):
        await trial.load()
        await trial.ask()
        await trial.unload()


LOADING = (
    Promise(
        "load",
        "load brings the model into memory: when it ends, models says that it is ready",
        "end the generator only when the engine can answer, and list the model as READY then",
        _loads,
    ),
    Promise(
        "load-announces",
        "load yields a stage other than validate and upload before it takes memory",
        'yield LoadProgress("start") first; there ORAC makes room',
        _announces_memory,
    ),
    Promise(
        "load-progress",
        "load never tells more bytes done than there are",
        "keep 0 <= completed <= total, or leave total None",
        _counts_forward,
    ),
    Promise(
        "load-again",
        "a load of a model that is loaded ends at once, and the model still answers",
        "return from load when the model is there already",
        _loads_again,
    ),
    Promise(
        "load-unknown",
        "a load of a model that it does not have raises ModelNotFound",
        "look the name up before anything else and raise ModelNotFound(request.model)",
        _refuses_to_load_what_it_has_not,
    ),
    Promise(
        "load-closed",
        "a load that is closed early is given up and leaves nothing behind",
        "mark the model as loaded only after the last yield, and free in `finally` what it took",
        _gives_a_load_up,
    ),
    Promise(
        "unload",
        "unload frees the model: when it returns, models says that it is stopped",
        "wait in unload until the engine let go of the model",
        _unloads,
    ),
    Promise(
        "unload-again",
        "unload of a model that is not loaded does nothing and raises nothing",
        "return when there is nothing to unload: `self.loaded.discard(model)`",
        _unloads_again,
    ),
    Promise(
        "unload-unknown",
        "unload of a model that it does not have raises nothing",
        "return when the name is not known",
        _unloads_what_it_has_not,
    ),
    Promise(
        "unload-memory",
        "a model that was unloaded holds no memory",
        "leave ModelInfo.loaded None for a model that is not in memory",
        _gives_memory_back,
    ),
    Promise(
        "load-after-unload",
        "a model can be loaded, asked and unloaded again and again",
        "leave nothing behind in unload that stands in the way of the next load",
        _loads_after_an_unload,
    ),
)
"""The promises of ``load`` and ``unload``."""
