"""Models that wear adapters: which, when they change, and who is refused."""

import asyncio
import os
from contextlib import AsyncExitStack

import pytest

import orac_core
from orac_core import (
    Adapter,
    BackendError,
    GenerateRequest,
    InvalidRequest,
    LoadRequest,
    Message,
    ModelState,
    StateConflict,
)
from orac_core.manifest import parse
from tests.scripted import NoSensors, ScriptedBackend, plugins
from tests.tiny_adapters import write_adapter
from tests.waiting import until

SIZE_BYTES = 1536


@pytest.fixture
async def opened(tmp_path):
    async with AsyncExitStack() as stack:

        async def open_with(backend, *adapters, roles=None, able=True):
            files = {"small": {"adapters": list(adapters)}} if adapters else {}
            data = {
                "models": {"adapters": str(tmp_path), "files": files, "canaries": False},
                "backends": {"here": {"kind": "scripted"}},
                "profiles": {"default": {"models": roles or {}}},
            }
            found = plugins(backend, adapters=able)
            manifest = parse(data, "test")
            opening = orac_core.open(manifest, plugins=found, environ={}, sensors=NoSensors())
            return await stack.enter_async_context(opening)

        yield open_with


def ask(model="small"):
    return GenerateRequest(model, messages=(Message("user", "count"),))


def change(path, seed):
    write_adapter(path.with_suffix(".new"), seed=seed).replace(path)


async def test_one_load_serves_all_who_come_after_a_change_and_running_answers_end_whole(
    opened, tmp_path
):
    adapter, backend = write_adapter(tmp_path / "lora.gguf"), ScriptedBackend()
    manager = await opened(backend, {"path": "lora"})
    await manager.load(LoadRequest("small"))
    gate = backend.hold("word 0")
    running = [asyncio.create_task(manager.answer(ask())) for _ in range(3)]
    await until(lambda: backend.generating == 3)
    change(adapter, seed=1)
    waiting = [asyncio.create_task(manager.answer(ask())) for _ in range(20)]
    await until(lambda: manager._fleet.slots["here", "small"].state is ModelState.STOPPING)
    assert not any(task.done() for task in (*running, *waiting))
    gate.set()
    answers = await asyncio.gather(*running, *waiting)
    assert {answer.text for answer in answers} == {"one two three"}
    assert (backend.count("load"), backend.count("unload")) == (2, 1)
    change(adapter, seed=2)
    await manager.answer(ask())
    assert backend.count("load") == 3


async def test_a_file_that_was_only_touched_is_no_reason_to_load_anew(opened, tmp_path):
    adapter, backend = write_adapter(tmp_path / "lora.gguf"), ScriptedBackend()
    manager = await opened(backend, {"path": "lora"})
    await manager.answer(ask())
    os.utime(adapter, (1, 1))
    await manager.answer(ask())
    assert backend.count("load") == 1


async def test_a_load_anew_that_fails_is_tried_again_by_the_next_prompt(opened, tmp_path):
    adapter, backend = write_adapter(tmp_path / "lora.gguf"), ScriptedBackend()
    manager = await opened(backend, {"path": "lora"})
    await manager.answer(ask())
    change(adapter, seed=1)
    backend.failures["load"] = BackendError("the engine is ill")
    with pytest.raises(BackendError, match="ill"):
        await manager.answer(ask())
    backend.failures.clear()
    assert (await manager.answer(ask())).text == "one two three"


async def test_a_changed_model_keeps_how_it_was_loaded(opened, tmp_path):
    adapter, backend = write_adapter(tmp_path / "lora.gguf"), ScriptedBackend()
    manager = await opened(backend, {"path": "lora"})
    await manager.load(LoadRequest("small", 99, parallel=3, keep_alive_s=50.0))
    change(adapter, seed=1)
    await manager.answer(ask())
    request = backend.loaded["small"]
    assert (request.context_length, request.parallel, request.keep_alive_s) == (99, 3, 50.0)


async def test_a_backend_that_can_not_is_not_given_any(opened, tmp_path):
    write_adapter(tmp_path / "lora.gguf")
    manager = await opened(ScriptedBackend(), {"path": "lora"}, able=False)
    with pytest.raises(InvalidRequest, match="here puts no adapters on models"):
        await manager.answer(ask())
    small, large = await manager.models()
    assert (small.info.state, large.info.state) == (ModelState.FAILED, ModelState.STOPPED)
    assert "puts no adapters" in small.info.state_reason


async def test_what_adapters_take_is_counted_before_and_after_a_load(opened, tmp_path):
    write_adapter(tmp_path / "lora.gguf")
    sizes = {"small": 1 << 20, "large": 1 << 20}
    manager = await opened(ScriptedBackend(sizes=sizes), {"path": "lora"})
    worn, bare = [await manager.plan(LoadRequest(name)) for name in ("small", "large")]
    assert worn.demand.total_bytes - bare.demand.total_bytes == SIZE_BYTES
    small, large = await manager.models()
    assert small.needs_bytes - large.needs_bytes == SIZE_BYTES


async def test_a_role_with_other_adapters_does_not_join_a_load_under_way(opened, tmp_path):
    for name in ("one", "two"):
        write_adapter(tmp_path / f"{name}.gguf")
    roles = {name: {"name": "small", "adapters": [{"path": name}]} for name in ("one", "two")}
    backend = ScriptedBackend()
    manager = await opened(backend, roles={**roles, "bare": "small"})
    gate = backend.hold("load")
    first = asyncio.create_task(manager.answer(ask("one")))
    await backend.reached["load"].wait()
    for role in ("two", "bare"):
        with pytest.raises(StateConflict, match=r"is being loaded with the adapters one\.gguf"):
            await manager.answer(ask(role))
    joined = asyncio.create_task(manager.answer(ask()))
    again = asyncio.create_task(manager.answer(ask("one")))
    gate.set()
    assert {it.text for it in await asyncio.gather(first, joined, again)} == {"one two three"}
    assert backend.count("load") == 1


async def test_adapters_of_the_library_s_own_user_are_given_as_they_are(opened):
    backend, worn = ScriptedBackend(), (Adapter("/somewhere.gguf", 2.0, "0" * 64, 10),)
    manager = await opened(backend)
    loaded = await manager.load(LoadRequest("small", adapters=worn))
    assert (loaded.applied.adapters, backend.loaded["small"].adapters) == (worn, worn)
    with pytest.raises(StateConflict, match="instead of no adapters"):
        await manager.load(LoadRequest("small", adapters=()))
    assert (await manager.answer(ask())).text == "one two three"


async def test_closing_in_the_middle_of_a_change_leaves_nothing_behind(opened, tmp_path):
    adapter, backend = write_adapter(tmp_path / "lora.gguf"), ScriptedBackend()
    manager = await opened(backend, {"path": "lora"})
    await manager.answer(ask())
    change(adapter, seed=1)
    backend.hold("load")
    waiting = asyncio.create_task(manager.answer(ask()))
    await backend.reached["load"].wait()
    await manager.close(drain_s=0.0)
    with pytest.raises(orac_core.OracError):
        await waiting
    assert backend.loaded == {}
