"""Runners of Ollama that serve no model: told by processes that are named like them."""

import subprocess
from contextlib import ExitStack

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orac_backends.ollama import runners
from orac_backends.ollama.runners import Process, leftovers
from tests.backends.driving import load, told
from tests.backends.ollama_backend import Memory, opened
from tests.fake_ollama import FakeOllama

STORE = "/root/.ollama/models/blobs"


def blob(number: int) -> str:
    return f"sha256-{number:064x}"


def runner(pid: int, of: int, began_at: float = 0.0) -> Process:
    words = ("/usr/bin/ollama", "runner", "--model", f"{STORE}/{blob(of)}", "--port", "41763")
    return Process(pid, words, began_at, 1 << 30)


SERVER = Process(1, ("/usr/bin/ollama", "serve"))


def pids(found: list[Process] | None) -> list[int]:
    assert found is not None
    return sorted(each.pid for each in found)


def test_a_runner_of_a_model_that_is_not_listed_is_left_over():
    assert pids(leftovers([SERVER, runner(2, of=7), runner(3, of=8)], [{blob(7)}])) == [3]


def test_of_two_runners_of_one_model_the_older_is_left_over():
    assert pids(leftovers([runner(2, 7, 50.0), runner(3, 7, 10.0)], [{blob(7)}])) == [3]


def test_a_llama_server_of_somebody_else_is_none_of_ollamas():
    other = Process(4, ("llama-server", "--model", "/models/a.gguf"))
    new = Process(5, ("lib/ollama/llama-server", "--model", f"{STORE}/{blob(7)}"))
    assert pids(leftovers([other, new], [{blob(7)}])) == []
    assert pids(leftovers([other, new], [])) == [5]


@pytest.mark.parametrize(
    ("processes", "listed"),
    [
        ([SERVER, Process(9, ("ollama", "serve")), runner(2, 7)], []),
        ([Process(2, ("ollama", "runner", "--ollama-engine", "--port", "1"))], []),
        ([runner(2, 7)], [frozenset()]),
        ([SERVER], [{blob(7)}]),
    ],
    ids=["two Ollamas", "a runner without a file", "a model without files", "hidden processes"],
)
def test_what_can_not_be_told_is_not_known(processes, listed):
    assert leftovers(processes, listed) is None


@given(st.lists(st.integers(1, 5), max_size=8), st.sets(st.integers(1, 5), max_size=5))
def test_as_many_are_left_over_as_there_are_more_runners_than_models(running, loaded):
    processes = [runner(number, of, number) for number, of in enumerate(running)]
    found = leftovers(processes, [{blob(of)} for of in loaded])
    if not loaded <= set(running):
        assert found is None
    else:
        newest = {of: number for number, of in enumerate(running) if of in loaded}
        assert pids(found) == sorted({*range(len(running))} - {*newest.values()})


@pytest.fixture
def start(tmp_path, monkeypatch):
    """Start programs of that name, of which alone the machine seems to have any."""
    begun: list[subprocess.Popen] = []
    everything = runners.seen
    mine = lambda: [it for it in everything() if it.pid in {each.pid for each in begun}]  # noqa: E731
    monkeypatch.setattr(runners, "seen", mine)
    with ExitStack() as stack:

        def started(name, *words):
            path = tmp_path / name
            path.write_text("#!/bin/sh\necho\nread line\n")
            path.chmod(0o755)
            pipe = subprocess.PIPE
            running = subprocess.Popen([str(path), *words], stdin=pipe, stdout=pipe)
            process = stack.enter_context(running)
            stack.callback(process.kill)
            assert process.stdout.readline() == b"\n"
            begun.append(process)
            return process

        yield started


@pytest.mark.parametrize(("name", "first"), [("ollama", ["runner"]), ("llama-server", [])])
def test_processes_are_seen_by_their_name_with_their_memory(start, name, first):
    process = start(name, *first, "--model", f"{STORE}/{blob(7)}", "--port", "41763")
    (found,) = runners.seen()
    assert (found.pid, found.blob, found.is_runner) == (process.pid, blob(7), True)
    assert found.bytes > 0
    assert found.began_at > 0


async def test_health_tells_runners_that_serve_no_model(start):
    async with FakeOllama().serving() as fake:
        fake.add_model("tiny:latest", size=500_000, context_length=8192)
        async with opened(fake.url, memory=Memory()) as ollama:
            await load(ollama, "tiny:latest")
            await told(ollama, "tiny:latest")
            (running,) = await ollama.api.running()
            (own,) = ollama._roster.blobs(running.digest)
            start("ollama", "runner", "--model", f"{STORE}/{own}")
            assert (await ollama.health()).details["leftovers"] == []
            left = start("ollama", "runner", "--model", f"{STORE}/{blob(7)}")
            (row,) = (await ollama.health()).details["leftovers"]
            assert (row["name"], row["pid"]) == ("ollama runner", left.pid)
            assert row["bytes"] > 0


async def test_of_an_ollama_on_another_machine_no_processes_are_told(start):
    start("ollama", "runner", "--model", f"{STORE}/{blob(7)}")
    async with FakeOllama().serving() as fake, opened(fake.url, memory=None) as ollama:
        assert "leftovers" not in (await ollama.health()).details


@pytest.mark.parametrize(("share", "told_of"), [(1.0, {"gpu": True}), (0.0, {})])
async def test_health_tells_a_gpu_where_a_model_is_on_one(share, told_of):
    async with FakeOllama().serving() as fake:
        fake.add_model("tiny:latest", size=500_000, context_length=8192)
        fake.faults.vram_share = share
        async with opened(fake.url) as ollama:
            await load(ollama, "tiny:latest")
            details = (await ollama.health()).details
            assert {key: details[key] for key in details if key == "gpu"} == told_of
