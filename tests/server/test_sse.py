"""How a stream is put on the wire."""

import asyncio
from contextlib import aclosing

import pytest

from orac_server import sse


async def filled(*events):
    for event in events:
        yield event


async def test_a_frame_is_one_event_on_two_lines():
    assert sse.frame(("chunk", {"text": "a\nb\r\u2028"})) == (
        b'event: chunk\ndata: {"text":"a\\nb\\r\xe2\x80\xa8"}\n\n'
    )


async def test_what_is_ready_at_once_goes_out_at_once():
    outbox = sse._Outbox()
    events = [("chunk", {"text": str(number)}) for number in range(100)]
    await outbox.fill(filled(*events))
    assert (await outbox.take(0)).count(b"event: chunk") == 100
    assert await outbox.take(0) == b""


async def test_silence_is_told_by_nothing():
    assert await sse._Outbox().take(0.001) == b""


async def test_an_engine_waits_for_a_client_that_reads_slowly(monkeypatch):
    monkeypatch.setattr(sse, "ROOM_BYTES", 100)
    made = []

    async def many():
        for number in range(1000):
            made.append(number)
            yield "chunk", {"text": "x" * 20}

    outbox = sse._Outbox()
    filling = asyncio.create_task(outbox.fill(many()))
    first = await outbox.take(5)
    assert len(first) < 300
    assert len(made) < 10
    total = len(first)
    while not outbox.over:
        total += len(await outbox.take(5))
    total += len(await outbox.take(0))
    await filling
    assert total == 1000 * len(sse.frame(("chunk", {"text": "x" * 20})))


async def test_a_failure_is_kept_for_whoever_sends():
    async def broken():
        yield "chunk", {"text": "a"}
        raise ValueError("oh")

    outbox = sse._Outbox()
    await outbox.fill(broken())
    assert isinstance(outbox.failure, ValueError)
    assert outbox.over


async def test_giving_up_closes_the_events_at_once():
    closed = asyncio.Event()

    async def endless():
        try:
            while True:
                yield "chunk", {}
                await asyncio.sleep(60)
        finally:
            closed.set()

    filling = asyncio.create_task(sse._Outbox().fill(endless()))
    await asyncio.sleep(0)
    filling.cancel()
    with pytest.raises(asyncio.CancelledError):
        await filling
    assert closed.is_set()


async def test_events_that_were_never_asked_for_are_closed_too():
    async with aclosing(filled()) as events:
        filling = asyncio.create_task(sse._Outbox().fill(events))
        filling.cancel()
        with pytest.raises(asyncio.CancelledError):
            await filling
