"""`orac serve` as a process: how it begins, and how it ends."""

import json
import signal
import socket
import time
from pathlib import Path

import pytest

from tests import tiny_models
from tests.processes import (
    children,
    ended,
    first_line,
    orac,
    orac_here,
    serving,
    start,
)

WORDS = 50


@pytest.fixture
def writer(models):
    """A model that writes for about a second when it is asked by `long_answer`."""
    tiny_models.write(models, "tiny-qwen3-0.6b", stem="writer", context_length=4096)
    return models


@pytest.fixture
def long_answer(tmp_path):
    """Start a process that asks for a long answer; it has begun when this returns."""
    items = {"minItems": WORDS, "maxItems": WORDS, "items": {"const": "hello"}}
    schema = tmp_path / "schema.json"
    schema.write_text(json.dumps({"type": "array", **items}))

    def begin(*options):
        shape = ("--format", schema, "--json", "--stream")
        asking = start("prompt", "writer", "tell me everything", *shape, *options)
        assert json.loads(first_line(asking))["event"] == "chunk"
        return asking

    return begin


def refused(*arguments, run=orac):
    """Run a server that has to refuse to start; return what it says on stderr."""
    done = run("serve", *arguments)
    assert done.returncode == 1, done.stderr
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    return done.stderr


def test_it_says_where_it_listens_and_what_it_serves(models):
    tiny_models.write(models, "tiny-pythia")
    process = start("serve", "--port", 0, "--models-dir", models, "--demo")
    address = first_line(process)
    served, trial = process.stdout.readline(), process.stdout.readline()
    ended(process)
    assert address.startswith("ORAC is at http://127.0.0.1:")
    assert "2 models" in served
    assert str(models) in served
    assert f'orac prompt --url {address.split()[-1][:-1]} orac-robot "Move forward' in trial
    assert process.returncode == 0


def test_it_says_so_in_one_line_of_json(models):
    tiny_models.write(models, "tiny-pythia")
    with serving("--models-dir", models) as server:
        assert server.announced == {
            "url": f"{server.url}/",
            "models": 1,
            "places": [str(models)],
            "failed_backends": {},
            "tokens": {},
        }


def test_a_port_that_is_taken_is_named(models):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        said = refused("--port", port)
    assert str(port) in said
    assert "in use" in said


def test_an_address_of_another_machine_is_named():
    assert "192.0.2.1" in refused("--host", "192.0.2.1", "--port", 0)


def test_every_mistake_of_the_manifest_is_named(alone):
    (alone / "orac.toml").write_text('profil = "a"\n[server]\nport = "x"\n[backends.b]\nulr = 1\n')
    said = refused()
    assert "3 mistakes" in said
    for place in ("profil", "server.port", "backends"):
        assert place in said


@pytest.mark.parametrize("text", ["{", "[]", '{"server": 5}', "\udcff", "{" * 5000, '{"a": 1}'])
def test_a_manifest_that_is_none_is_named(tmp_path, text):
    manifest = tmp_path / "broken.json"
    manifest.write_bytes(text.encode(errors="surrogateescape"))
    assert "broken.json" in refused("--manifest", manifest, run=orac_here)


def test_a_mistake_in_the_settings_of_a_backend_is_named(alone):
    (alone / "orac.toml").write_text('[backends.local]\nkind = "llamacpp"\nulr = 1\n')
    said = refused("--port", 0)
    assert "orac.toml: 1 mistake" in said
    assert "ulr" in said


@pytest.mark.parametrize("option", ["--models-dir", "--manifest"])
def test_what_is_named_and_not_there_is_a_usage_error(option):
    done = orac_here("serve", option, "nowhere")
    assert done.returncode == 2
    assert "nowhere" in done.stderr


def test_a_backend_of_an_unknown_kind_does_not_stop_the_others(alone):
    (alone / "orac.toml").write_text(
        '[backends.local]\nkind = "llamacpp"\n[backends.far]\nkind = "warp"\n'
    )
    with serving() as server:
        assert list(server.announced["failed_backends"]) == ["far"]
        _, err = ended(server.process)
    assert "far: no plugin offers the kind 'warp'" in err


def test_the_port_of_the_manifest_holds_unless_another_is_named(alone):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    (alone / "orac.toml").write_text(f"[server]\nport = {port}\n")
    process = start("serve", "--json")
    url = json.loads(first_line(process))["url"]
    ended(process)
    assert url == f"http://127.0.0.1:{port}/"


@pytest.mark.parametrize("ending", [signal.SIGTERM, signal.SIGINT])
def test_an_idle_server_ends_within_two_seconds(models, ending):
    tiny_models.write(models, "tiny-pythia")
    with serving("--models-dir", models) as server:
        assert orac("load", "tiny-pythia", "--url", server.url).returncode == 0
        engines = children(server.process.pid)
        started = time.monotonic()
        server.process.send_signal(ending)
        assert server.process.wait(10) == 0
        assert time.monotonic() - started < 2
    assert engines
    assert not any(is_running(engine) for engine in engines)


def test_a_running_answer_is_finished_before_the_server_ends(writer, long_answer):
    with serving("--models-dir", writer) as server:
        asking = long_answer("--url", server.url)
        server.process.terminate()
        out, err = asking.communicate(timeout=30)
        assert server.process.wait(30) == 0
    assert asking.returncode == 0, err
    answer = json.loads(out.splitlines()[-1])
    assert json.loads(answer["response"]) == ["hello"] * WORDS


def test_a_server_that_dies_in_the_midst_of_an_answer_is_an_error(writer, long_answer):
    with serving("--models-dir", writer) as server:
        asking = long_answer("--url", server.url)
        server.process.kill()
        _, err = asking.communicate(timeout=30)
    assert asking.returncode == 1
    assert "Traceback" not in err
    assert f"the server at {server.url} went away" in err.splitlines()[-1]


def test_ctrl_c_ends_a_prompt_with_130(writer, long_answer):
    with serving("--models-dir", writer) as server:
        assert interrupted(long_answer("--url", server.url)) == (130, "orac: interrupted")


def test_ctrl_c_stops_the_engine_of_a_prompt_without_a_server(writer, long_answer, monkeypatch):
    monkeypatch.setenv("ORAC_MODELS_DIR", str(writer))
    asking = long_answer()
    engines = children(asking.pid)
    assert interrupted(asking) == (130, "orac: interrupted")
    assert engines
    assert not any(is_running(engine) for engine in engines)


def interrupted(asking):
    """Press Ctrl-C; return exit code and last words."""
    asking.send_signal(signal.SIGINT)
    _, err = asking.communicate(timeout=30)
    return asking.returncode, err.splitlines()[-1]


def is_running(pid):
    try:
        state = Path(f"/proc/{pid}/stat").read_text(encoding="ascii")
        return state.rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
