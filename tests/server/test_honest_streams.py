"""A stream ends with exactly one event that says how, whatever fails and whenever."""

import asyncio
from contextlib import asynccontextmanager
from types import SimpleNamespace

import aiohttp
import pytest
from aiohttp import web
from attrs import frozen
from hypothesis import given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from orac_core import BackendError, BackendUnavailable, ModelNotFound, ShuttingDown
from orac_server import sse
from orac_server.keys import STREAMS
from orac_server.middlewares import error_envelope
from orac_server.service import bound, listening, url
from orac_server.streams import Streams
from tests.scripted import ScriptedBackend
from tests.server.serving import events as parsed
from tests.waiting import until

LAST = {"done", "error"}
PROMPT = {"model": "small", "prompt": "hi"}
ERRORS = (
    BackendUnavailable("gone"),
    ShuttingDown("bye"),
    ModelNotFound("x"),
    ZeroDivisionError("oh"),
    TimeoutError(),
    ConnectionResetError(),
    asyncio.CancelledError(),
)
ASKED = {
    "prompt": ("/v1/prompt", PROMPT),
    "load": ("/v1/models/large/load", {}),
    "unload": ("/v1/models/small/unload", {}),
    "diagnosis": ("/v1/doctor/degradation", {"model": "small"}),
    "experiment": ("/v1/doctor/degradation", {"model": "small", "experiment": True, "cycles": 1}),
    "benchmark": ("/v1/benchmark", {"models": ["small"], "rounds": 1, "max_tokens": 2}),
}


@frozen
class Script:
    """What a stream does: its texts, each after so many turns of the loop, and how it ends."""

    texts: tuple[tuple[str, int], ...]
    ending: Exception | asyncio.CancelledError | None

    async def events(self):
        for text, turns in self.texts:
            for _ in range(turns):
                await asyncio.sleep(0)
            yield "chunk", {"text": text}
        if self.ending is not None:
            raise self.ending
        yield "done", {"texts": len(self.texts)}


SCRIPTS = st.builds(
    Script,
    st.lists(
        st.tuples(st.text(max_size=20) | st.just("x" * 2000), st.integers(0, 3)), max_size=8
    ).map(tuple),
    st.none() | st.sampled_from(ERRORS),
)


@asynccontextmanager
async def serving(script):
    async def handler(request):
        return await sse.respond(request, script.events())

    app = web.Application(middlewares=[error_envelope])
    app[STREAMS] = Streams()
    app.router.add_post("/", handler)
    with bound("127.0.0.1", 0) as listener:
        async with listening(app, listener), aiohttp.ClientSession(url(listener)) as session:
            yield session


@settings(max_examples=40)
@given(SCRIPTS)
async def test_whatever_a_stream_does_it_ends_with_one_event_that_says_how(script):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sse, "ROOM_BYTES", 1000)
        async with serving(script) as session, session.post("/") as response:
            raw = await response.read()
    if response.status != 200:
        assert not script.texts
        assert script.ending is not None
        assert raw.startswith(b'{"error":')
        return
    *chunks, (last, _) = parsed(raw)
    assert [data["text"] for _, data in chunks] == [text for text, _ in script.texts]
    assert last == ("done" if script.ending is None else "error")


async def streamed(service, name):
    """Ask for a stream; return its events, the only one for an error that a status told."""
    path, body = ASKED[name]
    async with service.session.post(path, json={**body, "stream": True}) as response:
        raw = await response.read()
        if response.status != 200:
            assert response.content_type == "application/json"
            return [("error", raw)]
        return parsed(raw)


def ends_once(found):
    names = [name for name, _ in found]
    return names[-1] in LAST and not LAST & set(names[:-1])


@pytest.fixture
async def loaded(open_service, backend):
    """A service whose small model is loaded."""
    manifest = {"backends": {"fake": {"kind": "scripted"}}, "models": {"canaries": False}}
    service = await open_service(backend, manifest=manifest)
    await service.post("/v1/models/small/load")
    return service


@pytest.mark.usefixtures("memory_is_back_at_once")
@pytest.mark.parametrize("step", ["models", "load", "unload", "word 0"])
@pytest.mark.parametrize("name", ["prompt", "load", "unload", "diagnosis", "benchmark"])
async def test_a_failure_anywhere_leaves_one_end(loaded, backend, name, step):
    backend.failures[step] = ZeroDivisionError("oh")
    async with asyncio.timeout(10):
        assert ends_once(await streamed(loaded, name))
    backend.failures.clear()
    assert (await loaded.post("/v1/prompt", PROMPT)).status == 200


@pytest.mark.usefixtures("memory_is_back_at_once")
async def test_a_failure_in_an_experiment_leaves_one_end(loaded, backend):
    backend.failures["unload"] = BackendError("stumbled")
    assert ends_once(await streamed(loaded, "experiment"))


HELD = [
    ("prompt", "first"),
    ("prompt", "word 0"),
    ("load", "load"),
    ("unload", "unload"),
    ("diagnosis", "first"),
    ("experiment", "unload"),
    ("benchmark", "first"),
]


@pytest.mark.usefixtures("memory_is_back_at_once")
@pytest.mark.parametrize(("name", "step"), HELD)
async def test_a_service_that_stops_ends_every_stream_with_one_event(loaded, backend, name, step):
    gate = backend.hold(step)
    asking = asyncio.create_task(streamed(loaded, name))
    await until(backend.reached[step].is_set)
    closing = asyncio.create_task(loaded.manager.close(drain_s=0))
    if name in {"unload", "experiment"}:
        gate.set()
    async with asyncio.timeout(5):
        assert ends_once(await asking)
        await closing


@pytest.mark.usefixtures("memory_is_back_at_once")
@pytest.mark.parametrize(("name", "step"), HELD)
async def test_a_client_that_leaves_stops_what_was_begun_for_it(loaded, backend, name, step):
    gate = backend.hold(step)
    asking = asyncio.create_task(streamed(loaded, name))
    await until(backend.reached[step].is_set)
    asking.cancel()
    async with asyncio.timeout(2):
        await until(lambda: backend.generating == 0)
        await until(lambda: name != "load" or backend.count("unload") == 1)
    gate.set()
    backend.gates.clear()
    async with asyncio.timeout(5):
        while (await loaded.post("/v1/prompt", PROMPT)).status == 409:
            await asyncio.sleep(0.01)
        assert (await loaded.post("/v1/prompt", PROMPT)).status == 200


async def test_who_is_stopped_twice_waits_for_the_end_of_its_events_all_the_same():
    gate, reached, ended = asyncio.Event(), asyncio.Event(), []
    tasks: list[asyncio.Task] = []

    async def slow_to_end():
        yield "chunk", {}
        try:
            reached.set()
            await asyncio.Event().wait()
        finally:
            reached.set()
            await gate.wait()
            ended.append(tasks[0].done())

    def events():
        tasks.append(asyncio.current_task())
        return slow_to_end()

    with capture_logs() as logged:
        async with serving(SimpleNamespace(events=events)) as session:
            asking = asyncio.create_task(session.post("/"))
            await reached.wait()
            reached.clear()
            asking.cancel()
            await reached.wait()
            tasks[0].cancel()
            await asyncio.sleep(0)
            gate.set()
            await until(tasks[0].done)
    assert (ended, logged) == ([False], [])


async def test_a_stream_of_events_ends_once_also_when_nobody_answers_it(open_service):
    backend = ScriptedBackend()
    service = await open_service(backend)
    backend.failures["models"] = ZeroDivisionError("oh")
    async with service.session.get("/v1/events") as response:
        begun = await response.content.readuntil(b"\n\n")
        assert begun.startswith(b"event: hello")
