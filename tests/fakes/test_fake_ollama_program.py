"""The imitation as a program: its processes, signals, exit codes and words."""

import asyncio
import hashlib
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import psutil
import pytest
from attrs import define

from tests.fake_ollama import FakeOllama, write_program
from tests.ollama_fake.client import Client
from tests.ollama_fake.recorded import VERSIONS, case
from tests.raw_gguf import Raw
from tests.waiting import until

WITHIN_S = 20


@define(eq=False)
class Program:
    process: subprocess.Popen
    client: Client
    port: int

    def runners(self) -> list[psutil.Process]:
        return psutil.Process(self.process.pid).children()


def free_port() -> int:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        return bound.getsockname()[1]


def environment(port: int, store: Path) -> dict[str, str]:
    return {**os.environ, "OLLAMA_HOST": f"127.0.0.1:{port}", "OLLAMA_MODELS": str(store)}


@asynccontextmanager
async def serving(folder: Path, version: str = VERSIONS[0]) -> AsyncIterator[Program]:
    """Start the program with one model in its store; what is left of it is killed afterwards."""
    FakeOllama(store=folder / "store").add_model("tiny")
    port = free_port()
    process = started(
        [write_program(folder, version), "serve"], environment(port, folder / "store")
    )
    try:
        await asyncio.to_thread(process.stderr.readline)
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=WITHIN_S) as http:
            yield Program(process, Client(http), port)
    finally:
        end_group(process)


def started(command: list, environ: dict[str, str]) -> subprocess.Popen:
    return subprocess.Popen(command, env=environ, stderr=subprocess.PIPE, start_new_session=True)


def end_group(process: subprocess.Popen) -> None:
    if psutil.pid_exists(process.pid) or group(process.pid):
        os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


def group(number: int) -> list[psutil.Process]:
    return [it for it in psutil.process_iter() if _in_group(it, number)]


def _in_group(process: psutil.Process, number: int) -> bool:
    try:
        alive = process.status() != psutil.STATUS_ZOMBIE
        return alive and os.getpgid(process.pid) == number and process.pid != number
    except (psutil.Error, ProcessLookupError):
        return False


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_loaded_model_is_a_process_that_can_be_told_and_that_goes_with_it(
    tmp_path, version
):
    async with serving(tmp_path, version) as program:
        assert (await program.client.http.get("/api/version")).json() == {"version": version}
        await program.client.load("tiny")
        (runner,) = program.runners()
        assert "llama-server" in runner.cmdline()
        await program.client.load("tiny", keep_alive=0)
        await until(lambda: program.runners() == [])


async def test_a_model_whose_time_is_over_goes_without_a_request(tmp_path):
    async with serving(tmp_path) as program:
        await program.client.load("tiny", keep_alive=0.01)
        await until(lambda: program.runners() == [])


@pytest.mark.parametrize("version", VERSIONS)
async def test_killing_an_engine_ends_its_stream_as_recorded(tmp_path, version):
    async with serving(tmp_path, version) as program:
        async with program.client.stream("tiny", options={"num_predict": -1}) as lines:
            await lines.next()
            program.runners()[0].kill()
            last = (await lines.rest())[-1]
        assert last == case(version, "280-runner-killed-midstream").last
        assert await program.client.names() == ["tiny:latest"]
        await program.client.load("tiny")
        assert len(program.runners()) == 1


async def test_a_frozen_engine_answers_when_it_is_thawed(tmp_path):
    async with serving(tmp_path) as program:
        await program.client.load("tiny")
        (runner,) = program.runners()
        runner.suspend()
        await until(lambda: runner.status() == psutil.STATUS_STOPPED)
        asked = asyncio.create_task(program.client.post("/api/generate", model="tiny", prompt="x"))
        assert await program.client.names() == ["tiny:latest"]
        assert not asked.done()
        runner.resume()
        assert (await asked).status_code == 200


async def test_a_killed_server_leaves_its_engines_alive(tmp_path):
    async with serving(tmp_path) as program:
        async with program.client.stream("tiny", options={"num_predict": -1}) as lines:
            await lines.next()
            program.process.kill()
            with pytest.raises(httpx.RemoteProtocolError, match="incomplete chunked read"):
                await lines.rest()
        program.process.wait(WITHIN_S)
        assert len(group(program.process.pid)) == 1
        with pytest.raises(httpx.ConnectError):
            await program.client.ps()


async def test_a_server_that_is_told_to_stop_ends_its_engines_and_streams(tmp_path):
    async with serving(tmp_path) as program:
        async with program.client.stream("tiny", options={"num_predict": -1}) as lines:
            await lines.next()
            program.process.terminate()
            with pytest.raises(httpx.RemoteProtocolError, match="incomplete chunked read"):
                await lines.rest()
        assert program.process.wait(WITHIN_S) == 0
        assert group(program.process.pid) == []


async def test_the_older_server_dies_of_a_file_with_an_absurd_header(tmp_path):
    content = Raw(key_count=1 << 60).build()
    digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
    async with serving(tmp_path, "0.24.0") as program:
        await program.client.http.post(f"/api/blobs/{digest}", content=content)
        with pytest.raises(httpx.RemoteProtocolError, match="without sending a response"):
            await program.client.post("/api/create", model="bad", files={"a.gguf": digest})
        recorded = case("0.24.0", "068b-server-died-huge-kv-count").observed
        assert program.process.wait(WITHIN_S) == recorded["returncode"]


async def test_a_second_server_on_the_port_says_so_and_ends(tmp_path):
    async with serving(tmp_path) as program:
        second = await asyncio.to_thread(ollama, tmp_path, program.port, "serve")
    recorded = case(VERSIONS[0], "320-second-server-same-port").observed
    assert second.returncode == recorded["returncode"]
    assert second.stderr == recorded["stderr_tail"].replace("11434", str(program.port))


async def test_the_program_tells_its_version_with_and_without_a_server(tmp_path):
    async with serving(tmp_path) as program:
        told = await asyncio.to_thread(ollama, tmp_path, program.port, "--version")
    assert told.stdout == f"ollama version is {VERSIONS[0]}\n"
    alone = await asyncio.to_thread(ollama, tmp_path, program.port, "--version")
    assert alone.stdout.splitlines() == [
        "Warning: could not connect to a running Ollama instance",
        f"Warning: client version is {VERSIONS[0]}",
    ]


def ollama(folder: Path, port: int, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [folder / "ollama", *words],
        env=environment(port, folder / "store"),
        capture_output=True,
        text=True,
        timeout=WITHIN_S,
        check=False,
    )


def test_the_module_is_a_program_too():
    path = Path(__file__).parents[1] / "fake_ollama.py"
    done = subprocess.run(
        [sys.executable, path, "dance"], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr[:6]) == (1, "Error:")
