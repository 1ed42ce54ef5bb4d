import asyncio
import gc
import weakref
from collections.abc import Awaitable, Callable
from contextlib import closing
from functools import wraps

import pytest

from orac_core import Alarm
from tests.simulation import loop


def played(play: Callable[[Alarm], Awaitable[None]]) -> Callable[[], None]:
    """Return a test that runs *play* on virtual time."""

    async def whole() -> None:
        with closing(Alarm()) as alarm:
            await play(alarm)

    @wraps(play)
    def test() -> None:
        loop.run(whole)

    del test.__wrapped__  # pytest would take its argument for a fixture
    return test


@played
async def test_a_wait_that_is_over_in_time_is_left_alone(alarm):
    with alarm.within(60):
        assert await asyncio.sleep(0, "done") == "done"


@played
async def test_a_wait_that_takes_too_long_is_ended(alarm):
    with pytest.raises(TimeoutError), alarm.within(0.01):
        await asyncio.Event().wait()


@played
async def test_each_wait_has_its_own_time(alarm):
    for _ in range(4):
        with alarm.within(1.0):
            await asyncio.sleep(0.9)
    with pytest.raises(TimeoutError), alarm.within(0.01):
        await asyncio.Event().wait()


@played
async def test_a_shorter_wait_after_a_longer_one_is_ended_at_its_own_time(alarm):
    with alarm.within(60):
        await asyncio.sleep(0)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(5):
            with alarm.within(0.01):
                await asyncio.Event().wait()


@played
async def test_a_longer_wait_after_a_shorter_one_is_not_ended_by_the_old_timer(alarm):
    with alarm.within(0.02):
        await asyncio.sleep(0)
    with alarm.within(60):
        await asyncio.sleep(0.05)


@played
async def test_after_it_rang_it_rings_again(alarm):
    for _ in range(3):
        with pytest.raises(TimeoutError), alarm.within(0.001):
            await asyncio.Event().wait()


@played
async def test_time_that_passes_between_two_waits_ends_neither(alarm):
    with alarm.within(0.01):
        await asyncio.sleep(0)
    await asyncio.sleep(0.03)
    with alarm.within(60):
        await asyncio.sleep(0)


@played
async def test_a_wait_whose_time_is_over_before_it_begins_is_ended(alarm):
    with pytest.raises(TimeoutError), alarm.by(0):
        await asyncio.Event().wait()


@played
async def test_the_time_of_a_wait_under_way_can_be_shortened(alarm):
    asyncio.get_running_loop().call_later(0.01, alarm.within, 0)
    with pytest.raises(TimeoutError), alarm.within(60):
        await asyncio.Event().wait()


@played
async def test_being_cancelled_is_not_taken_for_the_time_being_over(alarm):
    async def wait():
        with alarm.within(60):
            await asyncio.Event().wait()

    waiting = asyncio.create_task(wait())
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting


@played
async def test_who_is_cancelled_when_it_rings_stays_cancelled(alarm):
    async def wait():
        with alarm.within(60):
            await asyncio.Event().wait()

    waiting = asyncio.create_task(wait())
    await asyncio.sleep(0)
    alarm.within(0)
    asyncio.get_running_loop().call_soon(waiting.cancel)
    with pytest.raises(asyncio.CancelledError):
        await waiting


@played
async def test_an_error_of_what_is_waited_for_goes_through(alarm):
    with pytest.raises(ValueError, match="own"), alarm.within(60):
        raise ValueError("own")


@played
async def test_a_task_goes_on_as_if_nothing_had_been_after_its_time_was_over(alarm):
    with pytest.raises(TimeoutError), alarm.within(0.001):
        await asyncio.Event().wait()
    assert asyncio.current_task().cancelling() == 0
    await asyncio.sleep(0.001)


@played
async def test_two_alarms_inside_one_another_each_end_their_own_wait(alarm):
    with closing(Alarm()) as inner, alarm.within(60):
        with pytest.raises(TimeoutError), inner.within(0.01):
            await asyncio.Event().wait()
        await asyncio.sleep(0.001)
    outer = alarm.within(0.01)
    with closing(Alarm()) as inner, pytest.raises(TimeoutError), outer, inner.within(60):
        await asyncio.Event().wait()


async def test_closed_it_is_not_kept_by_the_loop():
    alarm = Alarm()
    with alarm.within(60):
        await asyncio.sleep(0)
    known = weakref.ref(alarm)
    alarm.close()
    del alarm
    gc.collect()
    assert known() is None
