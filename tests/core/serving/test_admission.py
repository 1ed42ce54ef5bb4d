import asyncio
from contextlib import AsyncExitStack

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orac_core import DeadlineExceeded, Limits, LoadedInfo, QueueFull, ShuttingDown
from orac_core.serving.admission import Admission, Ticket
from tests.waiting import until


async def test_so_many_go_on_and_the_next_waits_its_turn():
    admission = Admission(Limits(max_concurrency=1, max_queue=1))
    async with admission.turn(Ticket(5)):
        waiter = asyncio.create_task(admission.turn(Ticket(5)).__aenter__())
        await until(lambda: admission.waiting == 1)
        assert not waiter.done()
    await waiter


async def test_one_more_than_may_wait_is_refused_at_once_with_when_to_ask_again():
    admission = Admission(Limits(max_concurrency=1, max_queue=0))
    async with admission.turn(Ticket(5)):
        with pytest.raises(QueueFull, match="raise server.max_queue") as caught:
            async with admission.turn(Ticket(5)):
                pass
    assert (caught.value.retry_after_s or 0) >= 1


async def test_before_any_answer_has_ended_the_age_of_the_oldest_tells_when_to_ask_again():
    admission = Admission(Limits(max_concurrency=1, max_queue=0))
    async with admission.turn(Ticket(5)):
        admission._begun.append(asyncio.get_running_loop().time() - 40)
        with pytest.raises(QueueFull) as caught:
            async with admission.turn(Ticket(5)):
                pass
    assert caught.value.retry_after_s in {40, 41}


async def test_when_to_ask_again_follows_from_how_many_go_on_at_once_now():
    admission = Admission(Limits(max_queue=0))
    async with AsyncExitStack() as stack:
        for _ in range(8):
            await stack.enter_async_context(admission.turn(Ticket(5)))
        admission._mean_s = 96.0
        assert await again_s(admission) == 12
        admission.suit(LoadedInfo(parallel=16))
        for _ in range(8):
            await stack.enter_async_context(admission.turn(Ticket(5)))
        assert await again_s(admission) == 6
        admission.suit(None)
        assert await again_s(admission) == 12


async def again_s(admission):
    with pytest.raises(QueueFull) as caught:
        await admission.begin(Ticket(5))
    return caught.value.retry_after_s


async def test_what_never_waits_is_held_to_the_deadline_and_to_a_stop_too():
    ticket = Ticket(5)
    ticket.check()
    ticket.stop(ShuttingDown("bye"))
    with pytest.raises(ShuttingDown, match="bye"):
        ticket.check()
    with pytest.raises(DeadlineExceeded):
        Ticket(0).check()


async def test_what_comes_after_a_turn_is_done_once_also_when_the_turn_never_came():
    done: list[tuple[str, int]] = []
    admission = Admission(Limits(max_concurrency=1, max_queue=0))
    async with admission.turn(Ticket(5), lambda: done.append(("held", admission.active))):
        with pytest.raises(QueueFull):
            async with admission.turn(
                Ticket(5), lambda: done.append(("refused", admission.active))
            ):
                pass
        assert done == [("refused", 1)]
    assert done == [("refused", 1), ("held", 0)]


async def test_a_turn_that_ends_in_an_error_is_given_back():
    admission = Admission(Limits(max_concurrency=1, max_queue=0))
    with pytest.raises(ValueError, match="mine"):
        async with admission.turn(Ticket(5)):
            raise ValueError("mine")
    async with admission.turn(Ticket(5)):
        assert admission.active == 1


async def test_who_leaves_the_queue_makes_room():
    admission = Admission(Limits(max_concurrency=1, max_queue=1))
    async with admission.turn(Ticket(5)):
        waiter = asyncio.create_task(admission.turn(Ticket(5)).__aenter__())
        await until(lambda: admission.waiting == 1)
        waiter.cancel()
        await asyncio.wait([waiter])
        assert admission.waiting == 0
    async with admission.turn(Ticket(5)):
        pass


async def test_a_turn_that_does_not_come_in_time_is_an_error_that_says_what_was_waited_for():
    admission = Admission(Limits(max_concurrency=1))
    async with admission.turn(Ticket(5)):
        with pytest.raises(DeadlineExceeded, match=r"deadline of 0.01 s .* in the queue"):
            async with admission.turn(Ticket(0.01)):
                pass
    assert admission.waiting == 0


async def test_a_ticket_that_is_stopped_ends_its_wait_with_the_reason():
    ticket = Ticket(60)
    waiting = asyncio.create_task(ticket.wait(asyncio.Event().wait()))
    await asyncio.sleep(0)
    ticket.stop(ShuttingDown("stopping"))
    with pytest.raises(ShuttingDown):
        await waiting


async def test_a_ticket_that_was_stopped_between_two_waits_ends_the_next():
    ticket = Ticket(60)
    ticket.stop(ShuttingDown("stopping"))
    with pytest.raises(ShuttingDown):
        await ticket.wait(asyncio.Event().wait())


async def test_being_cancelled_is_not_taken_for_a_deadline():
    waiting = asyncio.create_task(Ticket(60).wait(asyncio.Event().wait()))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting


@given(
    st.integers(1, 3),
    st.integers(0, 3),
    st.lists(st.sampled_from(["come", "go", "leave"]), max_size=30),
)
@settings(max_examples=60, deadline=None)
def test_no_more_than_allowed_are_ever_in_or_waiting(concurrency, queue, steps):
    async def play() -> None:
        admission = Admission(Limits(max_concurrency=concurrency, max_queue=queue))
        inside = refused = 0
        guests: list[tuple[asyncio.Task[None], asyncio.Event]] = []

        async def visit(leave: asyncio.Event) -> None:
            nonlocal inside, refused
            try:
                async with admission.turn(Ticket(60)):
                    inside += 1
                    try:
                        await leave.wait()
                    finally:
                        inside -= 1
            except QueueFull:
                refused += 1

        for step in steps:
            if step == "come":
                event = asyncio.Event()
                guests.append((asyncio.create_task(visit(event)), event))
            elif guests:
                task, event = guests.pop(0)
                event.set() if step == "go" else task.cancel()
            for _ in range(5):
                await asyncio.sleep(0)
            assert inside <= concurrency
            assert admission.waiting <= queue
            assert admission.waiting == 0 or inside == concurrency
        for task, event in guests:
            event.set()
            await asyncio.wait([task])
        assert (inside, admission.waiting) == (0, 0)

    asyncio.run(play())
