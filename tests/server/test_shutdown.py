"""SIGTERM as a client sees it, and a process that has too few file descriptors."""

import asyncio
import signal
import socket
from contextlib import suppress
from time import monotonic

import aiohttp
import psutil
import pytest

from tests.processes import lives, serving
from tests.server.serving import events
from tests.waiting import until

ENDLESS = {
    "model": "endless",
    "prompt": "hello",
    "options": {"temperature": 0, "max_tokens": 1_000_000},
    "stream": True,
}
FEW_FILES = ("sh", "-c", 'ulimit -n 64; exec "$@"', "sh")


@pytest.fixture
def draining(tmp_path):
    """Options of a server that gives running answers half a second."""
    manifest = tmp_path / "orac.toml"
    manifest.write_text('[server]\ndrain = "500ms"\n')
    return ("--manifest", manifest)


def address(url):
    host, _, port = url.removeprefix("http://").rpartition(":")
    return host, int(port)


def refuses(url):
    with socket.socket() as probe:
        return probe.connect_ex(address(url)) != 0


async def begun(session):
    """Begin an answer without end; return what arrives of it."""
    loaded = await session.post("/v1/models/endless/load", json={"context_length": 1 << 17})
    assert loaded.status == 200
    response = await session.post("/v1/prompt", json=ENDLESS)
    return response, await response.content.readline()


async def test_p72_an_answer_that_outlasts_the_drain_ends_with_an_error_event(
    tiny_models, draining
):
    with serving("--models-dir", tiny_models, *draining) as server:
        async with aiohttp.ClientSession(server.url) as session:
            response, first = await begun(session)
            async with session.get("/v1/models") as kept_open:
                await kept_open.read()
            workers = psutil.Process(server.process.pid).children(recursive=True)
            started = monotonic()
            server.process.send_signal(signal.SIGTERM)
            await until(lambda: refuses(server.url))
            async with session.post("/v1/prompt", json=ENDLESS) as refused:
                assert refused.status == 503
                assert (await refused.json())["error"]["code"] == "shutting_down"
                assert int(refused.headers["Retry-After"]) == 1
            *_, (last, data) = events(first + await response.read())
            assert (last, data["error"]["code"]) == ("error", "shutting_down")
            assert 0.4 < monotonic() - started < 4
        assert server.process.wait(5) == 0
        assert workers
        assert not any(map(lives, workers))
        with socket.create_server(address(server.url)):
            pass


async def answered(session, question):
    """Ask until there is an answer: connections that were closed take a moment to be gone."""
    while True:
        with suppress(aiohttp.ClientError):
            async with session.post("/v1/prompt", json=question) as response:
                if response.status == 200:
                    return
        await asyncio.sleep(0.02)


async def test_p49_without_file_descriptors_some_are_refused_and_the_rest_goes_on(tiny_models):
    with serving("--models-dir", tiny_models, prefix=FEW_FILES) as server:
        opened = []
        for _ in range(200):
            with suppress(OSError):
                opened.append(await asyncio.open_connection(*address(server.url)))
        assert len(opened) > 64
        assert server.process.poll() is None
        for _, writer in opened:
            writer.close()
        async with asyncio.timeout(10), aiohttp.ClientSession(server.url) as session:
            question = {**ENDLESS, "stream": False, "options": {"max_tokens": 2}}
            await answered(session, question)
        server.process.terminate()
        _, log = server.process.communicate(timeout=10)
        assert server.process.returncode == 0
        assert log.count("Traceback") <= 1, log
