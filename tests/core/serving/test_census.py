"""What is known of everything without asking any engine."""

import asyncio

import pytest

import orac_core
from orac_core import BackendUnavailable, GenerateRequest, LoadRequest, ModelState
from orac_core.manifest import parse
from orac_core.serving.breaker import FAILURES
from tests.scripted import ScriptedBackend, plugins
from tests.waiting import until


@pytest.fixture
def backend():
    return ScriptedBackend(sizes={"small": 1000})


@pytest.fixture
async def manager(backend):
    manifest = parse({"backends": {"fake": {"kind": "scripted"}}}, "a test")
    async with orac_core.open(manifest, plugins=plugins(backend), environ={}) as opened:
        yield opened


async def test_before_anybody_asked_nothing_is_known(manager, backend):
    assert (manager.census.models, manager.census.backends) == ((), ())
    assert backend.calls == []


async def test_a_model_has_its_state_its_memory_and_who_waits(manager, backend):
    await manager.load(LoadRequest("small"))
    await manager.models()
    backend.hold("word 0")
    answering = asyncio.create_task(manager.answer(GenerateRequest("small", prompt="hi")))
    await until(backend.reached["word 0"].is_set)
    small, large = manager.census.models
    assert (small.instance, small.model, small.state) == ("fake", "small", ModelState.READY)
    assert (small.active, small.waiting, small.memory_bytes) == (1, 0, 1000)
    assert (small.evictions, small.speed_ratio, small.degraded) == (0, None, None)
    assert (large.state, large.active, large.memory_bytes) == (ModelState.STOPPED, 0, None)
    backend.gates["word 0"].set()
    await answering


async def test_a_backend_is_as_it_was_when_it_was_last_asked(manager, backend):
    await manager.health()
    (found,) = manager.census.backends
    assert (found.instance, found.usable, found.spared) == ("fake", True, False)
    backend.down = True
    (found,) = manager.census.backends
    assert found.usable
    await manager.health()
    (found,) = manager.census.backends
    assert not found.usable


async def test_a_backend_that_can_not_be_reached_is_spared(manager, backend):
    await manager.health()
    backend.down = True
    for _ in range(FAILURES):
        with pytest.raises(BackendUnavailable):
            await manager.find("small")
    (found,) = manager.census.backends
    assert found.spared
