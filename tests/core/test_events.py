"""What happens is passed on to whoever listens, and nobody waits for a listener."""

import asyncio
from contextlib import aclosing

from hypothesis import given
from hypothesis import strategies as st

from orac_core.events import Event, Events


def at_noon() -> Events:
    return Events(lambda: 43200.0)


def test_an_event_says_what_happened_and_when():
    heard: list[Event] = []
    events = at_noon()
    with events.listening(heard.append):
        assert events.heard
        events.publish("model", model="m", state="ready")
    assert not events.heard
    events.publish("model", model="m", state="stopped")
    assert heard == [Event("model", 43200.0, {"model": "m", "state": "ready"})]


def test_who_leaves_while_it_is_told_disturbs_nobody():
    heard: list[Event] = []
    events = at_noon()
    one = events.listening(lambda _: one.__exit__(None, None, None))
    with events.listening(heard.append):
        one.__enter__()
        events.publish("health", status="healthy")
        events.publish("health", status="degraded")
    assert len(heard) == 2


async def test_following_yields_what_happens_from_then_on():
    events = at_noon()
    async with aclosing(events.follow()) as news:
        first = asyncio.ensure_future(anext(news))
        await asyncio.sleep(0)
        events.publish("health", status="healthy")
        assert (await first).data == {"status": "healthy"}
    assert not events.heard


async def test_only_the_kinds_that_are_of_interest_take_room():
    events = at_noon()
    with events.inbox(2, {"model"}) as inbox:
        events.publish("model", n=1)
        for _ in range(9):
            events.publish("progress")
        events.publish("model", n=2)
        inbox.close()
        assert [(await inbox.get()).data["n"], (await inbox.get()).data["n"]] == [1, 2]
        assert await inbox.get() is None


async def test_closing_wakes_who_waits():
    with at_noon().inbox() as inbox:
        waiting = asyncio.ensure_future(inbox.get())
        await asyncio.sleep(0)
        inbox.close()
        assert await waiting is None


@given(st.integers(1, 8), st.integers(0, 40))
def test_what_is_lost_and_what_is_read_are_all_there_was(room, number):
    async def scenario():
        events = at_noon()
        with events.inbox(room) as inbox:
            for each in range(number):
                events.publish("model", n=each)
            inbox.close()
            return [event async for event in _rest(inbox)]

    found = asyncio.run(scenario())
    lost = sum(event.data["events"] for event in found if event.kind == "lost")
    read = [event.data["n"] for event in found if event.kind == "model"]
    assert read == list(range(lost, number))
    assert len(read) == min(room, number)


async def _rest(inbox):
    while event := await inbox.get():
        yield event


def test_who_listens_to_some_kinds_gets_those_and_makes_nobody_else_be_heard():
    events = at_noon()
    came: list[Event] = []
    with events.listening_to({"model"}, came.append):
        assert (events.heard, events.hears("model"), events.hears("sample")) == (False, True, False)
        events.publish("sample", n=1)
        events.publish("model", n=2)
        with events.listening(came.append):
            assert events.hears("sample")
    events.publish("model", n=3)
    assert [event.data["n"] for event in came] == [2]
    assert not events.hears("model")
