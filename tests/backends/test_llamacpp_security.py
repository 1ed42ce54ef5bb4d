"""Nobody but ORAC reaches a worker, and a worker learns nothing that it need not know."""

import os
import stat
import tempfile
from pathlib import Path

import aiohttp
import psutil
import pytest

from orac_backends._folder import socket_folder
from orac_backends._process import child_environment
from tests.backends.driving import ask, chat, command_line, load, pid_of

MODEL = "tiny-qwen3-0.6b"


@pytest.fixture
async def worker(llamacpp):
    await load(llamacpp, MODEL)
    return llamacpp._workers[MODEL]


@pytest.fixture
async def stranger(worker):
    """Another program on the machine that got at the socket, but has no key."""
    connector = aiohttp.UnixConnector(str(worker.socket), force_close=True)
    async with aiohttp.ClientSession("http://x", connector=connector) as session:
        yield session


def key_of(worker) -> str:
    return worker._client._session.headers["authorization"].removeprefix("Bearer ")


async def test_the_key_is_on_no_command_line_and_not_in_the_environment(worker):
    pid = worker._process.pid
    key = key_of(worker)
    assert len(key) >= 32
    assert key not in command_line(pid)
    assert key not in psutil.Process(pid).environ().values()
    assert command_line(pid).count("worker.py") == 1


async def test_only_this_user_can_look_into_the_folder_of_the_sockets(worker, llamacpp):
    assert stat.S_IMODE(llamacpp.folder.stat().st_mode) == 0o700
    assert worker.socket.parent == llamacpp.folder
    assert len(str(worker.socket)) < 100


async def test_a_worker_listens_on_nothing_but_its_socket(worker):
    connections = psutil.Process(worker._process.pid).net_connections("inet")
    assert connections == []


@pytest.mark.parametrize(
    "path",
    [
        "/props",
        "/slots",
        "/metrics",
        "/v1/chat/completions",
        "/completion",
        "/tokenize",
        "/lora-adapters",
    ],
)
async def test_without_the_key_a_worker_tells_nothing(stranger, path):
    for headers in ({}, {"Authorization": "Bearer wrong"}):
        for send in (stranger.get, stranger.post):
            async with send(path, headers=headers) as reply:
                assert reply.status in {401, 404}


async def test_what_is_not_needed_is_off_even_with_the_key(worker, stranger):
    headers = {"Authorization": f"Bearer {key_of(worker)}"}
    for path in ("/slots", "/metrics"):
        async with stranger.get(path, headers=headers) as reply:
            assert reply.status == 501
    async with stranger.get("/", headers=headers) as reply:
        assert reply.status == 404


async def test_no_browser_may_call_a_worker(stranger):
    async with stranger.get("/health", headers={"Origin": "http://evil.example"}) as reply:
        assert reply.headers.get("Access-Control-Allow-Origin", "") == ""
        assert "Access-Control-Allow-Credentials" not in reply.headers


async def test_every_load_has_a_key_of_its_own(llamacpp):
    await load(llamacpp, MODEL)
    await load(llamacpp, "tiny-phi2")
    keys = {key_of(worker) for worker in llamacpp._workers.values()}
    assert len(keys) == 2


def test_secrets_and_settings_of_others_do_not_reach_a_child(monkeypatch):
    for name in ("ORAC_ADMIN_TOKEN", "HF_TOKEN", "My_Secret", "LLAMA_ARG_HOST", "OPENAI_API_KEY"):
        monkeypatch.setenv(name, "x")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    environment = child_environment()
    assert "x" not in environment.values()
    assert environment["CUDA_VISIBLE_DEVICES"] == "0"
    assert "PATH" in environment


async def test_model_files_with_odd_names_are_only_names(open_llamacpp, models_folder, tmp_path):
    names = ["--help", "$(id)", "; rm -rf x", "a b'\"", "ünï"]
    for name in names:
        (tmp_path / f"{name}.gguf").hardlink_to(models_folder / f"{MODEL}.gguf")
    llamacpp = await open_llamacpp(tmp_path)
    for name in names:
        await load(llamacpp, name)
        assert (await ask(llamacpp, chat(name, max_tokens=1)))[-1].done
        assert pid_of(llamacpp, name)
        await llamacpp.unload(name)


@pytest.fixture
def runtime():
    """A runtime folder whose path is as short as a real one's; that of ``tmp_path`` may not be."""
    with tempfile.TemporaryDirectory(prefix="o", dir="/tmp") as folder:
        yield Path(folder)


def test_folders_of_a_killed_orac_are_cleared_and_no_others(runtime, monkeypatch):
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(runtime))
    abandoned = runtime / "orac-workers-old"
    abandoned.mkdir(mode=0o700)
    (abandoned / "1.sock").touch()
    os.utime(abandoned, (0, 0))
    being_made = runtime / "orac-workers-new"
    being_made.mkdir(mode=0o700)
    with socket_folder() as first, socket_folder() as second:
        assert not abandoned.exists()
        assert first.exists()
        assert second.exists()
    assert list(runtime.iterdir()) == [being_made]


def test_a_runtime_folder_with_too_long_a_path_is_not_taken(tmp_path, monkeypatch):
    deep = tmp_path / ("x" * 90)
    deep.mkdir()
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(deep))
    with socket_folder() as folder:
        assert len(os.fsencode(folder)) < 90
