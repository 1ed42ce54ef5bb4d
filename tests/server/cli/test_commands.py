"""The commands against a running server with the real llama.cpp, and without any server."""

import json

import pytest
from click.testing import CliRunner

from orac_core.hookspecs import HOOK_VERSION
from orac_server.cli import main
from tests import tiny_models
from tests.processes import orac, orac_here, serving
from tests.server.cli.conftest import NOBODY

ROBOT = '{"action":"move","direction":"forward","meters":1.5}'
COMMAND = "Move forward 1.5 meters"
SURELY = ("--temperature", 0)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    tiny_models.write(folder, "tiny-qwen3-0.6b")
    (folder / "cut.gguf").write_bytes(tiny_models.write(folder, "tiny-pythia").read_bytes()[:-9])
    tiny_models.write(folder, "tiny-pythia", stem="-odd name")
    return folder


@pytest.fixture(scope="module")
def server(folder):
    with serving("--demo", "--models-dir", folder) as running:
        yield running


@pytest.fixture
def asked(server):
    """Run a command that talks to the server; it says so, and that is taken off its stderr."""

    def run(command, *arguments, given=None):
        done = orac_here(command, "--url", server.url, *arguments, given=given)
        greeting = f"orac: using the server at {server.url}\n"
        assert done.stderr.startswith(greeting), done.stderr
        done.stderr = done.stderr.removeprefix(greeting)
        assert "Traceback" not in done.stderr
        return done

    return run


@pytest.fixture
def alone_asked(folder, monkeypatch):
    """Run a command where no server is."""
    monkeypatch.setenv("ORAC_MODELS_DIR", str(folder))

    def run(*arguments, given=None):
        done = orac_here(*arguments, given=given)
        assert f"no server answers at {NOBODY} (Connection refused)" in done.stderr, done.stderr
        assert "Traceback" not in done.stderr
        return done

    return run


def test_the_models_of_the_server_are_listed(asked):
    done = asked("list")
    assert done.returncode == 0
    header, *rows = [line.split("\t") for line in done.stdout.splitlines()]
    assert header[:2] == ["MODEL", "STATE"]
    by_name = {row[0]: row[1] for row in rows}
    assert set(by_name) == {"orac-robot", "tiny-qwen3-0.6b", "tiny-pythia", "cut", "-odd name"}
    assert by_name["cut"] == "failed"
    assert "truncated" in done.stderr


def test_the_list_in_json_is_that_of_the_http_interface(asked):
    listing = json.loads(asked("list", "--json").stdout)
    assert listing["object"] == "list"
    (robot,) = [model for model in listing["data"] if model["id"] == "orac-robot"]
    assert robot["object"] == "model"
    assert robot["instance"] == "local"
    assert robot["quantization"] == "Q8_0"


def test_the_list_is_the_same_without_a_server(asked, alone_asked):
    def known(done):
        models = json.loads(done.stdout)["data"]
        return {each["id"]: (each["size_bytes"], each["architecture"]) for each in models}

    here = known(alone_asked("list", "--json"))
    there = known(asked("list", "--json"))
    assert there.pop("orac-robot")
    assert here == there


def test_a_model_is_loaded_and_unloaded(asked):
    asked("unload", "tiny-qwen3-0.6b")
    first = asked("load", "tiny-qwen3-0.6b")
    assert first.stdout.startswith("tiny-qwen3-0.6b is loaded, in ")
    assert asked("load", "tiny-qwen3-0.6b").stdout == "tiny-qwen3-0.6b was loaded already\n"
    gone = asked("unload", "tiny-qwen3-0.6b")
    assert gone.stdout.startswith("tiny-qwen3-0.6b is unloaded, ")
    assert asked("unload", "tiny-qwen3-0.6b").returncode == 0


def test_loading_and_unloading_in_json_are_those_of_the_http_interface(asked):
    asked("unload", "tiny-qwen3-0.6b")
    loaded = json.loads(asked("load", "tiny-qwen3-0.6b", "--json").stdout)
    assert loaded["state"] == "ready"
    assert loaded["verified"] is True
    assert loaded["already_loaded"] is False
    unloaded = json.loads(asked("unload", "tiny-qwen3-0.6b", "--json").stdout)
    assert unloaded["state"] == "stopped"
    assert unloaded["freed_bytes"] > 0


@pytest.mark.parametrize("command", ["load", "unload"])
def test_a_model_that_is_not_there_is_an_error_in_the_words_of_the_server(asked, command):
    done = asked(command, "nothing")
    assert done.returncode == 1
    assert done.stdout == ""
    assert (
        done.stderr == "orac: model 'nothing' not found; `orac list` shows the models there are\n"
    )


def test_a_file_that_can_not_be_used_is_an_error_with_its_reason(asked):
    done = asked("load", "cut")
    assert done.returncode == 1
    assert "truncated" in done.stderr


def test_a_name_that_looks_like_an_option_comes_after_two_dashes(asked):
    done = asked("load", "--", "-odd name")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("-odd name is loaded, in ")
    asked("unload", "--", "-odd name")


def test_what_is_no_text_is_a_usage_error():
    for arguments in (["-"], ["a\udcff"]):
        done = CliRunner().invoke(main, ["prompt", "m", *arguments], input=b"a\xff")
        assert done.exit_code == 2
        assert "no text in UTF-8" in done.stderr


@pytest.mark.parametrize("how", ["--stream", "--no-stream"])
def test_an_answer_is_printed(asked, how):
    done = asked("prompt", "orac-robot", COMMAND, *SURELY, how)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{ROBOT}\n", "")


def test_the_text_may_come_from_stdin(asked):
    assert asked("prompt", "orac-robot", "-", *SURELY, given=COMMAND).stdout == f"{ROBOT}\n"


def test_an_answer_in_json_is_that_of_the_http_interface(asked):
    answer = json.loads(asked("prompt", "orac-robot", COMMAND, *SURELY, "--json").stdout)
    assert answer["response"] == ROBOT
    assert answer["model"] == "orac-robot"
    assert answer["finish_reason"] == "stop"
    assert answer["usage"]["completion_tokens"] > 1


def test_an_answer_is_piped_from_a_process_to_the_next(server):
    arguments = ("prompt", "orac-robot", "-", *SURELY, "--url", server.url)
    done = orac(*arguments, given=COMMAND)
    assert (done.returncode, done.stdout) == (0, f"{ROBOT}\n")
    assert done.stderr == f"orac: using the server at {server.url}\n"


def test_a_stream_in_json_has_a_line_for_each_event(asked):
    done = asked("prompt", "orac-robot", COMMAND, *SURELY, "--json", "--stream")
    *chunks, last = map(json.loads, done.stdout.splitlines())
    assert {chunk["event"] for chunk in chunks} == {"chunk"}
    assert "".join(chunk["text"] for chunk in chunks) == ROBOT
    assert last["event"] == "done"
    assert last["response"] == ROBOT


def test_an_answer_that_was_cut_is_said_to_be(asked):
    done = asked("prompt", "orac-robot", COMMAND, *SURELY, "--max-tokens", 2)
    assert done.returncode == 0
    assert "the answer was cut" in done.stderr


def test_an_answer_follows_a_schema(asked, tmp_path):
    schema = tmp_path / "schema.json"
    schema.write_text('{"type": "object", "properties": {"n": {"const": 7}}, "required": ["n"]}')
    done = asked("prompt", "orac-robot", COMMAND, *SURELY, "--format", schema)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["n"] == 7


def test_an_answer_that_lacks_the_format_is_an_error(asked):
    done = asked("prompt", "orac-robot", COMMAND, *SURELY, "--format", "json", "--max-tokens", 2)
    assert done.returncode == 1
    assert "does not have the format" in done.stderr


def test_an_answer_without_a_server_is_the_same(alone_asked, folder, monkeypatch):
    from importlib import resources  # noqa: PLC0415

    demo = resources.files("orac_server") / "demo"
    monkeypatch.setenv("ORAC_MODELS_DIR", str(demo))
    done = alone_asked("prompt", "orac-robot", COMMAND, *SURELY, "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["response"] == ROBOT
    assert "working in this process" in done.stderr


def test_an_error_without_a_server_is_the_same(alone_asked):
    done = alone_asked("prompt", "nothing", COMMAND)
    assert done.returncode == 1
    assert "model 'nothing' not found" in done.stderr


def test_a_backend_that_is_missing_without_a_server_is_named(alone_asked, alone):
    (alone / "orac.toml").write_text('[backends.far]\nkind = "warp"\n')
    done = alone_asked("list")
    assert done.returncode == 0
    assert "the backend far is not served: no plugin offers the kind 'warp'" in done.stderr


def test_a_wrong_manifest_without_a_server_is_an_error(alone_asked, alone):
    (alone / "orac.toml").write_text("[server]\nprot = 1\n")
    done = alone_asked("list")
    assert done.returncode == 1
    assert "prot" in done.stderr


@pytest.mark.parametrize("command", ["load", "unload"])
def test_nothing_can_be_kept_loaded_without_a_server(alone_asked, command):
    done = alone_asked(command, "tiny-qwen3-0.6b")
    assert done.returncode == 1
    assert done.stdout == ""
    assert "start it with `orac serve`" in done.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ["m", ""],
        ["m", " \n"],
        ["m", "hi", "--temperature", "-1"],
        ["m", "hi", "--max-tokens", "0"],
        ["m", "hi", "--format", "nowhere.json"],
        ["m", "hi", "--format", "/dev/null"],
    ],
)
def test_a_question_that_makes_no_sense_is_a_usage_error(arguments):
    done = orac_here("prompt", *arguments)
    assert done.returncode == 2
    assert done.stderr.startswith("Usage: ")


def test_the_doctor_sees_that_the_server_answers(server):
    found = json.loads(orac_here("doctor", "--url", server.url, "--json").stdout)
    assert found["server"] == {"url": server.url, "answers": True}


def test_the_plugins_are_listed():
    listed = json.loads(orac("plugins", "--json").stdout)["plugins"]
    (ours,) = [each for each in listed if each["name"] == "llamacpp"]
    assert [kind["name"] for kind in ours["kinds"]] == ["llamacpp"]
    assert ours["distribution"] == "orac"
    assert ours["hooks"] == HOOK_VERSION
    assert ours["problem"] is None


def test_a_plugin_built_for_other_hooks_is_listed_with_what_to_do(tmp_path, monkeypatch):
    (tmp_path / "orac_of_tomorrow.py").write_text('orac_hooks = "99.0"\n')
    told = tmp_path / "orac_of_tomorrow-3.dist-info"
    told.mkdir()
    (told / "METADATA").write_text("Metadata-Version: 2.1\nName: orac-of-tomorrow\nVersion: 3\n")
    (told / "entry_points.txt").write_text("[orac]\ntomorrow = orac_of_tomorrow\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    done = orac_here("plugins")
    assert done.returncode == 0
    there = f"this ORAC has {HOOK_VERSION}"
    why = f"it is built for hooks 99.0, {there}; update ORAC, or take an older plugin"
    expected = f"the plugin tomorrow is broken: PluginError: {why} (from orac-of-tomorrow)"
    assert expected in done.stderr
    assert why in done.stdout
    assert "llamacpp\tllamacpp" in done.stdout
