"""`orac plan`, and what the other commands tell of memory."""

import asyncio
import json

import pytest

from orac_core.serving.start import Start
from tests import tiny_models
from tests.processes import orac_here
from tests.server.cli.conftest import NOBODY

MIB = 1 << 20


@pytest.fixture
async def board(open_board):
    """A service on a board with 4 GiB, and its backend."""
    return await open_board(large={"pinned": True})


@pytest.fixture
def asked(board):
    """Run a command that talks to that service."""
    url = board[0].url.rstrip("/")

    async def run(command, *arguments):
        done = await asyncio.to_thread(orac_here, command, "--url", url, *arguments)
        greeting = f"orac: using the server at {url}\n"
        assert done.stderr.startswith(greeting), done.stderr
        done.stderr = done.stderr.removeprefix(greeting)
        return done

    return run


@pytest.fixture
def alone_asked(models, monkeypatch):
    """Run a command where no server is, with one tiny model."""
    tiny_models.write(models, "tiny-qwen3-0.6b")
    monkeypatch.setenv("ORAC_MODELS_DIR", str(models))

    def run(*arguments):
        done = orac_here(*arguments)
        assert f"no server answers at {NOBODY}" in done.stderr, done.stderr
        assert "Traceback" not in done.stderr
        return done

    return run


def rows(text):
    return [line.split("\t") for line in text.splitlines()]


async def test_a_plan_is_a_sentence_and_a_table(asked):
    done = await asked("plan", "small")
    assert (done.returncode, done.stderr) == (0, "")
    (sentence,), *table = rows(done.stdout)
    assert sentence == (
        "fake/small needs 1.4 GiB (guessed from its size), 4.0 GiB available, 1.0 GiB of it page "
        "cache; it fits"
    )
    assert table == [
        ["MEMORY", "WHAT"],
        ["1.0 GiB", "its weights"],
        ["384.0 MiB", "the engine itself"],
        ["1.4 GiB", "all that it needs"],
        ["4.0 GiB", "available"],
        ["1.0 GiB", "of that, page cache"],
    ]


async def test_a_plan_names_who_would_go(asked):
    await asked("load", "small")
    done = await asked("plan", "large")
    assert done.returncode == 0
    assert ["1.0 GiB", "fake/small, which would go"] in rows(done.stdout)
    assert "would evict fake/small" in done.stdout


async def test_what_does_not_fit_ends_with_1_and_says_who_stays(asked):
    await asked("load", "large")
    done = await asked("plan", "small")
    assert (done.returncode, done.stderr) == (1, "")
    assert ["3.0 GiB", "fake/large, which is pinned"] in rows(done.stdout)
    assert "it does not fit" in done.stdout


async def test_a_plan_in_json_is_that_of_the_http_interface(asked, board):
    body = {"model": "small", "context_length": 2048, "gpu_layers": 3, "parallel": 2}
    served = (await board[0].post("/v1/plan", body)).body
    options = ("--context-length", 2048, "--gpu-layers", 3, "--parallel", 2)
    done = await asked("plan", "small", "--json", *options)
    assert json.loads(done.stdout) == served
    assert served["context_length"] == 2048


async def test_a_plan_of_a_loaded_model_is_one_sentence(asked):
    await asked("load", "small")
    done = await asked("plan", "small")
    assert done.returncode == 0
    assert done.stdout.splitlines()[0] == "fake/small is loaded"


async def test_a_plan_of_an_unknown_model_is_an_error_in_the_words_of_the_server(asked):
    done = await asked("plan", "nothing")
    assert (done.returncode, done.stdout) == (1, "")
    assert "model 'nothing' not found" in done.stderr


def test_a_plan_without_a_server_is_made_in_this_process(alone_asked):
    done = alone_asked("plan", "tiny-qwen3-0.6b", "--json")
    assert done.returncode == 0, done.stderr
    plan = json.loads(done.stdout)
    assert (plan["fits"], plan["needed"]["basis"]) == (True, "estimated")
    larger = json.loads(alone_asked("plan", "tiny-qwen3-0.6b", "--json", "--parallel", 9).stdout)
    assert larger["needed"]["kv_cache_bytes"] > plan["needed"]["kv_cache_bytes"]


@pytest.mark.parametrize("command", [["plan", "m"], ["load", "m"]])
@pytest.mark.parametrize(
    "option", [("--context-length", 0), ("--gpu-layers", -1), ("--parallel", "two")]
)
def test_a_setup_that_makes_no_sense_is_a_usage_error(command, option):
    done = orac_here(*command, *option)
    assert done.returncode == 2
    assert option[0] in done.stderr


@pytest.mark.parametrize("command", [["load", "m"], ["prompt", "m", "hi"]])
def test_a_keep_alive_that_is_no_span_of_time_is_a_usage_error(command):
    done = orac_here(*command, "--keep-alive", "soon")
    assert done.returncode == 2
    assert "write it like 5m, 1h30m, 90 or -1" in done.stderr


async def test_a_load_says_who_had_to_go(asked):
    await asked("load", "small")
    done = await asked("load", "large")
    first, second = done.stdout.splitlines()
    assert first == "fake/small was unloaded to make room"
    assert second.startswith("large is loaded, in ")


async def test_a_load_is_made_as_its_options_say(asked, board):
    options = ("--context-length", 128, "--parallel", 3, "--gpu-layers", 0, "--keep-alive", "1h")
    await asked("load", "small", *options)
    request = board[1].loaded["small"]
    assert (request.context_length, request.parallel, request.gpu_layers) == (128, 3, 0)
    listed = rows((await asked("list")).stdout)
    assert dict(zip(listed[0], listed[1], strict=True))["EXPIRES"] == "in 59 min"


async def test_a_load_by_force_asks_for_no_room(asked):
    await asked("load", "large")
    refused = await asked("load", "small")
    assert refused.returncode == 1
    assert "`force` loads it all the same" in refused.stderr
    assert (await asked("load", "small", "--force")).returncode == 0


async def test_a_prompt_may_say_how_long_its_model_stays(asked, board):
    done = await asked("prompt", "small", "hi", "--keep-alive", "1h")
    assert done.stdout == "one two three\n"
    shown = (await board[0].get("/v1/models/small")).body["expires_at"]
    assert shown is not None
    assert (await asked("prompt", "small", "hi", "--keep-alive", -1)).returncode == 0
    assert (await board[0].get("/v1/models/small")).body["expires_at"] is None


async def test_the_list_tells_what_models_take_or_would_need(asked):
    await asked("load", "large")
    columns, *models = rows((await asked("list")).stdout)
    small, large = (dict(zip(columns, each, strict=True)) for each in models)
    assert (small["SIZE"], small["MEMORY"], small["EXPIRES"]) == ("1.0 GiB", "~1.4 GiB", "-")
    assert (large["MEMORY"], large["EXPIRES"]) == ("3.0 GiB", "pinned")


@pytest.mark.parametrize(
    "command", [["list"], ["plan", "tiny-qwen3-0.6b"], ["doctor"], ["doctor", "--quick"]]
)
def test_a_look_without_a_server_loads_nothing_at_its_start(alone, models, monkeypatch, command):
    begun = []
    monkeypatch.setattr(Start, "begin", lambda _, names: begun.extend(names))
    monkeypatch.setenv("ORAC_MODELS_DIR", str(models))
    tiny_models.write(models, "tiny-qwen3-0.6b")
    (alone / "orac.toml").write_text(
        '[models.files."tiny-qwen3-0.6b"]\nload_at_start = true\n'
        '[backends.local]\nkind = "llamacpp"\n'
    )
    done = orac_here(*command)
    assert done.returncode == 0, done.stderr
    assert begun == []
