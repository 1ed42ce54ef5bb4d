"""Clients that read slowly, or not at all: the engine waits, memory does not grow."""

import asyncio

import orjson
import pytest
from aiohttp import web

from orac_core import Chunk, Usage, hookimpl
from orac_server import connection, sse
from orac_server.body import reply
from tests.scripted import ScriptedBackend
from tests.server.serving import events
from tests.waiting import until

MIB = 1 << 20
PIECE = "x" * 60_000


class FloodingBackend(ScriptedBackend):
    """Writes as fast as it is read; ``written`` counts its pieces."""

    written = 0
    pieces = 500

    @hookimpl
    async def generate(self, request):
        if request.options.max_tokens == 1:
            yield Chunk("x")
            yield Chunk(done=True, finish_reason="stop", usage=Usage(1, 1, 0))
            return
        self.generating += 1
        try:
            for _ in range(self.pieces):
                self.written += 1
                yield Chunk(PIECE)
                await asyncio.sleep(0)
            yield Chunk(done=True, finish_reason="stop", usage=Usage(1, self.pieces, 0))
        finally:
            self.generating -= 1


@pytest.fixture
def flood():
    return FloodingBackend()


@pytest.fixture
async def flooding(open_service, flood):
    return await open_service(flood)


def asked(service, **more):
    """Connect, and ask; what comes is not read."""
    body = orjson.dumps({"model": "small", "prompt": "hi", "stream": True, **more})
    client = service.socket()
    client.send(
        b"POST /v1/prompt HTTP/1.0\r\nContent-Type: application/json\r\n"
        b"Content-Length: %d\r\n\r\n%b" % (len(body), body)
    )
    return client


async def stands_still(flood):
    """Wait until nothing more is written for a while."""
    before, quiet = -1, 0
    while quiet < 50:
        quiet = quiet + 1 if flood.written == before else 0
        before = flood.written
        await asyncio.sleep(0.002)


async def rest(client):
    received = bytearray()
    while data := await asyncio.get_running_loop().sock_recv(client, MIB):
        received += data
    return events(bytes(received).partition(b"\r\n\r\n")[2])


async def test_an_engine_waits_for_who_reads_nothing_and_no_memory_grows(flooding, flood, process):
    with asked(flooding) as client:
        await until(lambda: flood.written > 0)
        before = process.memory_info().rss
        await stands_still(flood)
        assert flood.generating == 1
        assert flood.written * len(PIECE) < 12 * MIB
        assert process.memory_info().rss - before < 16 * MIB
        *chunks, (last, done) = await rest(client)
    assert last == "done"
    assert len(chunks) == flood.pieces
    assert len(done["response"]) == flood.pieces * len(PIECE)


async def test_who_reads_a_little_at_a_time_gets_it_all(flooding, flood):
    flood.pieces = 20
    loop = asyncio.get_running_loop()
    with asked(flooding) as client:
        received = bytearray()
        while data := await loop.sock_recv(client, 997):
            received += data
    found = events(bytes(received).partition(b"\r\n\r\n")[2])
    assert [name for name, _ in found] == ["chunk"] * 20 + ["done"]


async def test_a_deadline_ends_an_answer_also_when_the_client_reads_nothing(flooding, flood):
    loop = asyncio.get_running_loop()
    started = loop.time()
    with asked(flooding, deadline_ms=400) as client:
        await until(lambda: flood.generating == 1)
        await until(lambda: flood.generating == 0)
        assert loop.time() - started == pytest.approx(0.4, abs=0.2)
        *_, (last, done) = await rest(client)
    assert (last, done["finish_reason"]) == ("done", "deadline")
    assert flood.written < flood.pieces


async def test_who_takes_a_whole_answer_too_slowly_is_cut_off(flooding, flood, monkeypatch):
    flood.pieces = 200
    monkeypatch.setattr(connection, "patience_s", lambda _: 0.05)
    with asked(flooding, stream=False) as client:
        before = len(asyncio.all_tasks())
        await until(lambda: len(asyncio.all_tasks()) < before)
        with pytest.raises((ConnectionError, AssertionError)):
            await rest(client)


def test_the_longer_an_answer_the_longer_it_may_take():
    def patience(size):
        return connection.patience_s(reply("x" * size))

    assert patience(10) == sse.STALLED_S
    assert patience(10 * sse.ROOM_BYTES) == 11 * sse.STALLED_S
    assert connection.patience_s(web.StreamResponse()) == sse.STALLED_S
