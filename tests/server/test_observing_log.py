"""The log: a line for each request, and not a word of what was asked or answered."""

import asyncio
import io
import json
import logging
import os
from contextlib import suppress

import aiohttp
import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from orac_core import BackendError, ConfigurationError, LoadRequest, ModelNotFound
from orac_core.manifest import ServerSettings
from orac_server import logs
from orac_server.access.arranged import arranged
from orac_server.logs import Lines
from orac_server.observing.journal import Ended, Journal
from orac_server.observing.passage import LONGEST_NAME, Passage
from orac_server.observing.writer import ROOM, Writer
from orac_server.routes import endpoints
from tests.processes import ended, orac_here, serving
from tests.scripted import ScriptedBackend
from tests.server.serving import Service
from tests.server.watched import watched
from tests.waiting import until

ASKED = {"model": "small", "prompt": "hi"}
SECRET = "zyzzyva"
ADMIN, USER = "an-administrators-token", "a-token-of-some-user"


@pytest.fixture
async def seen(backend):
    async with watched(backend) as found:
        yield found


async def test_each_request_is_one_line(seen):
    reply = await seen.service.post("/v1/prompt", ASKED)
    await seen.service.post("/v1/prompt", {**ASKED, "model": "nothing"})
    await seen.service.get("/v1/models/small")
    await seen.service.get("/nowhere?and=more")
    first, second, third, fourth = seen.requests
    assert first.pop("duration_ms") > 0
    assert first.pop("sent_bytes") > 100
    assert first.pop("timestamp").endswith("Z")
    assert first == {
        "event": "request",
        "logger": "orac.access",
        "level": "info",
        "request_id": reply.headers["X-Request-Id"],
        "method": "POST",
        "route": "/v1/prompt",
        "status": 200,
        "outcome": "ok",
        "error": None,
        "model": "fake/small",
        "stream": False,
        "client": "127.0.0.1",
    }
    outcome = second["status"], second["outcome"], second["error"], second["model"]
    assert outcome == (404, "error", "model_not_found", "nothing")
    assert (third["route"], third["model"]) == ("/v1/models/{id}", "small")
    assert (fourth["route"], fourth["error"]) == ("unmatched", "not_found")


@pytest.mark.parametrize(
    ("headers", "status", "code"),
    [
        ({}, 401, "unauthorized"),
        ({"X-Api-Key": "none-of-them"}, 401, "unauthorized"),
        ({"X-Api-Key": USER}, 403, "forbidden"),
        ({"X-Api-Key": ADMIN, "Host": "evil.example"}, 403, "host_not_allowed"),
        ({"X-Api-Key": ADMIN, "Origin": "http://evil.example"}, 403, "origin_not_allowed"),
    ],
)
async def test_who_is_refused_stands_there_with_the_reason(backend, headers, status, code):
    tokens = {"ORAC_ADMIN_TOKEN": ADMIN, "ORAC_USER_TOKEN": USER}
    guard = arranged("127.0.0.1", "", ServerSettings(), tokens)
    async with watched(backend, guard=guard) as seen:
        await seen.service.ask("POST", "/v1/models/small/load", headers=headers)
        (line,) = seen.requests
        assert not any(each in seen.text for each in (*headers.values(), ADMIN))
    told = line["status"], line["outcome"], line["error"], line["client"]
    assert told == (status, "error", code, "127.0.0.1")
    assert (line["route"], line["model"]) == ("/v1/models/{id}/load", "small")


async def test_a_stream_is_one_line_with_its_id_when_it_has_ended(seen):
    headers = {"X-Request-Id": "mine"}
    asked = {**ASKED, "stream": True}
    reply = await seen.service.ask("POST", "/v1/prompt", json=asked, headers=headers)
    (line,) = seen.requests
    assert (line["stream"], line["request_id"]) == (True, "mine")
    assert reply.headers["X-Request-Id"] == "mine"
    assert line["sent_bytes"] >= len(reply.body)


async def test_a_stream_that_fails_in_the_middle_is_an_error_of_its_code(seen, backend):
    backend.failures["word 1"] = BackendError("it broke")
    await seen.service.events("/v1/prompt", ASKED)
    (line,) = seen.requests
    assert (line["status"], line["outcome"]) == (200, "error")
    assert line["error"] == "backend_error"


@pytest.mark.parametrize("stream", [False, True])
async def test_a_client_that_leaves_is_cancelled_and_499(seen, backend, stream):
    backend.hold("word 0")
    asking = asyncio.create_task(seen.service.post("/v1/prompt", {**ASKED, "stream": stream}))
    await until(backend.reached["word 0"].is_set)
    asking.cancel()
    with suppress(asyncio.CancelledError):
        await asking
    await until(lambda: seen.requests)
    (line,) = seen.requests
    assert (line["status"], line["outcome"]) == (499, "cancelled")
    assert line["model"] == "fake/small"


async def test_a_stream_that_nobody_reads_any_more_is_cancelled(seen, backend, monkeypatch):
    async def reset(_response, _data):
        raise ConnectionResetError("Cannot write to closing transport")

    backend.hold("word 0")
    monkeypatch.setattr(web.StreamResponse, "write", reset)
    with suppress(aiohttp.ClientError):
        await seen.service.events("/v1/prompt", ASKED)
    await until(lambda: seen.requests)
    assert (seen.requests[0]["status"], seen.requests[0]["outcome"]) == (499, "cancelled")


async def test_p67_line_ends_in_a_name_are_escaped_in_one_line(seen):
    forged = 'x\r\n{"event": "forged"}\x1b[2J\u2028\x9b'
    await seen.service.post("/v1/prompt", {**ASKED, "model": forged})
    await seen.service.get("/v1/models/a%0D%0Ab")
    assert len(seen.text.splitlines()) == 2
    assert [each["model"] for each in seen.requests] == [forged, "a\r\nb"]


@given(st.text(st.characters(), max_size=300))
def test_whatever_a_name_holds_it_stays_one_line_of_ascii(name):
    stream = io.StringIO()
    lines = Lines(Writer(stream, linger_s=0))
    ended_ = Ended("GET", "/v1/models/{id}", 404, 0.1, 10, stream=False)
    Journal.of(lines).request(ended_, Passage(name), None)
    assert lines.writer.flush(10)
    (line,) = stream.getvalue().splitlines()
    assert json.loads(line)["model"] == name
    assert line.isascii()
    assert all(ord(each) >= 32 for each in line)


async def test_a_name_of_any_length_makes_no_long_line(seen):
    await seen.service.post("/v1/prompt", {**ASKED, "model": "x" * 100_000})
    assert len(seen.requests[0]["model"]) == LONGEST_NAME


async def test_no_prompt_no_answer_and_no_token_is_ever_in_it(backend):
    backend.words = (f"{SECRET} ", "said")
    headers = {
        "Authorization": f"Bearer {SECRET}",
        "Cookie": f"a={SECRET}",
        "User-Agent": SECRET,
        "X-Request-Id": f"{SECRET}!",
        "Referer": f"http://{SECRET}",
    }
    async with watched(backend, level=logging.DEBUG) as found:
        async with asyncio.timeout(60):
            for body in bodies():
                for each in endpoints():
                    await asked(found.service, each, body, headers)
        backend.failures["first"] = BackendError(f'it choked on "{SECRET}"')
        await found.service.post("/v1/prompt", {"model": "small", "prompt": SECRET})
        backend.failures["first"] = ModelNotFound(f"{SECRET}")
        await found.service.post("/v1/prompt", {"model": "large", "prompt": SECRET})
        assert len(found.requests) > 2 * len(endpoints())
        assert SECRET not in found.text
        assert SECRET not in (await found.service.get("/metrics")).body.decode()


def bodies():
    """Bodies with something secret: good, of the wrong type, with what nobody knows, broken."""
    said = [{"role": "user", "content": SECRET}]
    yield json.dumps({"model": "small", "prompt": SECRET, "system": SECRET})
    yield json.dumps({"model": "small", "messages": said, "stream": True})
    yield json.dumps({"model": "small", "messages": SECRET, "options": {"seed": SECRET}})
    yield json.dumps({"model": "small", SECRET: SECRET})
    yield json.dumps([SECRET])
    yield f'{{"model": "{SECRET}'


async def asked(service: Service, endpoint, body, headers):
    path = endpoint.path.replace("{id:(?s:.+)}", "small").replace("{id}", "1")
    address = f"{path}?token={SECRET}"
    if endpoint.method == "GET" and endpoint.streams:
        async with service.session.get(address, headers=headers):
            return
    typed = {**headers, "Content-Type": "application/json"}
    await service.ask(endpoint.method, address, data=body, headers=typed)


async def test_what_machines_ask_all_the_time_is_logged_at_debug_only(backend):
    quiet = ("/metrics", "/v1/health", "/v1/health/live", "/v1/health/ready")
    for level, expected in ((logging.INFO, []), (logging.DEBUG, list(quiet))):
        async with watched(ScriptedBackend(), level=level) as found:
            for path in quiet:
                await found.service.get(path)
            assert [each["route"] for each in found.requests] == expected


async def test_changes_of_a_model_and_its_load_are_told(seen):
    await seen.service.manager.load(LoadRequest("small"))
    await seen.service.manager.unload("small")
    states = [each["state"] for each in seen.log if each["event"] == "model"]
    assert states == ["starting", "ready", "stopping", "stopped"]
    (load,) = [each for each in seen.log if each["event"] == "load finished"]
    assert (load["instance"], load["model"], load["logger"]) == ("fake", "small", "orac.server")
    assert load["load_ms"] > 0


async def test_warnings_alone_are_written_when_nothing_else_is_wanted(backend):
    async with watched(backend, level=logging.WARNING) as found:
        await found.service.post("/v1/prompt", ASKED)
        assert found.log == []


@pytest.mark.parametrize(("value", "level"), [("", 20), ("debug", 10), (" Warning ", 30)])
def test_the_level_is_that_of_the_environment(value, level):
    assert logs.level({"ORAC_LOG_LEVEL": value}) == level
    assert logs.level({}) == logging.INFO


def test_a_level_that_there_is_not_is_named_with_those_there_are(monkeypatch):
    with pytest.raises(ConfigurationError, match="one of debug, info, warning, error"):
        logs.level({"ORAC_LOG_LEVEL": "loud"})
    monkeypatch.setenv("ORAC_LOG_LEVEL", "loud")
    done = orac_here("serve", "--port", 0)
    assert (done.returncode, "ORAC_LOG_LEVEL is 'loud'" in done.stderr) == (1, True)


@pytest.fixture
def pipe():
    """A pipe that nobody reads: the descriptor to read from, and the stream to write to."""
    reading, writing = os.pipe()
    with os.fdopen(writing, "w") as stream:
        yield reading, stream
        os.close(reading)


async def test_a_pipe_that_nobody_reads_holds_nothing_up_and_what_is_lost_is_said_once(
    backend, pipe
):
    reading, stream = pipe
    async with watched(backend, stream) as found:
        writer = found.lines.writer
        for _ in range(ROOM):
            writer.put("x" * 100)
        await until(lambda: len(writer._waiting) < ROOM)
        for _ in range(2 * ROOM):
            writer.put("x" * 100)
        async with asyncio.timeout(5):
            assert (await found.service.post("/v1/prompt", ASKED)).status == 200
            writer.put_urgent("this waits a moment")
            writer.put_urgent("and this does not")
        lost = writer.lost
        assert lost > ROOM
        assert (await found.metrics())["orac_log_lines_lost_total"][frozenset()] == lost
        assert lost == sum(each["lost"] for each in await confessions(reading, writer))


async def confessions(reading, writer):
    """Read until all is written; return the lines that tell of lost ones."""
    os.set_blocking(reading, False)
    text = b""
    while writer._waiting or writer._busy or not text.endswith(b"\n"):
        with suppress(BlockingIOError):
            text += os.read(reading, 1 << 20)
        await asyncio.sleep(0)
    return [json.loads(line) for line in text.splitlines() if line.startswith(b"{")]


def test_a_pipe_whose_reader_has_gone_is_a_problem_until_lines_go_out_again():
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as stream:
        writer = Writer(stream)
        writer.put_urgent("lost")
        assert "Broken pipe" in writer.problem
        assert writer.lost == 1
        writer.stream = io.StringIO()
        writer.put_urgent("found")
        assert (writer.problem, writer.stream.getvalue()) == (None, "found\n")


def test_what_can_not_be_written_down_is_a_problem_and_no_error():
    class Odd:
        def __str__(self):
            raise ZeroDivisionError("odd")

    lines = Lines(Writer(io.StringIO()))
    lines.handle(logging.LogRecord("orac.x", logging.ERROR, "", 1, "%s", (Odd(),), None))
    assert "odd" in lines.problem


def test_many_lines_are_written_in_their_order():
    writer = Writer(stream := io.StringIO(), room=10_000)
    for number in range(5000):
        writer.put(str(number))
    assert writer.flush(10)
    assert stream.getvalue().split() == list(map(str, range(5000)))


async def test_a_closed_stderr_stops_nothing_and_health_says_so():
    closed = ("sh", "-c", 'exec "$@" 2>&-', "sh")
    with serving("--demo", prefix=closed) as server:
        async with aiohttp.ClientSession(server.url) as session:
            async with session.get("/v1/models") as reply:
                assert reply.status == 200
            async with asyncio.timeout(30):  # lines are written a moment later, many at once
                while "stderr is closed" not in (await problems(session)).get("log", ""):
                    await asyncio.sleep(0.01)
        ended(server.process)
    assert server.process.returncode == 0


async def problems(session) -> dict[str, str]:
    async with session.get("/v1/health") as reply:
        return {it["service"]: it["message"] for it in (await reply.json())["degradation"]}


def test_the_start_and_the_end_of_the_service_are_told():
    with serving() as server:
        _, err = ended(server.process)
    told = [json.loads(line) for line in err.splitlines()]
    assert [each["event"] for each in told if each["level"] == "info"] == [
        "server started",
        "server stopping",
        "server stopped",
    ]
    assert told[0]["url"] == f"{server.url}/"


async def test_a_request_for_vectors_is_about_the_model_that_made_them(seen):
    await seen.service.post("/v1/embeddings", {"model": "small", "input": "hi"})
    assert seen.requests[0]["model"] == "fake/small"
