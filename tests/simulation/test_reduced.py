"""What the simulation found, each reduced to a few steps."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import aclosing

import pytest

import orac_core
from orac_core import (
    BackendUnavailable,
    GenerateRequest,
    Limits,
    LoadRequest,
    Message,
    ModelManager,
    Unloaded,
)
from orac_core.manifest import parse
from tests.scripted import ScriptedBackend, plugins
from tests.simulation import loop
from tests.simulation.machine import MB, SimulatedMachine, SimulatedSensors
from tests.waiting import until

Scene = Callable[[ScriptedBackend, ModelManager], Awaitable[None]]
PROMPT = GenerateRequest("small", messages=(Message("user", "hi"),))


class SlowToStop(ScriptedBackend):
    """Takes its time to end an answer that nobody wants any more."""

    @orac_core.hookimpl
    async def generate(self, request):
        try:
            async with aclosing(super().generate(request)) as chunks:
                async for chunk in chunks:
                    yield chunk
        finally:
            await asyncio.sleep(5)


def play(scene: Scene, backend: ScriptedBackend | None = None) -> None:
    """Run *scene* with a manager in front of *backend*, on virtual time."""
    backend = backend or ScriptedBackend()

    async def on_stage() -> None:
        async with orac_core.open(
            parse({"backends": {"here": {"kind": "scripted"}}}, "test"),
            plugins=plugins(backend),
            limits=Limits(drain_s=1),
            environ={},
            sensors=SimulatedSensors(machine=SimulatedMachine(MB)),
        ) as manager:
            await scene(backend, manager)

    loop.run(on_stage)


def tasks_beside_this() -> set[asyncio.Task]:
    return asyncio.all_tasks() - {asyncio.current_task()}


def test_a_load_given_up_takes_no_memory_from_under_an_answer():
    async def scene(backend: ScriptedBackend, manager: ModelManager) -> None:
        await manager.load(LoadRequest("small"))
        word = backend.hold("word 1")
        answer = asyncio.create_task(manager.answer(PROMPT))
        await backend.reached["word 1"].wait()
        backend.failures["first"] = BackendUnavailable("this call was lost, the engine lives")
        backend.hold("load")
        lost = asyncio.create_task(manager.answer(PROMPT))
        await backend.reached["load"].wait()
        unload = asyncio.create_task(manager.unload("small"))
        await asyncio.wait([lost])
        await asyncio.sleep(60)
        assert backend.count("unload") == 0
        word.set()
        assert (await answer).text == "one two three"
        await unload
        assert backend.loaded == {}

    play(scene)


def test_closing_waits_for_an_unload_under_way():
    async def scene(backend: ScriptedBackend, manager: ModelManager) -> None:
        await manager.load(LoadRequest("small"))
        gate = backend.hold("unload")
        unload = asyncio.create_task(manager.unload("small"))
        await backend.reached["unload"].wait()
        asyncio.get_running_loop().call_later(5, gate.set)
        await manager.close()
        assert backend.loaded == {}
        assert isinstance(await unload, Unloaded)

    play(scene)


def test_closing_leaves_no_unload_behind_that_does_not_end():
    async def scene(backend: ScriptedBackend, manager: ModelManager) -> None:
        await manager.load(LoadRequest("small"))
        backend.hold("unload")
        unload = asyncio.create_task(manager.unload("small"))
        await backend.reached["unload"].wait()
        await manager.close()
        with pytest.raises(orac_core.ShuttingDown, match="the memory of small"):
            await unload
        await until(lambda: not tasks_beside_this())

    play(scene)


def test_closing_leaves_no_load_behind_that_does_not_end():
    async def scene(backend: ScriptedBackend, manager: ModelManager) -> None:
        backend.hold("load")
        backend.hold("unload")
        load = asyncio.create_task(manager.load(LoadRequest("small")))
        await backend.reached["load"].wait()
        await manager.close()
        with pytest.raises(orac_core.ShuttingDown):
            await load
        await until(lambda: not tasks_beside_this())

    play(scene)


def test_closing_lets_nobody_who_waited_for_an_unload_load_anew():
    async def scene(backend: ScriptedBackend, manager: ModelManager) -> None:
        backend.hold("load")
        gate = backend.hold("unload")
        first = asyncio.create_task(manager.load(LoadRequest("small")))
        await backend.reached["load"].wait()
        unload = asyncio.create_task(manager.unload("small"))
        await backend.reached["unload"].wait()
        second = asyncio.create_task(manager.load(LoadRequest("small")))
        await asyncio.sleep(1)
        asyncio.get_running_loop().call_later(2, gate.set)
        await manager.close()
        await asyncio.wait([first, unload, second])
        assert isinstance(second.exception(), orac_core.ShuttingDown)
        assert backend.calls == [("load", "small"), ("unload", "small")]

    play(scene)


def test_an_unload_may_be_forced_while_an_answer_that_is_too_late_still_ends():
    async def scene(backend: ScriptedBackend, manager: ModelManager) -> None:
        await manager.load(LoadRequest("small"))
        backend.hold("first")
        late = asyncio.create_task(manager.answer(PROMPT, deadline_s=1))
        await asyncio.sleep(2)
        assert isinstance(await manager.unload("small", force=True), Unloaded)
        with pytest.raises(orac_core.OracError):
            await late

    play(scene, SlowToStop())


def test_an_unload_that_gives_up_a_load_says_when_the_engine_keeps_the_model():
    async def scene(backend: ScriptedBackend, manager: ModelManager) -> None:
        backend.hold("canary")
        backend.failures["unload"] = orac_core.BackendError("the engine keeps it")
        load = asyncio.create_task(manager.load(LoadRequest("small")))
        await backend.reached["canary"].wait()
        with pytest.raises(orac_core.BackendError, match="keeps it"):
            await manager.unload("small")
        await asyncio.wait([load])
        assert manager._fleet.slots["here", "small"].state is orac_core.ModelState.FAILED

    play(scene)


def test_a_model_that_is_lost_before_its_first_answer_begins_is_loaded_again():
    async def scene(backend: ScriptedBackend, manager: ModelManager) -> None:
        load = backend.hold("load")
        answer = asyncio.create_task(manager.answer(PROMPT))
        await backend.reached["load"].wait()
        models = backend.hold("models")
        load.set()
        await backend.reached["models"].wait()
        await manager._fleet.slots["here", "small"].unload(force=False)
        models.set()
        assert (await answer).text == "one two three"

    play(scene)


def test_nothing_is_loaded_once_the_manager_is_closed():
    async def scene(backend: ScriptedBackend, manager: ModelManager) -> None:
        models = backend.hold("models")
        load = asyncio.create_task(manager.load(LoadRequest("small")))
        await backend.reached["models"].wait()
        await manager.close()
        models.set()
        await asyncio.wait([load])
        assert backend.calls == []

    play(scene)


def test_a_backend_that_does_not_answer_once_makes_nothing_forgotten():
    async def scene(backend: ScriptedBackend, manager: ModelManager) -> None:
        await manager.answer(PROMPT)
        await manager.unload("small")
        slot = manager._fleet.slots["here", "small"]
        backend.failures["models"] = orac_core.BackendError("garbled")
        await manager.models()
        backend.failures.clear()
        await manager.models()
        assert manager._fleet.slots["here", "small"] is slot

    play(scene)
