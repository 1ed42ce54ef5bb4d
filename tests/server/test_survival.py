"""What the service survives: clocks that jump, and being killed at any moment."""

import asyncio
import json
import os
import random
import signal
import socket
import subprocess
import time
from contextlib import suppress
from datetime import datetime
from pathlib import Path

import aiohttp
import psutil
import pytest

from tests.fake_ollama import write_program
from tests.processes import lives, serving
from tests.tiny_models import write
from tests.waiting import until

SEED, KILLS = 20, 20
MODEL = "tiny-qwen3-0.6b"
FAKETIME = next(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"), None)


@pytest.fixture
def started_ollama(tmp_path):
    """A stand-in for Ollama in a process of its own; yields its address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        place = f"127.0.0.1:{free.getsockname()[1]}"
    environ = os.environ | {"OLLAMA_HOST": place, "OLLAMA_MODELS": str(tmp_path / "store")}
    program = str(write_program(tmp_path / "bin"))
    process = subprocess.Popen([program, "serve"], env=environ, stderr=subprocess.DEVNULL)
    try:
        yield f"http://{place}"
    finally:
        process.terminate()
        process.wait(30)


@pytest.fixture
async def ollama(started_ollama):
    """The address of a stand-in that answers."""
    async with asyncio.timeout(30):
        while True:
            with suppress(aiohttp.ClientError):
                await answered("GET", f"{started_ollama}/api/version")
                return started_ollama
            await asyncio.sleep(0.02)


@pytest.fixture
def manifest(ollama, tmp_path):
    path = tmp_path / "orac.toml"
    path.write_text(f'[backends.ollama]\nkind = "ollama"\nurl = "{ollama}"\n')
    write(tmp_path / "gguf", MODEL)
    return path


async def answered(method, url, **options):
    timeout = aiohttp.ClientTimeout(total=30)
    async with (
        aiohttp.ClientSession(timeout=timeout) as session,
        session.request(method, url, **options) as response,
    ):
        return response.status, await response.json()


async def gone(processes):
    await until(lambda: not any(lives(each) for each in processes))


async def test_p73_killed_at_twenty_moments_it_always_starts_and_knows_what_is_true(
    ollama, manifest, tmp_path
):
    moments = random.Random(SEED)
    for number in range(KILLS):
        with serving("--manifest", manifest, "--models-dir", tmp_path / "gguf") as server:
            _, models = await answered("GET", f"{server.url}/v1/models")
            _, running = await answered("GET", f"{ollama}/api/ps")
            states = {each["id"]: each["state"] for each in models["data"]}
            expected = "ready" if running["models"] else "stopped"
            assert states[MODEL] == expected, f"kill {number}, seed {SEED}"
            verb = "unload" if expected == "ready" else "load"
            asking = asyncio.create_task(
                answered("POST", f"{server.url}/v1/models/{verb}", json={"model": MODEL})
            )
            await asyncio.sleep(moments.uniform(0, 0.15))
            server.process.kill()
            with suppress(aiohttp.ClientError):
                await asking
            await asyncio.to_thread(server.process.wait, 30)


async def test_p73_killed_with_a_model_of_llama_cpp_it_leaves_no_process(tiny_models):
    with serving("--models-dir", tiny_models) as server:
        await answered("POST", f"{server.url}/v1/models/{MODEL}/load", json={})
        workers = psutil.Process(server.process.pid).children(recursive=True)
        assert workers
        server.process.send_signal(signal.SIGKILL)
        await gone(workers)


async def test_killed_while_it_starts_models_it_leaves_no_process_and_no_half_written_file(
    tmp_path,
):
    manifest, state = tmp_path / "orac.toml", tmp_path / "state"
    manifest.write_text(f'[models.files."{MODEL}"]\nload_at_start = true\n')
    write(tmp_path / "gguf", MODEL)
    options = ("--manifest", manifest, "--models-dir", tmp_path / "gguf")
    moments = random.Random(SEED)
    for number in range(10):
        with serving(*options, environ={"ORAC_STATE_DIR": str(state)}) as server:
            await asyncio.sleep(moments.uniform(0, 0.8))
            below = psutil.Process(server.process.pid).children(recursive=True)
            server.process.kill()
            await asyncio.to_thread(server.process.wait, 30)
        await gone(below)
        for document in state.glob("*.json"):
            assert json.loads(document.read_text()), f"kill {number}, seed {SEED}"
    with serving(*options, environ={"ORAC_STATE_DIR": str(state)}) as server:
        question = {"model": MODEL, "prompt": "hi", "options": {"max_tokens": 2}}
        status, _ = await answered("POST", f"{server.url}/v1/prompt", json=question)
        assert status == 200
        assert not list(state.glob("*.broken"))


async def test_what_a_load_took_is_known_after_a_restart(tmp_path):
    write(tmp_path, MODEL)
    told = []
    for _ in range(2):
        with serving("--models-dir", tmp_path, environ={"ORAC_STATE_DIR": str(tmp_path)}) as server:
            _, plan = await answered("POST", f"{server.url}/v1/plan", json={"model": MODEL})
            told.append(plan["needed"]["basis"])
            await answered("POST", f"{server.url}/v1/models/{MODEL}/load", json={})
    assert told == ["estimated", "measured"]


async def test_a_state_directory_that_can_not_be_written_stops_nothing_and_degrades_health(
    tmp_path,
):
    write(tmp_path, MODEL)
    environ = {"ORAC_STATE_DIR": "/proc/orac"}
    with serving("--models-dir", tmp_path, environ=environ) as server:
        question = {"model": MODEL, "prompt": "hi", "options": {"max_tokens": 2}}
        status, _ = await answered("POST", f"{server.url}/v1/prompt", json=question)
        assert status == 200
        async with asyncio.timeout(30):
            while True:
                status, health = await answered("GET", f"{server.url}/v1/health")
                told = {each["service"] for each in health["degradation"]}
                if "state directory" in told:
                    break
                await asyncio.sleep(0.02)
        assert (status, health["status"]) == (200, "degraded")


@pytest.mark.skipif(FAKETIME is None, reason="needs libfaketime: apt-get install faketime")
async def test_p47_a_clock_that_jumps_changes_no_span_of_time(tiny_models, tmp_path):
    clock = tmp_path / "clock"
    clock.write_text("+0")
    environ = {
        "LD_PRELOAD": str(FAKETIME),
        "FAKETIME_TIMESTAMP_FILE": str(clock),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "DONT_FAKE_MONOTONIC": "1",
    }
    endless = {
        "model": "endless",
        "prompt": "hello",
        "options": {"max_tokens": 1_000_000, "temperature": 0},
        "deadline_ms": 2000,
    }
    with serving("--models-dir", tiny_models, environ=environ) as server:
        load = {"context_length": 1 << 17}
        await answered("POST", f"{server.url}/v1/models/endless/load", json=load)
        uptime = 0.0
        for jump in ("-3600", "+3600", "+0"):
            clock.write_text(jump)
            status, body = await answered("POST", f"{server.url}/v1/prompt", json=endless)
            assert (status, body["finish_reason"]) == (200, "deadline")
            assert 1900 < body["elapsed_ms"] < 10_000
            _, model = await answered("GET", f"{server.url}/v1/models/endless")
            used = datetime.fromisoformat(model["last_used_at"]).timestamp()
            assert used - time.time() == pytest.approx(int(jump), abs=60), "it did not jump"
            _, health = await answered("GET", f"{server.url}/v1/health")
            assert uptime < health["uptime_s"] < 60
            uptime = health["uptime_s"]


async def test_p48_a_log_that_can_not_be_written_stops_nothing_and_degrades_health(tmp_path):
    manifest = tmp_path / "orac.toml"
    manifest.write_text(
        '[backends.local]\nkind = "llamacpp"\n'
        '[backends.lost]\nkind = "ollama"\nurl = "http://127.0.0.1:1"\n'
    )
    write(tmp_path, MODEL)
    full = ("sh", "-c", 'exec "$@" 2>/dev/full', "sh")
    with serving("--manifest", manifest, "--models-dir", tmp_path, prefix=full) as server:
        question = {"model": f"local/{MODEL}", "prompt": "hi", "options": {"max_tokens": 2}}
        status, _ = await answered("POST", f"{server.url}/v1/prompt", json=question)
        assert status == 200
        status, health = await answered("GET", f"{server.url}/v1/health")
        assert (status, health["status"]) == (200, "degraded")
        told = {each["service"]: each["message"] for each in health["degradation"]}
        assert "No space left on device" in told["log"]
