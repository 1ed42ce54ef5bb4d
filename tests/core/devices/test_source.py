"""Asking what may hang or raise, without waiting for it longer than allowed."""

import asyncio
import threading

import pytest

from orac_core.devices.source import Reader, Source
from tests.waiting import until

SOON = 5.0


class Gate:
    """A reading that comes when the test lets it."""

    def __init__(self):
        self.open = threading.Event()
        self.asked = 0

    def read(self):
        self.asked += 1
        assert self.open.wait(10)
        return self.asked


@pytest.fixture
def gate():
    gate = Gate()
    yield gate
    gate.open.set()


def failing(*errors):
    rest = list(errors)

    def read():
        if rest:
            raise rest.pop(0)
        return "back"

    return read


async def test_it_answers_from_a_thread_that_does_not_keep_the_process():
    thread = await Source(threading.current_thread).ask(SOON)
    assert (thread is threading.main_thread(), thread.daemon) == (False, True)


async def test_asked_by_many_at_a_time_it_is_read_once(gate):
    source = Source(gate.read)
    asking = [asyncio.create_task(source.ask(SOON)) for _ in range(5)]
    await until(lambda: gate.asked == 1)
    gate.open.set()
    assert await asyncio.gather(*asking) == [1] * 5


async def test_one_that_hangs_says_nothing_and_nobody_waits_for_it_twice(gate):
    source = Source(gate.read)
    assert await source.ask(0.01) is None
    assert source.silence == "no answer within 0.01 s"
    async with asyncio.timeout(2):
        assert await source.ask(60) is None
    assert gate.asked == 1


async def test_one_that_hung_is_read_anew_when_it_came_back(gate):
    source = Source(gate.read)
    await source.ask(0.01)
    flight = source._flight
    gate.open.set()
    await until(flight.done)
    gate.open.clear()
    asking = [asyncio.create_task(source.ask(SOON)) for _ in range(2)]
    await until(lambda: gate.asked == 2)
    gate.open.set()
    assert await asyncio.gather(*asking) == [2, 2]
    assert source.silence == ""


async def test_a_caller_who_leaves_does_not_take_the_answer_from_others(gate):
    source = Source(gate.read)
    leaving, staying = (asyncio.create_task(source.ask(SOON)) for _ in range(2))
    await until(lambda: gate.asked == 1)
    leaving.cancel()
    await asyncio.wait([leaving])
    gate.open.set()
    assert (leaving.cancelled(), await staying) == (True, 1)


@pytest.mark.parametrize(
    ("error", "silence"),
    [
        (OSError("is not active. Run:\n  this\n"), "is not active. Run: this"),
        (KeyError(), "KeyError"),
        (TimeoutError("its own"), "its own"),
        (SystemExit(3), "SystemExit: 3"),
    ],
)
async def test_what_it_raises_is_its_reason_to_be_silent(error, silence):
    source = Source(failing(error))
    assert await source.ask(SOON) is None
    assert source.silence == silence


async def test_after_an_error_it_is_left_alone_for_a_while():
    now = [100.0]
    source = Source(failing(OSError("no")), pause_s=30, clock=lambda: now[0])
    assert await source.ask(SOON) is None
    now[0] += 29.9
    assert await source.ask(SOON) is None
    assert source.silence == "no"
    now[0] += 0.1
    assert await source.ask(SOON) == "back"


def test_it_can_be_asked_from_one_loop_after_the_other(gate):
    source = Source(gate.read)
    assert asyncio.run(source.ask(0.01)) is None
    gate.open.set()
    source._flight.result(10)
    assert asyncio.run(source.ask(SOON)) == 2


async def test_one_thread_answers_again_and_again():
    source = Source(threading.current_thread)
    assert len({await source.ask(SOON) for _ in range(20)}) == 1


def test_a_thread_that_nobody_asks_ends_and_another_comes_when_needed():
    reader = Reader(threading.current_thread, linger_s=0.001)
    first = reader.fly().result(10)
    first.join(10)
    assert not first.is_alive()
    assert reader.fly().result(10) is not first


def test_no_question_is_lost_between_two_threads():
    reader = Reader(lambda: "said", linger_s=0.0)
    assert [reader.fly().result(10) for _ in range(200)] == ["said"] * 200


def test_closed_its_thread_ends_once_it_has_answered_and_another_comes_when_needed():
    reader = Reader(threading.current_thread, linger_s=60)
    flights = [reader.fly(), reader.fly()]
    reader.close()
    reader.close()
    first, second = (flight.result(10) for flight in flights)
    first.join(10)
    assert (first is second, first.is_alive()) == (True, False)
    assert reader.fly().result(10) is not first
    reader.close()
