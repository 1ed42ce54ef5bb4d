import asyncio
from contextlib import aclosing
from time import perf_counter

import pytest

from tests.simulation import loop
from tests.simulation.loop import Standstill, VirtualLoop


def test_a_day_passes_at_once():
    async def wait() -> float:
        before = asyncio.get_running_loop().time()
        await asyncio.sleep(24 * 3600)
        return asyncio.get_running_loop().time() - before

    started = perf_counter()
    assert loop.run(wait) == pytest.approx(24 * 3600)
    assert perf_counter() - started < 5


def test_timers_fire_in_their_order_at_their_time():
    async def note(seconds: float, seen: list[tuple[float, float]]) -> None:
        before = asyncio.get_running_loop().time()
        await asyncio.sleep(seconds)
        seen.append((seconds, asyncio.get_running_loop().time() - before))

    async def wait() -> list[tuple[float, float]]:
        seen: list[tuple[float, float]] = []
        await asyncio.gather(*(note(seconds, seen) for seconds in (30, 0.5, 7200, 0.25)))
        return seen

    seen = loop.run(wait)
    assert [seconds for seconds, _ in seen] == [0.25, 0.5, 30, 7200]
    assert [took for _, took in seen] == pytest.approx([0.25, 0.5, 30, 7200])


def test_a_timeout_ends_a_wait_without_end():
    async def wait() -> None:
        async with asyncio.timeout(3600):
            await asyncio.Event().wait()

    with pytest.raises(TimeoutError):
        loop.run(wait)


def test_what_is_meant_for_a_thread_runs_inline_and_its_error_comes_out():
    async def work() -> int:
        with pytest.raises(ZeroDivisionError):
            await asyncio.to_thread(lambda: 1 // 0)
        return await asyncio.to_thread(sum, (1, 2))

    assert loop.run(work) == 3


async def numbers():
    await asyncio.Event().wait()
    yield 1


async def read_numbers() -> None:
    async with aclosing(numbers()) as stream:
        async for _ in stream:
            pass


def test_a_deadlock_names_each_task_and_where_it_waits():
    async def wait() -> None:
        task = asyncio.create_task(read_numbers(), name="the reader")
        await task

    with pytest.raises(Standstill) as caught:
        loop.run(wait)
    text = str(caught.value)
    assert "no timer" in text
    assert "the reader: read_numbers:" in text
    assert "> numbers:" in text
    assert "> Event.wait:" in text


def test_going_round_in_circles_is_noticed():
    async def spin() -> None:
        while True:
            await asyncio.sleep(0)

    with pytest.raises(Standstill, match="took no time"):
        loop.run(spin)


def test_a_generator_that_nobody_closes_is_told():
    async def start() -> list[str]:
        async def endless():
            while True:
                yield 1

        async for _ in endless():
            break
        await asyncio.sleep(1)
        return loop.running().complaints

    [complaint] = loop.run(start)
    assert "endless" in complaint


def test_an_error_that_nobody_takes_is_told():
    async def start() -> list[str]:
        async def fail() -> None:
            raise ValueError("lost")

        task = asyncio.create_task(fail())
        await asyncio.sleep(1)
        del task
        return loop.running().complaints

    [complaint] = loop.run(start)
    assert "lost" in complaint


def test_the_loop_that_runs_is_the_virtual_one():
    async def look() -> VirtualLoop:
        return loop.running()

    assert loop.run(look).is_closed()
