"""A bad network on either side of the service: the same text, or an error that says so."""

import asyncio
from contextlib import AsyncExitStack, suppress

import aiohttp
import psutil
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import orac_core
from orac_core import Limits
from orac_core.manifest import parse
from orac_core.serving.breaker import Rule
from tests.fake_ollama import FakeOllama
from tests.fault_proxy import FaultProxy, Toxic
from tests.server.serving import events, service
from tests.waiting import until

PROMPT = {"model": "tiny", "prompt": "robot", "options": {"max_tokens": 8, "temperature": 0}}
IDLE_S = 0.2
LIMITS = Limits(list_s=0.2, health_s=0.2, unload_s=0.2, sparing=Rule(pause_s=0.1))

SLOW = {
    "latency": Toxic(latency_s=0.02),
    "bandwidth": Toxic(bytes_per_s=30_000),
    "slicer": Toxic(slice_bytes=1),
    "slow_close": Toxic(close_late_s=0.1),
}
BROKEN = {
    "limit_data": lambda count: Toxic(limit_bytes=count),
    "reset_peer": lambda count: Toxic(reset_bytes=count),
    "timeout": lambda count: Toxic(hang_bytes=count),
}
CUTS = (0, 1, 100, 400)


@pytest.fixture
async def ends(monkeypatch):
    """The service between two proxies: one to its backend, one to its client."""
    monkeypatch.setattr("orac_backends.ollama.api._ASK_S", IDLE_S)
    async with AsyncExitStack() as stack:
        fake = await stack.enter_async_context(FakeOllama().serving())
        fake.add_model("tiny:latest", size=500_000, context_length=8192)
        behind = await stack.enter_async_context(FaultProxy(_port(fake.url)).serving())
        limits = {
            "idle_timeout_s": IDLE_S,
            "first_token_timeout_s": IDLE_S,
            "load_timeout_s": IDLE_S,
        }
        backend = {"kind": "ollama", "url": behind.url, **limits}
        manifest = parse({"backends": {"ollama": backend}}, "a test")
        opening = orac_core.open(manifest, limits=LIMITS, environ={})
        served = await stack.enter_async_context(service(await stack.enter_async_context(opening)))
        before = await stack.enter_async_context(FaultProxy(served.port).serving())
        await served.post("/v1/models/tiny/load")
        yield fake, behind, served, before


def _port(url):
    return int(url.rstrip("/").rpartition(":")[2])


@pytest.fixture
async def whole(ends):
    """The answer over a good network."""
    return (await ends[2].post("/v1/prompt", PROMPT)).body["response"]


async def asked(url, *, stream):
    """Ask anew, on a connection of its own; return the status and all that came."""
    timeout = aiohttp.ClientTimeout(total=5)
    async with (
        aiohttp.ClientSession(timeout=timeout) as session,
        session.post(f"{url}/v1/prompt", json={**PROMPT, "stream": stream}) as response,
    ):
        raw = await response.read()
        if response.content_type == "text/event-stream":
            return response.status, events(raw)
        return response.status, await response.json()


def told(status, found):
    """Return the text of an answer; None when it is an error that says so."""
    if status != 200:
        assert found["error"]["code"] in {"backend_unavailable", "backend_error"}
        return None
    if isinstance(found, dict):
        return found["response"]
    *chunks, (last, data) = found
    assert {name for name, _ in chunks} <= {"chunk"}
    text = "".join(each["text"] for _, each in chunks)
    assert last == "error" or data["response"] == text
    return text if last == "done" else None


@pytest.mark.parametrize("toxic", SLOW)
@pytest.mark.parametrize("side", ["behind", "before"])
async def test_p44_a_slow_network_changes_no_letter(ends, whole, toxic, side):
    _, behind, served, before = ends
    proxy = behind if side == "behind" else before
    proxy.up = proxy.down = SLOW[toxic]
    for stream in (False, True):
        assert told(*await asked(before.url, stream=stream)) == whole
    assert served.manager.watch is not None


@pytest.mark.parametrize("toxic", BROKEN)
async def test_p39_p40_p44_a_network_that_breaks_behind_it_is_an_error_that_says_so(
    ends, whole, toxic
):
    _, behind, _, before = ends
    for count in CUTS:
        behind.down = BROKEN[toxic](count)
        await _forget_connections(ends)
        for stream in (False, True):
            async with asyncio.timeout(IDLE_S + 4):
                assert told(*await asked(before.url, stream=stream)) in {whole, None}
    behind.down = Toxic()
    await _recovered(before, whole)


@pytest.mark.parametrize("toxic", BROKEN)
async def test_p37_p44_a_network_that_breaks_before_it_frees_the_engine(ends, whole, toxic):
    fake, _, served, before = ends
    for count in CUTS:
        before.down = BROKEN[toxic](count)
        with suppress(aiohttp.ClientError, TimeoutError, AssertionError):
            async with asyncio.timeout(0.3):
                assert told(*await asked(before.url, stream=True)) in {whole, None}
        await until(lambda: fake.streams_running == 0, within_s=2)
    before.down = Toxic()
    await _recovered(before, whole)
    slot = served.manager._fleet.slots["ollama", "tiny:latest"]
    assert not slot.admission.busy


@settings(
    max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None
)
@given(st.tuples(st.sampled_from(list(BROKEN)), st.integers(0, 2000)), st.booleans())
async def test_p44_wherever_it_breaks_no_half_answer_is_passed_off_as_whole(
    ends, whole, broken, stream
):
    toxic, count = broken
    _, behind, _, before = ends
    behind.down = BROKEN[toxic](count)
    await _forget_connections(ends)
    assert told(*await asked(before.url, stream=stream)) in {whole, None}
    behind.down = Toxic()


async def test_p38_p45_a_network_that_is_gone_is_a_quick_error_and_then_spares_the_backend(
    ends, whole
):
    _, behind, served, before = ends
    behind.down = Toxic(reset_bytes=0)
    await _forget_connections(ends)
    message = ""
    while "given a pause" not in message:
        seen = behind.taken
        reply = await served.post("/v1/prompt", PROMPT)
        assert (reply.status, reply.error["code"]) == (503, "backend_unavailable")
        assert int(reply.headers["Retry-After"]) >= 1
        message = reply.error["message"]
    assert behind.taken == seen
    behind.down = Toxic()
    await _recovered(before, whole)


async def test_p46_a_backend_that_comes_back_empty_behind_a_slow_network_is_noticed(ends, whole):
    fake, behind, served, before = ends
    behind.down = Toxic(latency_s=0.02)
    await fake.restart()
    assert (await served.get("/v1/models/tiny:latest")).body["state"] == "stopped"
    await _recovered(before, whole)


async def test_a_network_that_breaks_again_and_again_leaves_no_connection(ends, whole):
    _, behind, _, before = ends
    files = psutil.Process().num_fds()
    for count in range(0, 1000, 100):
        before.down = Toxic(reset_bytes=count)
        with suppress(aiohttp.ClientError, AssertionError):
            await asked(before.url, stream=True)
    before.down = Toxic()
    await until(lambda: before.open == 0)
    await until(lambda: psutil.Process().num_fds() <= files + 2 * behind.open)


async def _forget_connections(ends):
    """End the connections that the backend keeps, so that the next one meets the fault."""
    _, behind, *_ = ends
    for task in tuple(behind._tasks):
        task.cancel()
    await until(lambda: behind.open == 0)


async def _recovered(before, whole):
    async with asyncio.timeout(10):
        while told(*await asked(before.url, stream=False)) != whole:
            await asyncio.sleep(0.02)
