"""`orac bench` as a user runs it: the demo model, a server of its own, Ctrl-C in the middle."""

import json
import os
import pty
import re
import selectors
import signal
import subprocess
from contextlib import suppress
from pathlib import Path

import pytest

import orac_server
from tests.processes import ORAC, WITHIN_S, serving
from tests.server.cli.conftest import NOBODY
from tests.server.test_demo_process import Client, events

DEMO = Path(orac_server.__file__).parent / "demo"
LONG = ("orac-robot", "--preset", "pp16+tg400", "--rounds", "1000")
KEPT = re.compile(r"what was measured is kept as (\S+);")


def kept(told: str) -> str:
    """Return the id that was said."""
    (found,) = KEPT.findall(told)
    return str(found)


@pytest.fixture(scope="module")
def environ(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bench")
    return {"HOME": str(folder), "ORAC_STATE_DIR": str(folder / "state"), "TERM": "xterm"}


@pytest.fixture(scope="module")
def url(environ):
    with serving("--demo", environ=environ) as running:
        yield running.url


@pytest.fixture(scope="module")
def client(url):
    return Client(url.removeprefix("http://"))


@pytest.fixture(scope="module")
def bench(environ, url):
    """Run `orac bench` to its end."""

    def run(*arguments, **more):
        return subprocess.run(
            [ORAC, "bench", *map(str, arguments)],
            env={**os.environ, **environ, "ORAC_URL": url, **more},
            capture_output=True,
            text=True,
            timeout=WITHIN_S,
            check=False,
        )

    return run


def interrupted(*arguments, environ):
    """Run `orac bench` on a terminal, press Ctrl-C in the first round; return code and words."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [ORAC, "bench", *arguments],
        env={**os.environ, **environ, "COLUMNS": "200"},
        stdout=subprocess.DEVNULL,
        stderr=theirs,
    )
    os.close(theirs)
    seen = b""
    try:
        while b"round 1" not in seen:
            seen += chunk(ours)
        process.send_signal(signal.SIGINT)
        with suppress(OSError):  # the other end of a terminal is closed like this
            while True:
                seen += chunk(ours)
        return process.wait(WITHIN_S), seen.decode(errors="replace")
    finally:
        process.kill()
        process.wait()
        os.close(ours)


def chunk(terminal: int) -> bytes:
    """Return what comes next; an OSError when nothing will."""
    with selectors.DefaultSelector() as selector:
        selector.register(terminal, selectors.EVENT_READ)
        assert selector.select(WITHIN_S), "nothing was written"
    return os.read(terminal, 65536)


def test_the_demo_model_is_measured_kept_and_compared(bench, client):
    ids = []
    for _ in range(2):
        done = bench("orac-robot", "--rounds", 3, "--json")
        assert done.returncode == 0, done.stderr
        document = json.loads(done.stdout)
        (result,) = document["results"]
        assert result["model"] == "local/orac-robot"
        assert result["latency_ms"]["n"] == 3
        assert result["ttft_ms"]["p50"] < result["latency_ms"]["p50"]
        assert result["decode_tokens_per_second"]["p50"] > 0
        assert [it["completion_tokens"] for it in document["samples"] if it["round"]] == [128] * 3
        ids.append(document["id"])
    done = bench("--compare", "latest~1", "latest", "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert [found["old"], found["new"]] == ids
    figures = {change["metric"] for pair in found["results"] for change in pair["changes"]}
    assert {"latency_ms", "ttft_ms", "decode_tokens_per_second", "memory_bytes"} <= figures
    assert found["differences"] == []
    assert bench("--compare", "latest~1", "latest").stdout.startswith("MODEL\tTEST")


def test_a_stream_tells_the_rounds_and_ends_with_the_document(client):
    body = {"models": ["orac-robot"], "rounds": 2, "presets": ["pp16+tg8"], "stream": True}
    status, headers, text = client.ask("POST", "/v1/benchmark", body)
    assert (status, headers.get_content_type()) == (200, "text/event-stream")
    *told, (last, document) = events(text)
    assert last == "done"
    rounds = [data for _, data in told if data["stage"] == "round"]
    assert [(each["completed"], each["total"]) for each in rounds] == [(0, 2), (1, 2)]
    assert {data["id"] for _, data in told} == {document["id"]}
    assert client.json("GET", f"/v1/benchmarks/{document['id']}") == (200, document)


def test_ctrl_c_keeps_what_the_server_has_measured_and_names_it(bench, client, environ, url):
    code, told = interrupted(*LONG, environ={**environ, "ORAC_URL": url})
    assert code == 130
    id_ = kept(told)
    shown = bench("--show", id_, "--json")
    assert shown.returncode == 0, shown.stderr
    document = json.loads(shown.stdout)
    assert (document["ended"], document["results"][0]["model"]) == (
        *("cancelled", "local/orac-robot"),
    )
    assert document["samples"]
    again = bench("orac-robot", "--rounds", 1, "--preset", "pp16+tg8")
    assert again.returncode == 0, again.stderr


def test_ctrl_c_without_a_server_keeps_it_too(bench, environ):
    alone = {"ORAC_URL": NOBODY, "ORAC_MODELS_DIR": str(DEMO)}
    code, told = interrupted(*LONG, environ={**environ, **alone})
    assert code == 130
    document = json.loads(bench("--show", kept(told), "--json", **alone).stdout)
    assert document["ended"] == "cancelled"
    assert document["samples"]


def test_a_server_that_stops_ends_a_run_and_keeps_it(environ, tmp_path):
    state = {**environ, "ORAC_STATE_DIR": str(tmp_path / "state")}
    with serving("--demo", environ=state) as running:
        process = subprocess.Popen(
            [ORAC, "bench", *LONG, "--url", running.url],
            env={**os.environ, **state},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        client = Client(running.url.removeprefix("http://"))
        while not is_measuring(client):
            pass
        running.process.send_signal(signal.SIGTERM)
        assert running.process.wait(WITHIN_S) == 0
        process.communicate(timeout=WITHIN_S)
    done = subprocess.run(
        [ORAC, "bench", "--list", "--json"],
        env={**os.environ, **state, "ORAC_URL": NOBODY},
        capture_output=True,
        text=True,
        timeout=WITHIN_S,
        check=True,
    )
    (run,) = json.loads(done.stdout)["data"]
    assert run["results"][0]["model"] == "local/orac-robot"
    assert run["ended"] in {"cancelled", "ORAC was stopped"}


def is_measuring(client):
    model = client.json("GET", "/v1/models/orac-robot")[1]
    return model["last_used_at"] is not None
