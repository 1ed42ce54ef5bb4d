"""``GET /v1/events``: what happens, as it happens."""

import asyncio
import json
import signal
from contextlib import AsyncExitStack, asynccontextmanager, suppress

import aiohttp
import pytest

from orac_core import LoadRequest
from orac_core.blackbox import dumps, segments
from orac_core.events import Event, Events
from orac_server import create_app, streams
from orac_server.pulse import Pulse
from orac_server.service import LAST_WORDS_S, bound, url
from orac_server.service import listening as listening_on
from tests.processes import serving as process_serving
from tests.scripted import ScriptedBackend
from tests.server.serving import events as parsed
from tests.tiny_models import write
from tests.waiting import until

MODEL = "tiny-qwen3-0.6b"


class Reader:
    """A client of the stream."""

    def __init__(self, response):
        self.response = response

    async def next(self):
        """Return the next event."""
        block = b""
        async with asyncio.timeout(20):
            while not block or block.startswith(b":"):
                block = await self.response.content.readuntil(b"\n\n")
        return parsed(block)[0]

    async def until(self, wanted, **data):
        """Return the first event of that name with that data, and those before it."""
        found = []
        while True:
            name, told = await self.next()
            found.append((name, told))
            if name == wanted and data.items() <= told.items():
                return found

    async def rest(self):
        """Return all until the stream ends."""
        return parsed(await self.response.read())


@asynccontextmanager
async def listening(service, query=""):
    async with service.session.get(f"/v1/events{query}") as response:
        assert response.status == 200, await response.read()
        assert response.content_type == "text/event-stream"
        yield Reader(response)


def states(found):
    return [(data["model"], data["state"]) for name, data in found if name == "model"]


async def test_the_first_event_says_how_everything_is_now(service, backend):
    backend.loaded["large"] = LoadRequest("large")
    async with listening(service) as stream:
        name, hello = await stream.next()
    assert name == "hello"
    assert hello["at"].endswith("Z")
    assert hello["models"] == [
        {"instance": "fake", "model": "small", "state": "stopped", "reason": None},
        {"instance": "fake", "model": "large", "state": "ready", "reason": None},
    ]
    assert hello["health"] == {"status": "healthy", "message": "all is well"}


async def test_states_progress_and_answers_are_told_as_they_happen(service):
    async with listening(service) as stream:
        await stream.next()
        reply = await service.post("/v1/prompt", {"model": "small", "prompt": "zyzzyva"})
        found = await stream.until("answer")
    assert states(found) == [("small", "starting"), ("small", "ready")]
    assert {name for name, _ in found} - {"sample"} == {"model", "progress", "answer"}
    answer = found[-1][1]
    assert answer["elapsed_ms"] == reply.body["elapsed_ms"]
    assert answer["at"].endswith("Z")
    assert "zyzzyva" not in repr(found)


async def test_only_the_kinds_that_were_asked_for_are_told(service):
    async with listening(service, "?kinds=answer,health") as stream:
        assert (await stream.next())[0] == "hello"
        await service.post("/v1/prompt", {"model": "small", "prompt": "hi"})
        assert (await stream.next())[0] == "answer"


@pytest.mark.parametrize(
    ("query", "fault"),
    [("?kinds=model,nonsense", "nonsense"), ("?kinds=", "''"), ("?kind=model", "kind")],
)
async def test_a_kind_that_there_is_not_is_refused_with_those_there_are(service, query, fault):
    reply = await service.get(f"/v1/events{query}")
    assert reply.status == 400
    assert fault in reply.error["message"]
    assert len(reply.faults) == 1


async def test_any_other_method_is_refused(service):
    assert (await service.ask("HEAD", "/v1/events")).status == 405
    assert (await service.post("/v1/events")).status == 405


async def test_who_leaves_costs_nothing_more(service):
    for _ in range(3):
        async with listening(service) as stream:
            await stream.next()
            assert service.manager.events.heard
        await until(lambda: not service.manager.events.heard)


async def test_who_leaves_before_the_first_event_costs_nothing_more(open_service):
    backend = ScriptedBackend()
    backend.hold("models")
    service = await open_service(backend)
    asking = asyncio.create_task(service.get("/v1/events"))
    await backend.reached["models"].wait()
    assert service.manager.events.heard
    asking.cancel()
    await until(lambda: not service.manager.events.heard)


async def test_too_many_streams_are_refused_until_one_ends(service, monkeypatch):
    monkeypatch.setattr(streams, "MOST", 2)
    async with listening(service), listening(service) as other:
        await other.next()
        reply = await service.get("/v1/events")
        assert (reply.status, reply.error["code"]) == (429, "queue_full")
        assert int(reply.headers["Retry-After"]) > 0
        other.response.close()
        await until(lambda: len(service.manager.events._listeners) == 1)
        async with listening(service) as third:
            assert (await third.next())[0] == "hello"


async def test_a_slow_reader_loses_the_oldest_and_is_told_how_many(service):
    publish = service.manager.events.publish
    async with listening(service, "?kinds=benchmark") as stream:
        await stream.next()
        for number in range(10_000):
            publish("benchmark", number=number)
        publish("benchmark", number="last")
        found = await stream.until("benchmark", number="last")
    assert found[0][0] == "lost"
    assert found[0][1]["events"] + len(found) - 1 == 10_001


@asynccontextmanager
async def stoppable(manager):
    """Serve *manager*; yields a client that outlives the service, and what stops that."""
    async with AsyncExitStack() as stack:
        listener = stack.enter_context(bound("127.0.0.1", 0))
        session = await stack.enter_async_context(aiohttp.ClientSession(url(listener)))
        serving = listening_on(create_app(manager), listener)
        await serving.__aenter__()
        yield session, lambda: serving.__aexit__(None, None, None)


async def test_the_stream_ends_with_one_done_when_the_service_stops(service):
    async with (
        stoppable(service.manager) as (session, stop),
        session.get("/v1/events?kinds=benchmark") as response,
    ):
        stream = Reader(response)
        await stream.next()
        service.manager.events.publish("benchmark", number=1)
        async with asyncio.timeout(LAST_WORDS_S):
            _, rest = await asyncio.gather(stop(), stream.rest())
    assert [name for name, _ in rest] == ["benchmark", "done"]
    assert not service.manager.events.heard


async def test_a_stream_that_waits_for_a_silent_engine_does_not_hold_up_the_end(open_service):
    backend = ScriptedBackend()
    service = await open_service(backend)
    gate = backend.hold("models")
    async with stoppable(service.manager) as (session, stop):
        asking = asyncio.create_task(session.get("/v1/events?kinds=model"))
        await backend.reached["models"].wait()
        async with asyncio.timeout(LAST_WORDS_S):
            await stop()
            response = await asking
            assert [name for name, _ in parsed(await response.read())] == ["done"]
    gate.set()


async def test_health_is_looked_at_while_somebody_listens_and_changes_are_told(service, backend):
    pulse = Pulse(service.manager.events, service.manager.health)
    async with listening(service, "?kinds=health") as stream:
        await stream.next()
        for down in (False, False, True, True, False):
            backend.down = down
            await pulse.look()
        service.manager.events.publish("health", status="the last")
        found = await stream.until("health", status="the last")
    changes = [data["status"] for name, data in found if name == "health"]
    assert changes == ["healthy", "unhealthy", "healthy", "the last"]


async def test_the_machine_is_sampled_while_it_serves(service):
    async with listening(service, "?kinds=sample") as stream:
        found = await stream.until("sample")
    (sample,) = [data for name, data in found if name == "sample"]
    assert sample["memory_available_bytes"] > 0


async def test_the_pulse_beats_by_itself(service):
    beating = asyncio.create_task(
        Pulse(service.manager.events, service.manager.health).beat(every_s=0.001)
    )
    async with listening(service, "?kinds=health") as stream:
        await stream.until("health")
    await stopped(beating)


async def test_the_pulse_asks_nobody_while_nobody_listens():
    class Deaf:
        asked = 0

        @property
        def heard(self):
            self.asked += 1
            return False

    async def nobody():
        raise AssertionError

    events = Deaf()
    beating = asyncio.create_task(Pulse(events, nobody).beat(every_s=0.001))
    await until(lambda: events.asked > 3)
    assert not beating.done()
    await stopped(beating)


async def stopped(task):
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


async def test_a_look_that_fails_is_not_the_last(service):
    heard: list[Event] = []
    looks = iter((RuntimeError(), await service.manager.health()))

    async def ask():
        if isinstance(found := next(looks), Exception):
            raise found
        return found

    events = Events()
    pulse = Pulse(events, ask)
    with events.listening(heard.append):
        await pulse.look()
        assert heard == []
        await pulse.look()
    assert [event.kind for event in heard] == ["health"]


async def test_a_stream_does_not_hold_up_the_end_of_the_process(tiny_models):
    with process_serving("--models-dir", tiny_models) as server:
        async with (
            aiohttp.ClientSession(server.url) as session,
            session.get("/v1/events") as response,
        ):
            stream = Reader(response)
            await stream.next()
            question = {"model": MODEL, "prompt": "hi", "options": {"max_tokens": 2}}
            assert (await session.post("/v1/prompt", json=question)).status == 200
            await stream.until("answer")
            server.process.terminate()
            rest = await stream.rest()
            assert [name for name, _ in rest].count("done") == 1
            assert rest[-1][0] == "done"
            assert server.process.wait(5) == 0


async def test_a_server_writes_its_black_box_and_a_kill_leaves_it_to_be_read(tmp_path):
    state = tmp_path / "state"
    environ = {"ORAC_STATE_DIR": str(state)}
    write(tmp_path / "gguf", MODEL)
    options = ("--models-dir", tmp_path / "gguf")
    with process_serving(*options, environ=environ) as server:
        async with aiohttp.ClientSession(server.url) as session:
            question = {"model": MODEL, "prompt": "zyzzyva", "options": {"max_tokens": 2}}
            await session.post("/v1/prompt", json=question)
        await until(lambda: any(b'"answer"' in path.read_bytes() for path in segments(state)))
        server.process.send_signal(signal.SIGKILL)
        server.process.wait(30)
    with process_serving(*options, environ=environ):
        await until(lambda: bool(dumps(state)))
    told = [json.loads(line) for line in dumps(state)[0].read_text().splitlines()]
    assert "killed" in told[0]["reason"]
    assert {"dump", "model", "progress", "answer"} <= {each["kind"] for each in told}
    assert not any("zyzzyva" in path.read_text() for path in state.iterdir())
    last = segments(state)[-1].read_text().splitlines()[-1]
    assert json.loads(last)["kind"] == "closed"
