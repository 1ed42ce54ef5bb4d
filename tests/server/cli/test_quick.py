"""`orac doctor --quick`: one sentence and an exit code, soon."""

import asyncio
import json
import socket
import subprocess
import sys
import threading
import time
from contextlib import suppress

import pytest
from aiohttp import web

from orac_server.cli import quick
from tests import tiny_models
from tests.processes import ORAC, orac, orac_here, serving

from .conftest import NOBODY

REQUIRED = "[models.files.{}]\nrequired = true\n"


def asked(*arguments, run=orac_here):
    """Run it; return the exit code and its one line."""
    done = run("doctor", "--quick", *arguments)
    assert (done.stderr, done.stdout.count("\n")) == ("", 1), done
    return done.returncode, done.stdout.rstrip("\n")


def facts(*arguments):
    code, line = asked(*arguments, "--json")
    found = json.loads(line)
    assert found["ok"] == (code == 0)
    return found


@pytest.fixture
def silent():
    """The address of something that takes connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A server with the required model ``here``, and ``cut``, which is broken."""
    folder = tmp_path_factory.mktemp("served")
    whole = tiny_models.write(folder, "tiny-pythia", stem="here").read_bytes()
    (folder / "cut.gguf").write_bytes(whole[:-100])
    (folder / "orac.toml").write_text(REQUIRED.format("here"))
    with serving("--manifest", folder / "orac.toml", "--models-dir", folder) as running:
        yield running.url


def test_a_server_says_how_it_is_and_degraded_is_good_enough(server):
    code, line = asked("--url", server)
    assert code == 0
    assert line.startswith("degraded: models failed: local/cut; required models not loaded: local")
    assert line.endswith(f"; ORAC 0.1.0 at {server}")


def test_the_same_in_json(server):
    found = facts("--url", server, "--server")
    (problem,) = found.pop("problems")
    assert problem.startswith("local/cut: ")
    assert found.pop("verdict").startswith("degraded: ")
    assert found == {
        "ok": True,
        "status": "degraded",
        "server": server,
        "version": "0.1.0",
        "model": None,
    }


def test_a_server_that_is_unhealthy_says_why(alone):
    (alone / "orac.toml").write_text(REQUIRED.format("gone"))
    with serving() as running:
        code, line = asked("--url", running.url)
    assert code == 1
    assert line == (
        "unhealthy: required models not usable: gone (gone: no file and no engine has it); "
        f"ORAC 0.1.0 at {running.url}"
    )


def test_a_model_of_a_server_is_there_with_a_sound_file(server):
    code, line = asked("here", "--url", server)
    assert code == 0
    assert line.startswith("local/here is there (gptneox, ")
    assert line.endswith("): its file is sound, and it is stopped")
    assert facts("here.gguf", "--url", server)["model"] == "here"


def test_a_model_of_a_server_whose_file_is_broken_is_bad(server):
    code, line = asked("cut", "--url", server)
    assert code == 1
    assert line.startswith("local/cut can not be used: ")
    assert "truncated" in line


@pytest.mark.parametrize("name", ["absent", "..", ".", "a/b", "../health", "a\nb", "\udcff", ""])
def test_a_model_that_nothing_has_is_bad_with_a_server_and_without(server, name):
    for url in (server, NOBODY):
        code, line = asked("--url", url, "--", name)
        assert code == 1
        assert line.startswith("model '"), line
        assert line.endswith("not found; `orac list` shows the models there are")


def test_without_a_server_the_backends_are_asked(models, alone):
    tiny_models.write(models, "tiny-pythia")
    (alone / "orac.toml").write_text(
        f'[models]\npaths = ["{models}"]\n{REQUIRED.format("tiny-pythia")}'
        '[backends.local]\nkind = "llamacpp"\n'
    )
    code, line = asked()
    assert code == 0
    assert line.startswith(
        f"no server answers at {NOBODY} (Connection refused); usable: local xllamacpp"
    )
    assert line.endswith("; required and there: tiny-pythia")


def test_without_a_server_a_required_model_that_is_not_there_is_bad(alone):
    (alone / "orac.toml").write_text(REQUIRED.format("gone"))
    found = facts()
    assert found["problems"] == ["gone: no file and no engine has it"]
    assert found["verdict"].endswith("; not usable: gone: no file and no engine has it")


def test_without_a_server_a_configured_backend_that_is_not_usable_is_bad(alone):
    (alone / "orac.toml").write_text(
        '[backends.local]\nkind = "llamacpp"\n[backends.far]\nkind = "warp"\n'
    )
    code, line = asked()
    assert code == 1
    assert "not usable: far: no plugin offers the kind 'warp'" in line


def test_without_a_server_a_broken_file_that_nobody_requires_is_no_matter(models):
    (models / "empty.gguf").touch()
    assert asked("--models-dir", models)[0] == 0


def test_without_a_server_a_model_is_looked_for_and_its_header_read(models):
    path = tiny_models.write(models, "tiny-pythia")
    (models / "cut.gguf").write_bytes(path.read_bytes()[:-100])
    assert asked("tiny-pythia", "--models-dir", models)[0] == 0
    code, line = asked("cut", "--models-dir", models)
    assert code == 1
    assert "truncated" in line


def test_a_manifest_that_is_named_is_looked_at_though_a_server_answers(server, tmp_path):
    manifest = tmp_path / "other.toml"
    manifest.write_text(REQUIRED.format("gone"))
    code, line = asked("--url", server, "--manifest", manifest)
    assert (code, line) == (1, "not usable: gone: no file and no engine has it")


def test_every_mistake_of_a_manifest_stands_in_the_line(alone):
    (alone / "orac.toml").write_text('profil = "a"\n[server]\nport = "x"\n')
    code, line = asked()
    assert code == 1
    assert "2 mistakes" in line
    assert "server.port" in line
    assert "profil" in line


def test_where_a_server_is_demanded_nothing_else_will_do():
    code, line = asked("--server")
    assert code == 1
    assert line == (
        f"no server answers at {NOBODY} (Connection refused); "
        "start it with `orac serve`, or name it with --url"
    )


@pytest.mark.parametrize(
    "arguments",
    [
        ("--server",),
        ("--within", "5"),
        ("--quick", "--within", "0"),
        ("--quick", "--within", "nan"),
        ("--quick", "--server", "--models-dir", "."),
        ("--quick", "--server", "--manifest", "orac.toml"),
    ],
)
def test_options_that_make_no_sense_are_a_usage_error(arguments):
    assert orac_here("doctor", *arguments).returncode == 2


def test_a_password_in_the_address_is_not_shown():
    _, line = asked("--url", "http://ann:secret@127.0.0.1:9", "--server")
    assert "secret" not in line


def took_s(*arguments):
    """Run it as a process; return what it said, and the seconds that it took."""
    started = time.monotonic()
    said = asked(*arguments, run=orac)
    return said, time.monotonic() - started


def test_a_server_that_hangs_does_not_keep_it_longer_than_allowed(silent):
    _, at_once_s = took_s("--server")
    (code, line), hanging_s = took_s("--url", silent, "--within", 2)
    assert hanging_s < 2 + 2 * at_once_s
    assert code == 1
    assert line == f"no verdict within 2 s: still waiting for the server at {silent}"


def test_a_backend_that_hangs_does_not_keep_it_and_is_named(silent, alone):
    (alone / "orac.toml").write_text(
        f'[backends.ollama]\nkind = "ollama"\nurl = "{silent}"\n'
        '[backends.local]\nkind = "llamacpp"\n'
    )
    _, at_once_s = took_s("--server")
    (code, line), hanging_s = took_s()
    assert hanging_s < 3 + 3 * at_once_s
    assert code == 1
    assert "not usable: ollama: " in line


async def test_a_server_that_lives_and_does_not_say_how_it_is_is_told_apart(aiohttp_server):
    async def live(_request):
        return web.json_response({"status": "live"})

    async def hang(_request):
        await asyncio.Event().wait()

    app = web.Application()
    app.add_routes([web.get("/v1/health/live", live), web.get("/v1/health", hang)])
    url = str((await aiohttp_server(app)).make_url("")).rstrip("/")
    question = quick.Asked(None, url, True, None, None, within_s=1.2)  # noqa: FBT003 - frozen
    judgement, ended = await quick._within(question)
    assert ended
    assert judgement.verdict == (
        f"no verdict within 1.2 s: still waiting for the server at {url}, which lives, to say "
        "how it is"
    )


async def test_what_will_not_be_cancelled_is_left_behind(monkeypatch):
    freed = asyncio.Event()

    async def stubborn(_asked, looking):
        looking.found = quick.Judgement(ok=True, verdict="good")
        while not freed.is_set():
            with suppress(asyncio.CancelledError):
                await freed.wait()

    monkeypatch.setattr(quick, "_look", stubborn)
    assert await left_early(monkeypatch) == ("good", False)
    freed.set()


async def test_a_thread_that_hangs_is_left_behind(monkeypatch):
    freed = threading.Event()

    async def beside_a_thread(_asked, looking):
        asyncio.get_running_loop().run_in_executor(None, freed.wait)
        looking.found = quick.Judgement(ok=True, verdict="good")

    monkeypatch.setattr(quick, "_look", beside_a_thread)
    assert await left_early(monkeypatch) == ("good", False)
    freed.set()


async def left_early(monkeypatch):
    monkeypatch.setattr(quick, "CLOSING_S", 0.01)
    question = quick.Asked(None, NOBODY, False, None, None, within_s=1.01)  # noqa: FBT003 - frozen
    judgement, ended = await quick._within(question)
    return judgement.verdict, ended


def test_whatever_happens_there_is_a_sentence_and_no_traceback(monkeypatch):
    def broken(*_):
        raise ZeroDivisionError("odd\nand odder")

    monkeypatch.setattr(quick, "settle", broken)
    assert asked() == (1, "unexpected: ZeroDivisionError: odd; and odder")


def test_it_starts_nothing_that_outlives_it_and_reads_no_stdin(models):
    tiny_models.write(models, "tiny-pythia")
    words = [ORAC, "doctor", "--quick", "--models-dir", str(models)]
    done = subprocess.run(
        [sys.executable, "-c", OBSERVED, *words],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout.splitlines()[-1]) == (0, "left 0"), done


OBSERVED = """
import ctypes, pathlib, subprocess, sys
ctypes.CDLL(None).prctl(36, 1)  # PR_SET_CHILD_SUBREAPER: what is orphaned becomes our child
code = subprocess.run(sys.argv[1:], stdin=subprocess.DEVNULL).returncode
left = pathlib.Path("/proc/self/task").glob("*/children")
print("left", sum(len(each.read_text().split()) for each in left))
sys.exit(code)
"""
