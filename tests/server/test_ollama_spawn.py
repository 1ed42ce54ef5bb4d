"""An Ollama that ORAC runs itself, from the service's side; the stand-in plays it."""

import asyncio
import signal
import socket

import aiohttp
import psutil
import pytest

from tests.fake_ollama import write_program
from tests.processes import lives, orac, serving
from tests.tiny_models import write
from tests.waiting import until

MODEL = "tiny-qwen3-0.6b"
PROMPT = {"model": MODEL, "prompt": "robot", "options": {"max_tokens": 4}}


@pytest.fixture
def manifest(tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
    write(tmp_path / "gguf", MODEL)
    path = tmp_path / "orac.toml"
    path.write_text(
        f'[models]\npaths = ["{tmp_path / "gguf"}"]\n'
        f'[backends.ollama]\nkind = "ollama"\nspawn = true\nurl = "{url}"\n'
        f'program = "{write_program(tmp_path / "bin")}"\nstore = "{tmp_path / "store"}"\n'
    )
    return path


async def asked(server, method, path, body=None):
    timeout = aiohttp.ClientTimeout(total=60)
    async with (
        aiohttp.ClientSession(server.url, timeout=timeout) as session,
        session.request(method, path, json=body) as response,
    ):
        return response.status, await response.json()


def ollama_of(server):
    """The process of `ollama serve`, below its keeper."""
    (keeper,) = psutil.Process(server.process.pid).children()
    return keeper.children()[0]


async def test_a_model_is_served_by_an_ollama_that_goes_with_orac(manifest):
    with serving("--manifest", manifest) as server:
        status, body = await asked(server, "POST", "/v1/prompt", PROMPT)
        assert (status, body["instance"]) == (200, "ollama")
        below = psutil.Process(server.process.pid).children(recursive=True)
        assert any("llama-server" in " ".join(each.cmdline()) for each in below)
        server.process.terminate()
        assert await asyncio.to_thread(server.process.wait, 30) == 0
        assert not any(each.is_running() for each in below)


async def test_p46_an_ollama_that_is_killed_comes_back_and_its_model_with_the_next_prompt(manifest):
    with serving("--manifest", manifest) as server:
        await asked(server, "POST", f"/v1/models/{MODEL}/load", {})
        before = ollama_of(server)
        runners = before.children(recursive=True)
        before.send_signal(signal.SIGKILL)
        states: list[str] = []
        async with asyncio.timeout(10):
            while not states or states[-1] != "stopped":
                _, listed = await asked(server, "GET", "/v1/models")
                states += [each["state"] for each in listed["data"]]
        assert not any(each.is_running() for each in runners)
        status, _ = await asked(server, "POST", "/v1/prompt", PROMPT)
        assert status == 200
        _, health = await asked(server, "GET", "/v1/health")
        assert health["instances"]["ollama"]["details"]["restarts"] == 1


async def test_orac_killed_leaves_neither_ollama_nor_its_runners(manifest):
    with serving("--manifest", manifest) as server:
        await asked(server, "POST", f"/v1/models/{MODEL}/load", {})
        below = psutil.Process(server.process.pid).children(recursive=True)
        assert len(below) >= 3
        server.process.kill()
        await until(lambda: not any(lives(each) for each in below), within_s=20)


def test_a_program_that_is_not_there_is_told_and_forbids_a_strict_start(manifest):
    text = manifest.read_text().replace("bin/ollama", "bin/nothing")
    manifest.write_text(text + "required = true\n")
    done = orac("doctor", "--quick", "--manifest", manifest)
    assert done.returncode == 1
    assert "cannot find the program" in done.stdout
    manifest.write_text(manifest.read_text() + "[server]\nstrict_start = true\n")
    done = orac("serve", "--port", "0", "--manifest", manifest)
    assert done.returncode == 1
    assert "no backend is usable: ollama" in done.stderr
    assert "set `program` to where it is" in done.stderr
