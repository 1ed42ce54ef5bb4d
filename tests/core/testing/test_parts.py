"""The parts that a test decides: a clock, a machine, a backend in which things go wrong."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orac_core import (
    BackendError,
    BackendUnavailable,
    GenerateRequest,
    InsufficientMemory,
    LoadRequest,
    Message,
    Plugins,
)
from orac_core.devices import Device, Machine
from orac_core.testing import FakeClock, FakeDevice, Fault, FaultyBackend, seeded_faults

ASKED = GenerateRequest("small", (Message("user", "hello"),))


async def load(backend, model="small"):
    instance = Plugins().bind("here", backend)
    assert [each.stage async for each in instance.load(LoadRequest(model))] == ["start"]
    return instance


async def ask(instance):
    return [chunk async for chunk in instance.generate(ASKED)]


async def test_time_passes_when_it_is_told_to():
    clock = FakeClock()
    clock.advance(2)
    await clock.sleep(3)
    assert clock() == 5
    with pytest.raises(ValueError, match="time does not go back"):
        clock.advance(-1)


async def test_a_machine_has_the_memory_that_a_backend_leaves():
    backend = FaultyBackend()
    board = Machine(device=Device(board="a test"))
    device = FakeDevice(total_bytes=8 << 30, taken_bytes=backend.taken_bytes, machine=board)
    await load(backend)
    seen = await device.look()
    assert seen.memory.available_bytes == 7 << 30
    assert seen.device == Device(board="a test")


async def test_without_a_fault_it_answers():
    *words, last = await ask(await load(FaultyBackend()))
    assert "".join(each.text for each in words) == "one two three"
    assert last.rates.decode_tokens_per_second == 20.0


async def test_memory_may_be_short_for_one_load_and_not_for_the_next():
    backend = FaultyBackend(faults=(Fault("out of memory"),))
    with pytest.raises(InsufficientMemory, match="does not fit"):
        await load(backend)
    assert backend.taken_bytes() == 0
    await load(backend)


async def test_a_model_that_spills_says_so_and_is_slow():
    backend = FaultyBackend(faults=(Fault("spill"),))
    instance = await load(backend)
    assert (await instance.models())[0].loaded.on_gpu_ratio == 0.5
    assert (await ask(instance))[-1].rates.decode_tokens_per_second == 10.0


async def test_an_answer_may_hang_and_the_next_comes():
    instance = await load(FaultyBackend(faults=(Fault("hang"),)))
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await ask(instance)
    assert (await ask(instance))[-1].done


async def test_a_slow_drift_makes_each_answer_slower_than_the_last():
    instance = await load(FaultyBackend(faults=(Fault("slow drift", on=2),)))
    rates = [(await ask(instance))[-1].rates.decode_tokens_per_second for _ in range(4)]
    assert rates == pytest.approx([20, 18, 16.2, 14.58])


async def test_a_cut_stream_is_an_error():
    instance = await load(FaultyBackend(faults=(Fault("cut stream"),)))
    with pytest.raises(BackendError, match="broke off"):
        await ask(instance)


async def test_a_crash_takes_all_models_and_a_load_brings_the_engine_back():
    instance = await load(backend := FaultyBackend(faults=(Fault("crash"),)))
    with pytest.raises(BackendUnavailable, match="has died"):
        await ask(instance)
    assert not (await instance.health()).usable
    assert backend.loaded == {}
    assert (await ask(await load(backend)))[-1].done


async def test_memory_may_be_late():
    clock = FakeClock()
    backend = FaultyBackend(faults=(Fault("late memory"),), clock=clock)
    await (await load(backend)).unload("small")
    assert backend.taken_bytes() == 1 << 30
    clock.advance(5)
    assert backend.taken_bytes() == 0


def test_a_fault_that_there_is_not_is_refused():
    with pytest.raises(ValueError, match="kind"):
        Fault("bad mood")


@given(st.integers(), st.integers(0, 50))
def test_the_same_seed_makes_the_same_faults(seed, count):
    assert seeded_faults(seed, count) == seeded_faults(seed, count)
    assert len(FaultyBackend.seeded(seed, count).faults) == count
