"""How many answers of a model are made at once: as the manifest says, else as the model does."""

import asyncio
from contextlib import AsyncExitStack

import pytest
from attrs import define, evolve
from hypothesis import given
from hypothesis import strategies as st

import orac_core
from orac_core import (
    Answer,
    GenerateRequest,
    Limits,
    LoadRequest,
    Message,
    ModelInfo,
    ModelManager,
    hookimpl,
)
from orac_core.manifest import parse
from orac_core.serving.admission import MOST, USUAL
from tests.scripted import ScriptedBackend, plugins
from tests.waiting import until

KEY = ("here", "small")


@define(eq=False)
class Cluster(ScriptedBackend):
    """Serves its models elsewhere, so many answers at once as it has ``seats`` by now."""

    seats: int = 4
    looks: int = 0

    @hookimpl
    async def models(self) -> list[ModelInfo]:
        self.looks += 1
        found = [self._info(name) for name in self.settings.models]
        return [
            evolve(it, remote=True, loaded=it.loaded and evolve(it.loaded, parallel=self.seats))
            for it in found
        ]


@pytest.fixture
async def opened():
    async with AsyncExitStack() as stack:

        async def open_with(backend: ScriptedBackend, **server) -> ModelManager:
            said = {"backends": {"here": {"kind": "scripted"}}, "server": {"drain": 0.05, **server}}
            opening = orac_core.open(parse(said, "test"), plugins=plugins(backend), environ={})
            return await stack.enter_async_context(opening)

        yield open_with


async def asked(manager: ModelManager, count: int, before: int = 0) -> list[asyncio.Task[Answer]]:
    """Ask so often; the answers are under way, or wait."""
    request = GenerateRequest("small", messages=(Message("user", "count"),))
    tasks = [asyncio.create_task(manager.answer(request)) for _ in range(count)]
    await until(lambda: sum(requests(manager)) >= before + count)
    return tasks


def requests(manager: ModelManager) -> tuple[int, int]:
    now = [it for it in manager.census.models if (it.instance, it.model) == KEY]
    return sum(it.active for it in now), sum(it.waiting for it in now)


async def at_once(manager: ModelManager) -> int:
    return (await manager.find("small")).at_once


async def ended(backend: ScriptedBackend, tasks: list[asyncio.Task[Answer]]) -> None:
    backend.gates["first"].set()
    await asyncio.gather(*tasks)


async def test_as_many_are_answered_at_once_as_the_model_does(opened):
    manager = await opened(backend := ScriptedBackend())
    await manager.load(LoadRequest("small", parallel=12))
    backend.hold("first")
    tasks = await asked(manager, 20)
    await until(lambda: backend.generating == 12)
    assert requests(manager) == (12, 8)
    assert await at_once(manager) == 12
    await ended(backend, tasks)


async def test_what_the_manifest_says_holds_whatever_the_model_does(opened):
    manager = await opened(backend := ScriptedBackend(), max_concurrency=8)
    await manager.load(LoadRequest("small", parallel=12))
    backend.hold("first")
    tasks = await asked(manager, 20)
    await until(lambda: backend.generating == 8)
    assert requests(manager) == (8, 12)
    assert await at_once(manager) == 8
    await ended(backend, tasks)


async def test_eight_of_a_model_that_does_fewer_or_is_not_loaded_are_let_through(opened):
    manager = await opened(ScriptedBackend())
    assert await at_once(manager) == USUAL == 8
    await manager.load(LoadRequest("small", parallel=2))
    assert await at_once(manager) == 8
    await manager.unload("small")
    await manager.load(LoadRequest("small", parallel=12))
    assert await at_once(manager) == 12
    await manager.unload("small")
    assert await at_once(manager) == 8


async def test_those_who_wait_for_the_load_go_on_as_the_model_can(opened):
    manager = await opened(backend := Cluster(seats=12))
    loading = backend.hold("load")
    backend.hold("first")
    tasks = await asked(manager, 15)
    assert requests(manager) == (8, 7)
    loading.set()
    await until(lambda: backend.generating == 12)
    await ended(backend, tasks)


async def test_replicas_that_come_while_requests_wait_are_used_without_anybody_asking(opened):
    manager = await opened(backend := Cluster())
    manager._replies.growth.every_s = 0.001
    await manager.load(LoadRequest("small"))
    backend.hold("first")
    tasks = await asked(manager, 30)
    await until(lambda: backend.generating == 8)
    backend.seats = 16
    await until(lambda: backend.generating == 16)
    backend.seats = 24
    await until(lambda: backend.generating == 24)
    await ended(backend, tasks)


async def test_replicas_that_come_after_a_load_that_all_waited_for_are_used_as_well(opened):
    manager = await opened(backend := Cluster())
    manager._replies.growth.every_s = 0.001
    loading = backend.hold("load")
    backend.hold("first")
    tasks = await asked(manager, 20)
    loading.set()
    await until(lambda: backend.generating == 8)
    backend.seats = 16
    await until(lambda: backend.generating == 16)
    await ended(backend, tasks)


async def test_a_model_that_nobody_waits_for_is_not_looked_at(opened):
    manager = await opened(backend := Cluster())
    manager._replies.growth.every_s = 0.001
    await manager.load(LoadRequest("small"))
    backend.hold("first")
    tasks = await asked(manager, 9)
    await until(lambda: backend.generating == 8)
    tasks.pop().cancel()
    await until(lambda: requests(manager) == (8, 0) and not looks())
    await ended(backend, tasks)


async def test_nobody_is_looked_at_any_more_once_it_is_over(opened):
    manager = await opened(backend := Cluster())
    await manager.load(LoadRequest("small"))
    backend.hold("first")
    tasks = await asked(manager, 9)
    assert looks()
    await manager._replies.close()
    manager._replies.growth.notice(manager._fleet.slots[KEY])
    assert not looks()
    await ended(backend, tasks)


def looks() -> list[str]:
    return [it.get_name() for it in asyncio.all_tasks() if "do more at once" in it.get_name()]


async def test_replicas_that_go_let_no_more_through_than_are_left(opened):
    manager = await opened(backend := Cluster(seats=16))
    await manager.load(LoadRequest("small"))
    first = backend.hold("first")
    tasks = await asked(manager, 16)
    await until(lambda: backend.generating == 16)
    backend.seats = 10
    assert await at_once(manager) == 10
    tasks += await asked(manager, 5, before=16)
    assert requests(manager) == (16, 5)
    first.set()
    await asyncio.gather(*tasks)


async def test_a_full_queue_has_nobody_asked_where_that_can_change_nothing(opened):
    manager = await opened(backend := Cluster(), max_concurrency=2)
    await manager.load(LoadRequest("small"))
    backend.hold("first")
    before = backend.looks
    tasks = await asked(manager, 9)
    await until(lambda: backend.generating == 2)
    assert backend.looks == before
    await ended(backend, tasks)


async def test_a_report_from_before_the_load_changes_nothing(opened):
    manager = await opened(ScriptedBackend())
    await manager.load(LoadRequest("small", parallel=12))
    slot = manager._fleet.slots[KEY]
    slot.reported(ModelInfo("small"), slot.changes - 1)
    assert slot.admission.at_once == 12


@given(st.none() | st.integers(1, MOST), st.none() | st.integers(-1, 1 << 60))
def test_a_number_that_is_set_holds_and_else_never_fewer_than_usual_nor_too_many(said, parallel):
    found = Limits(max_concurrency=said).at_once(parallel)
    if said is not None:
        assert found == said
    else:
        assert found == min(MOST, max(USUAL, parallel or USUAL))
