"""The service as a process: how it listens and how it stops."""

import asyncio
import json
import logging
import signal
import socket
import sys

import aiohttp
import pytest
import structlog
import uvloop

from orac_core import ConfigurationError
from orac_server import logs
from orac_server.service import _loop_factory, bound, url
from tests.processes import serving
from tests.waiting import until

ENDLESS = {
    "model": "endless",
    "prompt": "hello",
    "options": {"temperature": 0, "max_tokens": 1_000_000},
}


def takes_connections(address: str) -> bool:
    host, _, port = address.removeprefix("http://").rpartition(":")
    with socket.socket() as probe:
        return probe.connect_ex((host, int(port))) == 0


async def test_p72_a_second_signal_ends_running_answers_with_an_error(tiny_models):
    with serving("--models-dir", tiny_models) as server:
        async with aiohttp.ClientSession(server.url) as session:
            await session.post("/v1/models/endless/load", json={"context_length": 1 << 17})
            async with session.post("/v1/prompt", json={**ENDLESS, "stream": True}) as response:
                await response.content.readline()
                server.process.send_signal(signal.SIGINT)
                await until(lambda: not takes_connections(server.url))
                server.process.send_signal(signal.SIGINT)
                async with asyncio.timeout(2):
                    raw = await response.read()
                    exited = await asyncio.to_thread(server.process.wait, 2)
        *_, last = raw.strip().split(b"\n\n")
        name, data = last.split(b"\n")
        assert name == b"event: error"
        assert json.loads(data[6:])["error"]["code"] == "shutting_down"
        assert exited == 0


async def test_p72_a_connection_that_does_nothing_does_not_hold_up_the_end(tiny_models):
    with serving("--models-dir", tiny_models) as server:
        async with aiohttp.ClientSession(server.url) as session:
            async with session.get("/v1/health/live") as response:
                await response.read()
            server.process.terminate()
            assert server.process.wait(3) == 0


def test_p72_a_port_that_is_taken_is_told_in_one_sentence():
    with bound("127.0.0.1", 0) as listener:
        port = listener.getsockname()[1]
        with pytest.raises(ConfigurationError) as caught:
            bound("127.0.0.1", port)
    message = str(caught.value)
    assert message.startswith(f"cannot listen on 127.0.0.1, port {port}: ")
    assert "Address already in use" in message
    assert "--port" in message
    assert "\n" not in message


@pytest.mark.parametrize("host", ["192.0.2.1", "no.such.invalid", "x" * 70, "a..b", "\ud800"])
def test_an_address_that_is_none_of_ours_is_told(host):
    with pytest.raises(ConfigurationError, match="cannot listen on"):
        bound(host, 0)


def test_a_name_with_both_kinds_of_address_listens_on_the_one_of_ipv4(monkeypatch):
    both = [
        (socket.AF_INET6, socket.SOCK_STREAM, 6, "", ("::1", 0, 0, 0)),
        (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 0)),
    ]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: both)
    with bound("localhost", 0) as listener:
        assert url(listener).startswith("http://127.0.0.1:")


def test_the_url_of_ipv6_has_brackets():
    if not socket.has_ipv6:
        pytest.skip("no IPv6 here")
    try:
        listener = bound("::1", 0)
    except ConfigurationError:
        pytest.skip("no IPv6 here")
    with listener:
        assert url(listener).startswith("http://[::1]:")


def test_the_loop_is_that_of_uvloop():
    factory = _loop_factory()
    assert factory is uvloop.new_event_loop


def test_without_uvloop_the_loop_is_that_of_python(monkeypatch):
    monkeypatch.setitem(sys.modules, "uvloop", None)
    assert _loop_factory() is None


@pytest.fixture
def configured_logs():
    root, before = logging.getLogger(), structlog.get_config()
    handlers, level = root.handlers[:], root.level
    yield
    structlog.configure(**before)
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.mark.usefixtures("configured_logs")
def test_a_log_is_one_line_of_json_whatever_is_in_it(capsys):
    logs.configure()
    structlog.get_logger("orac.test").error("two\nlines", path="\x1b[2J")
    logging.getLogger("aiohttp.server").error("a library's %s", "own")
    first, second = map(json.loads, capsys.readouterr().err.splitlines())
    assert (first["event"], first["path"], first["logger"]) == (
        "two\nlines",
        "\x1b[2J",
        "orac.test",
    )
    assert (second["event"], second["level"]) == ("a library's own", "error")
    assert first["timestamp"].endswith("Z")


async def test_importing_the_package_needs_no_http_library(tmp_path):
    code = "import sys, orac_server; print('aiohttp' in sys.modules, orac_server.create_app)"
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", code, stdout=asyncio.subprocess.PIPE
    )
    out, _ = await process.communicate()
    assert out.startswith(b"False <function create_app")


async def test_closing_at_once_cuts_short_a_closing_that_waits(service, backend):
    backend.hold("word 0")
    asked = {"model": "small", "prompt": "hi"}
    answer = asyncio.create_task(service.post("/v1/prompt", asked))
    await until(lambda: backend.generating == 1 and backend.count("generate") == 1)
    patient = asyncio.create_task(service.manager.close())
    await until(lambda: service.manager.closing)
    async with asyncio.timeout(5):
        await service.manager.close(drain_s=0)
        await patient
    reply = await answer
    assert (reply.status, reply.error["code"]) == (503, "shutting_down")
