"""``orac doctor --bundle``: one file to send, with nothing in it that is nobody's business."""

import asyncio
import json
import os
import stat
import tarfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import orac_core
from orac_core import GenerateRequest, Message
from orac_core.blackbox import recording
from orac_core.manifest import parse
from orac_core.state_directory import StateDirectory
from orac_server.cli.bundle import write
from tests import tiny_models
from tests.processes import orac_here, serving
from tests.scripted import ScriptedBackend, plugins

ALWAYS = {
    *("about.json", "doctor.json", "environment.json", "health.json", "host.json"),
    *("manifest.json", "versions.json"),
}
MODEL = "tiny-qwen3-0.6b"


@pytest.fixture(autouse=True)
def state(tmp_path, monkeypatch):
    """The folder that keeps what ORAC learns."""
    folder = tmp_path / "state"
    monkeypatch.setenv("ORAC_STATE_DIR", str(folder))
    return folder


def unpacked(path):
    """Return the text of each file in the archive at *path*."""
    with tarfile.open(path) as archive:
        members = archive.getmembers()
        assert {(member.mode, member.uid, member.uname) for member in members} == {(0o600, 0, "")}
        assert all(member.name.startswith("orac-bundle/") for member in members)
        return {
            member.name.removeprefix("orac-bundle/"): archive.extractfile(member).read().decode()
            for member in members
        }


def bundle(*arguments):
    """Make a bundle and return what is in it, and what was said."""
    path = Path("bundle.tar.gz")
    path.unlink(missing_ok=True)
    done = orac_here("doctor", *arguments, f"--bundle={path}")
    assert done.returncode == 0, done.stderr
    return unpacked(path), done.stdout


def decoded(files):
    return {name: json.loads(text) for name, text in files.items() if name.endswith(".json")}


def record(state, prompt):
    """Let a manager answer *prompt* with a black box."""

    async def answer():
        manifest = parse({"backends": {"here": {"kind": "scripted"}}}, "test")
        kept = StateDirectory(state)
        found = plugins(ScriptedBackend(words=(prompt,)))
        opening = orac_core.open(manifest, plugins=found, environ={}, state=kept)
        async with opening as manager:
            with recording(manager.events, kept) as box:
                question = GenerateRequest("small", messages=(Message("user", prompt),))
                await manager.answer(question)
                box.dump("a test")

    asyncio.run(answer())


def test_without_a_server_a_file_is_made_that_only_its_owner_may_read():
    done = orac_here("doctor", "--bundle")
    assert done.returncode == 0, done.stderr
    (path,) = Path().glob("orac-bundle-*.tar.gz")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    files = unpacked(path)
    assert set(files) == ALWAYS
    first, *named, last = done.stdout.splitlines()
    assert first.startswith(f"{path} (")
    assert [each.split()[0] for each in named] == sorted(files)
    assert "it holds no prompts" in last


def test_what_the_doctor_finds_and_what_runs_is_in_it(models):
    tiny_models.write(models, MODEL)
    found = decoded(bundle("--models-dir", models)[0])
    assert found["doctor.json"]["ok"] is True
    assert found["doctor.json"]["models"]["usable"] == 1
    assert found["versions.json"]["orac"] == orac_version()
    assert found["host.json"]["memory"]["total_bytes"] > 0
    assert found["manifest.json"] == {"path": None, "settings": None}
    assert "no server answers" in found["health.json"]["reason"]
    assert set(found["about.json"]["files"]) == ALWAYS - {"about.json"}


def orac_version():
    return json.loads(orac_here("doctor", "--json").stdout)["software"]["orac"]


def test_a_server_says_how_it_is(models):
    tiny_models.write(models, MODEL)
    with serving("--models-dir", models) as server:
        found = decoded(bundle("--models-dir", models, "--url", server.url)[0])
    assert found["health.json"]["status"] == "healthy"
    assert found["health.json"]["models_loaded"] == {f"local/{MODEL}": False}


def test_the_black_box_is_in_it_without_a_word_of_what_was_asked(state):
    record(state, "zyzzyva")
    files, _ = bundle()
    (dump,) = [name for name in files if name.startswith("blackbox/blackbox-")]
    assert set(files) - ALWAYS == {dump, "blackbox/blackbox.0.jsonl"}
    told = [json.loads(line) for line in files[dump].splitlines()]
    assert told[0] == {"at": told[0]["at"], "kind": "dump", "reason": "a test"}
    answer = next(each for each in told if each["kind"] == "answer")
    assert answer["completion_tokens"] == 1
    assert not any("zyzzyva" in text for text in files.values())


def test_lines_of_a_black_box_that_were_cut_are_left_out(state):
    record(state, "zyzzyva")
    ring = state / "blackbox.0.jsonl"
    whole = ring.read_bytes()
    ring.write_bytes(whole[:-20])
    files, _ = bundle()
    lines = files["blackbox/blackbox.0.jsonl"].splitlines()
    assert len(lines) == whole.count(b"\n") - 1
    assert all(json.loads(line) for line in lines)


def test_of_variables_only_names_are_in_it(monkeypatch, tmp_path):
    monkeypatch.setenv("ORAC_ADMIN_TOKEN", "zyzzyva-4711")
    monkeypatch.setenv("ORAC_MODELS_DIR", str(tmp_path / "abaculus"))
    files, _ = bundle()
    found = decoded(files)
    assert {"ORAC_ADMIN_TOKEN", "ORAC_MODELS_DIR"} <= set(found["environment.json"]["set"])
    assert "ORAC_MODELS_DIR" in found["doctor.json"]["environment"]
    assert not any("zyzzyva" in text for text in files.values())
    assert not any("= " + str(tmp_path / "abaculus") in text for text in files.values())


def test_no_home_is_named(alone):
    (alone / "orac.toml").write_text(f'[models]\npaths = ["{alone}/models", "/home/ann/x"]\n')
    files, _ = bundle()
    assert decoded(files)["manifest.json"]["settings"]["models"]["paths"] == ["~/models", "~/x"]
    assert not any(str(alone) in text or "/home/ann" in text for text in files.values())


def test_a_manifest_that_can_not_be_read_is_not_shown_at_all(alone):
    (alone / "orac.toml").write_text('api_key = "zyzzyva\n')
    files, _ = bundle()
    assert "can not be read" in decoded(files)["manifest.json"]["settings"]["problem"]
    assert not any("zyzzyva" in text for text in files.values())


SECRETS = st.text("abcdefghijklmnopqrstuvwxyz0123456789äß%&=\"'\\", min_size=4, max_size=20)
PLACES = {
    "a setting of a backend": lambda it: {"backends": {"a": {"kind": "ollama", "api_key": it}}},
    "the url of a backend": lambda it: {
        "backends": {"a": {"kind": "ollama", "url": f"http://joe:{it}@127.0.0.1:9"}}
    },
    "a token as the user": lambda it: {
        "backends": {"a": {"kind": "ollama", "url": f"http://{it}@127.0.0.1:9"}}
    },
    "a url that is no url": lambda it: {
        "backends": {"a": {"kind": "ollama", "url": f"joe:{it}@127.0.0.1:9/x?token={it}"}}
    },
    "a kind that there is not": lambda it: {"backends": {"a": {"kind": "b", "x": {"token": it}}}},
    "a key that there is not": lambda it: {"server": {"admin_token": it}},
    "a list": lambda it: {"backends": {"a": {"kind": "b", "headers": [{"authorization": it}]}}},
    "arguments": lambda it: {"backends": {"a": {"kind": "b", "args": ["--api-key", it]}}},
    "a wrong type": lambda it: {"server": {"port": 1, "password": [it, {"x": it}]}},
}


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(SECRETS, st.sampled_from(sorted(PLACES)))
def test_no_secret_of_a_manifest_is_ever_in_it(alone, models, secret, place):
    secret = f"zyzzyva{secret}"
    manifest = alone / "orac.json"
    manifest.write_text(json.dumps(PLACES[place](secret)))
    files, _ = bundle("--manifest", manifest, "--models-dir", models)
    assert not [name for name, text in files.items() if "zyzzyva" in text]


def test_with_json_it_says_what_is_in_it():
    done = orac_here("doctor", "--bundle", "--json")
    told = json.loads(done.stdout)
    assert set(told["files"]) == ALWAYS
    assert told["prompts"] is False
    assert told["size_bytes"] == Path(told["path"]).stat().st_size


def test_a_file_that_is_there_is_not_written_over():
    Path("mine.tar.gz").write_text("precious")
    done = orac_here("doctor", "--bundle", "mine.tar.gz")
    assert done.returncode == 1
    assert "is there already" in done.stderr
    assert Path("mine.tar.gz").read_text() == "precious"


def test_a_place_that_can_not_be_written_to_is_told():
    done = orac_here("doctor", "--bundle", "nowhere/at/all.tar.gz")
    assert done.returncode == 1
    assert "can not be written" in done.stderr


def test_it_does_not_go_with_quick():
    done = orac_here("doctor", "--quick", "--bundle")
    assert done.returncode == 2
    assert "does not go with --quick" in done.stderr


def test_the_same_files_make_the_same_archive():
    files = {"b.json": b"2", "a.json": b"1"}
    one, other = write("one.tar.gz", files), write("two.tar.gz", dict(reversed(files.items())))
    assert one.read_bytes() == other.read_bytes()
    assert not os.access("three.tar.gz", os.F_OK)
