"""A simulation that notices nothing proves nothing: here each sin is committed on purpose."""

import asyncio
from contextlib import aclosing
from random import Random

import pytest

from orac_core import BackendUnavailable, GenerateRequest, LoadRequest
from orac_core.errors import InsufficientMemory
from tests.simulation import loop
from tests.simulation.engine import SimulatedEngine
from tests.simulation.faults import Faults
from tests.simulation.lives import SimulatedModel
from tests.simulation.machine import MB, SimulatedMachine, SimulatedSensors

SMALL = SimulatedModel("small", 600 * MB, load_s=4)


def engine(total_bytes: int = 1000 * MB) -> SimulatedEngine:
    machine, faults = SimulatedMachine(total_bytes), Faults(Random(0), on=False)
    return SimulatedEngine("here", machine, faults, {"small": SMALL}, note=lambda _: None)


async def exhaust(stream) -> list:
    async with aclosing(stream) as items:
        return [item async for item in items]


def test_a_load_takes_its_time_and_its_memory_and_an_unload_gives_it_back():
    here = engine()

    async def scene() -> None:
        started = asyncio.get_running_loop().time()
        await exhaust(here.load(LoadRequest("small")))
        assert asyncio.get_running_loop().time() - started == pytest.approx(4, abs=0.1)
        look = SimulatedSensors(machine=here.machine).look
        assert (await look()).memory.available_bytes == 400 * MB
        await here.unload("small")
        assert (await look()).memory.available_bytes == 1000 * MB

    loop.run(scene)
    assert here.sins == here.machine.sins == []


def test_two_loads_at_once_are_noticed():
    here = engine(2000 * MB)

    async def scene() -> None:
        await asyncio.gather(*(exhaust(here.load(LoadRequest("small"))) for _ in range(2)))

    loop.run(scene)
    assert here.sins == ["two loads of small at once"]


def test_an_unload_under_a_running_answer_is_noticed_and_cuts_it():
    here = engine()

    async def scene() -> None:
        await exhaust(here.load(LoadRequest("small")))
        async with aclosing(here.generate(GenerateRequest("small", prompt="hi"))) as answer:
            await anext(answer)
            await here.unload("small")
            with pytest.raises(BackendUnavailable, match="is gone"):
                await anext(answer)

    loop.run(scene)
    assert here.sins == ["small was unloaded under a running answer"]


def test_asking_a_model_that_was_never_loaded_is_noticed_and_one_that_crashed_is_none():
    here = engine()

    async def scene() -> None:
        for _ in range(2):
            with pytest.raises(BackendUnavailable):
                await exhaust(here.generate(GenerateRequest("small", prompt="hi")))
            await exhaust(here.load(LoadRequest("small")))
            here.vanish("small", "crashed")

    loop.run(scene)
    assert here.sins == ["small was asked for an answer and is never loaded"]


def test_a_load_that_does_not_fit_takes_nothing_and_is_noted():
    here = engine(500 * MB)

    async def scene() -> None:
        with pytest.raises(InsufficientMemory):
            await exhaust(here.load(LoadRequest("small")))

    loop.run(scene)
    assert here.machine.available_bytes == 500 * MB
    assert len(here.machine.shortages) == 1
    assert here.sins == ["small was loaded into 50000000 bytes"]


@pytest.mark.parametrize("how", ["forced", "surprised"])
def test_a_load_that_was_forced_or_surprised_may_fail_for_lack_of_memory(how):
    here = engine(500 * MB)

    async def scene() -> None:
        if how == "surprised":
            asyncio.get_running_loop().call_later(1, here.machine.taken_by_others, 100 * MB)
        with pytest.raises(InsufficientMemory):
            await exhaust(here.load(LoadRequest("small", force=how == "forced")))

    loop.run(scene)
    assert here.sins == []


def test_loads_beside_each_other_that_do_not_fit_together_are_noticed():
    machine = SimulatedMachine(10 * MB)

    async def scene() -> None:
        with machine.reading("small", 4 * MB):
            machine.take("small", 2 * MB)
            with machine.reading("large", 9 * MB):
                pass

    loop.run(scene)
    assert machine.sins == ["{'small': 2000000, 'large': 9000000} do not fit into 8000000"]


def test_memory_that_comes_back_late_is_missing_meanwhile():
    here = engine()

    async def scene() -> None:
        await exhaust(here.load(LoadRequest("small")))
        here.vanish("small", "unloaded", memory_after_s=5)
        await asyncio.sleep(4)
        assert here.machine.available_bytes == 400 * MB
        await asyncio.sleep(2)
        assert here.machine.available_bytes == 1000 * MB

    loop.run(scene)


def test_more_memory_than_there_is_is_noticed():
    machine = SimulatedMachine(MB)
    machine.take("small", 2 * MB)
    assert machine.sins == ["small took memory that is not there: -1000000"]


def test_work_after_the_end_is_noticed():
    here = engine()
    here.closed = True
    loop.run(lambda: here.unload("small"))
    assert here.sins == ["unload of small after the end"]
