"""Whatever bytes come in: an answer or an end, in time, and nothing is left of it."""

import asyncio
import re
from contextlib import suppress

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from orac_server import service as service_module
from tests.scripted import ScriptedBackend
from tests.waiting import until

WITHIN_S = 5
SILENCE_S = 0.05
LAST = b"GET /v1/health/live HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
BODY = b'{"model":"small","prompt":"hi"}'
POST = b"POST /v1/prompt HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n1f\r\n" + BODY + b"\r\n0\r\n"
SEEDS = (
    b"GET /v1/health/live HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"GET /v1/models HTTP/1.0\r\n\r\n",
    POST + b"Content-Length: 31\r\n\r\n" + BODY,
    POST + b"Expect: 100-continue\r\nContent-Length: 31\r\n\r\n" + BODY,
    CHUNKED + b"\r\n",
    CHUNKED + b"Checksum: 1\r\n\r\n",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00",
    b"GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n",
    b"GET http://other.example/ HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"CONNECT other.example:443 HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"OPTIONS * HTTP/1.1\r\nHost: localhost\r\n\r\n",
)
ALPHABET = (b"\r\n", b"\x00", b"\xff", b" ", b":", b"HTTP/1.1", b"Content-Length: 99999\r\n", b"0")


@st.composite
def mutated(draw):
    """Draw one or two requests in a row, with some bytes taken out, put in or exchanged."""
    data = bytearray(b"".join(draw(st.lists(st.sampled_from(SEEDS), min_size=1, max_size=2))))
    for _ in range(draw(st.integers(0, 3))):
        at = draw(st.integers(0, len(data)))
        length = draw(st.integers(0, 4))
        data[at : at + length] = draw(st.sampled_from(ALPHABET) | st.binary(max_size=3))
    return bytes(data)


def cut(data, at):
    return [piece for piece in (data[:at], data[at:]) if piece]


def answers(received):
    """Return the statuses and the bodies of all answers, each of which has to be whole."""
    found = []
    while received:
        head, end, received = received.partition(b"\r\n\r\n")
        assert end, head
        line, *lines = head.split(b"\r\n")
        told = re.fullmatch(rb"HTTP/1\.[01] (\d{3}) [\x20-\x7e]*", line)
        assert told, line
        status = int(told[1])
        if status == 100:
            continue
        headers = dict(each.lower().split(b": ", 1) for each in lines)
        length = int(headers.get(b"content-length", len(received)))
        body, received = received[:length], received[length:]
        assert len(body) == length
        found.append((status, body))
    return found


def check(received):
    for status, body in answers(received):
        if status >= 400 and body:
            error = orjson.loads(body)["error"]
            assert set(error) - {"details"} == {"message", "type", "param", "code"}
        assert status < 500, body


async def exchanged(service, pieces, last=LAST):
    """Send pieces and a last request; return what comes until the end, or until silence."""
    async with asyncio.timeout(WITHIN_S):
        reader, writer = await asyncio.open_connection("127.0.0.1", service.port)
        received = b""
        with suppress(ConnectionError):
            for piece in (*pieces, last):
                writer.write(piece)
                await writer.drain()
                await asyncio.sleep(0)
            with suppress(TimeoutError):
                while data := await asyncio.wait_for(reader.read(1 << 16), SILENCE_S):
                    received += data
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()
        return received


@pytest.fixture
def quick(monkeypatch):
    """Let a client have no long time for what it does not send."""
    monkeypatch.setattr(service_module, "LINGER_S", 0.05)
    monkeypatch.setattr(service_module, "IDLE_S", 0.2)
    monkeypatch.setattr("orac_server.body.PATIENCE_S", 0.2)


@pytest.fixture
async def target(open_service, quick, process):
    """A service; nothing may be left at the end of what was done to it, nor a word in the log."""
    service = await open_service(ScriptedBackend())
    await service.post("/v1/prompt", orjson.loads(BODY))
    await service.session.close()
    files = process.num_fds()
    with capture_logs() as logged:
        yield service
        assert [each for each in logged if each["log_level"] in {"error", "critical"}] == []
    await until(lambda: process.num_fds() <= files)
    check(await exchanged(service, [SEEDS[0]]))


EXAMPLES = settings(
    max_examples=120, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None
)


@EXAMPLES
@given(mutated(), st.integers(0, 400))
async def test_requests_that_were_spoilt_are_answered_in_order_or_refused(target, data, at):
    check(await exchanged(target, cut(data, at)))


@EXAMPLES
@given(st.binary(max_size=300))
async def test_bytes_that_are_nothing_are_refused_or_ignored(target, data):
    check(await exchanged(target, [data]))


async def test_a_request_may_be_cut_anywhere(target):
    for seed in SEEDS:
        await cut_anywhere(target, seed)


async def cut_anywhere(target, seed):
    last = b"" if b"HTTP/1.0" in seed else LAST  # nothing may follow that
    whole = answers(await exchanged(target, [seed], last))
    for at in {1, len(seed) // 3, len(seed) // 2, len(seed) - 1}:
        cut_up = answers(await exchanged(target, cut(seed, at), last))
        assert [status for status, _ in cut_up] == [status for status, _ in whole]


async def test_p34_http_2_is_refused_and_a_tunnel_and_another_protocol_are_not_opened(target):
    expected = {6: 400, 7: 200, 9: 404}
    for number, status in expected.items():
        (first, _), *_ = answers(await exchanged(target, [SEEDS[number]]))
        assert first == status, SEEDS[number]


@pytest.mark.parametrize(
    "drip",
    [b"GET / HTTP/1.1\r\nA: ", b"G", POST + b"Content-Length: 31\r\n\r\n{"],
    ids=["headers", "method", "body"],
)
async def test_who_never_ends_a_request_is_sent_away_in_time(target, drip):
    async with asyncio.timeout(WITHIN_S):
        reader, writer = await asyncio.open_connection("127.0.0.1", target.port)
        writer.write(drip)
        with suppress(ConnectionError):
            while not reader.at_eof():
                writer.write(b"a")
                with suppress(TimeoutError):
                    async with asyncio.timeout(0.01):
                        await reader.read(1)
        writer.close()


async def test_two_hundred_who_send_nothing_keep_nobody_out(target):
    idle = [await asyncio.open_connection("127.0.0.1", target.port) for _ in range(200)]
    check(await exchanged(target, [SEEDS[2]]))
    for _, writer in idle:
        writer.close()
