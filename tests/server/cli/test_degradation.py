"""`orac doctor --degradation`: a server whose model is slow, and a healthy one in this process."""

import asyncio
import json

import pytest

from tests import tiny_models
from tests.processes import orac_here
from tests.server.slow_board import SIZE, TOTAL, BoardSensors

MANIFEST = {"backends": {"fake": {"kind": "scripted"}}, "models": {"canaries": False}}
TINY = "tiny-qwen3-0.6b"


pytestmark = pytest.mark.usefixtures("memory_is_back_at_once")


@pytest.fixture
async def service(open_service, board):
    """A service whose model `small` was fast, and is loaded."""
    service = await open_service(board, manifest=MANIFEST, sensors=BoardSensors(board=board))
    for _ in range(6):
        assert (await service.post("/v1/prompt", {"model": "small", "prompt": "x"})).status == 200
    return service


async def slow(service, board, **how):
    """Have it loaded again when its memory is late, or the page cache full."""
    for name, value in how.items():
        setattr(board, name, value)
    for action in ("unload", "load"):
        assert (await service.post(f"/v1/models/small/{action}")).status == 200


@pytest.fixture
def asked(service):
    """Run the command against that service."""
    url = service.url.rstrip("/")

    async def run(*arguments):
        words = ("doctor", "--degradation", "--url", url, *arguments)
        done = await asyncio.to_thread(orac_here, *words)
        greeting = f"orac: using the server at {url}\n"
        assert done.stderr.startswith(greeting), done.stderr
        done.stderr = done.stderr.removeprefix(greeting)
        return done

    return run


async def test_a_model_that_is_as_fast_as_it_was_is_well(asked):
    done = await asked("small")
    assert (done.returncode, done.stderr) == (0, "")
    (line,) = done.stdout.splitlines()
    assert line.startswith("✓ fake/small: it is as fast as it was: 37.0 tokens/s where it had 37.0")


async def test_a_model_whose_usual_speed_is_forgotten_has_nothing_to_compare_with(asked, service):
    done = await asked("small", "--forget")
    assert (done.returncode, done.stderr) == (0, "")
    assert "there is nothing to compare with" in done.stdout


async def test_a_slow_model_is_told_with_causes_numbers_and_what_to_do(asked, service, board):
    await slow(service, board, cache=TOTAL - SIZE // 2)
    done = await asked("small")
    assert (done.returncode, done.stderr) == (1, "")
    first, cause, evidence, *more = done.stdout.splitlines()
    assert first.startswith("✗ fake/small: degraded: 5.2 tokens/s where it had 37.0, 14%")
    assert cause.startswith("  page_cache (")
    assert evidence == "      50% of it is on the GPU, where 100% was"
    assert any(line.startswith("    to do: give the page cache back") for line in more)
    assert "    command: sync; echo 3 | sudo tee /proc/sys/vm/drop_caches" in more


async def test_in_json_it_is_the_answer_of_the_http_interface(asked, service, board):
    await slow(service, board, cache=TOTAL - SIZE // 2)
    done = await asked("small", "--json")
    assert done.returncode == 1
    body = (await service.post("/v1/doctor/degradation", {"model": "small"})).body
    assert json.loads(done.stdout) == body


async def test_without_a_model_all_that_are_loaded_are_looked_at(asked, service):
    await service.post("/v1/models/large/load")
    done = await asked()
    assert done.returncode == 0
    assert [line.split(":")[0][2:] for line in done.stdout.splitlines()] == [
        "fake/small",
        "fake/large",
    ]
    found = json.loads((await asked("--json")).stdout)["models"]
    assert {each["model"]: each["healthy"] for each in found} == {"small": True, "large": None}


async def test_a_model_that_does_not_answer_hides_no_other(asked, board):
    board.failures["first"] = RuntimeError("the engine is confused")
    done = await asked()
    assert (done.returncode, done.stdout) == (0, "")
    assert "fake/small: " in done.stderr
    assert "the engine is confused" in done.stderr


async def test_where_nothing_is_loaded_that_is_said(asked, service):
    await service.post("/v1/models/small/unload")
    done = await asked()
    assert (done.returncode, done.stdout) == (0, "")
    assert "no model is loaded" in done.stderr
    refused = await asked("small")
    assert (refused.returncode, refused.stdout) == (1, "")
    assert "load it first" in refused.stderr


async def test_an_experiment_is_a_table_of_its_steps_and_a_conclusion(asked, service, board):
    await slow(service, board, late=True)
    done = await asked("small", "--experiment")
    assert (done.returncode, done.stderr) == (1, "")
    lines = done.stdout.splitlines()
    at = lines.index("STEP\tTOKENS/S\t95 %\tOF BEFORE\tOF BASELINE\tCHANGED")
    rows = [line.split("\t") for line in lines[at + 1 : at + 9]]
    assert [row[0] for row in rows] == [
        *("as_found", "repeat", "cycle", "cycle", "cycle"),
        *("fresh", "cache_given_back", "all_layers"),
    ]
    assert rows[5] == ["fresh", "37.0", "37.0 to 37.0", "714%", "100%", "yes"]
    assert rows[6] == ["cache_given_back", "-", "-", "-", "-", "-"]
    assert "  cache_given_back: the model's files can not be read here" in lines
    assert lines[-1].startswith("conclusion: unload it, wait until its memory is back")
    assert "likely memory late" in lines[-1]


async def test_remedies_that_cure_end_well(asked, service, board):
    await slow(service, board, late=True)
    done = await asked("small", "--remedy")
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    at = lines.index("TRIED\tTOKENS/S\t95 %\tOF BEFORE\tOF BASELINE\tWORKED")
    assert lines[at + 1].split("\t")[0] == "reload_when_memory_is_back"
    assert lines[at + 1].endswith("yes")
    assert lines[-1] == (
        "outcome: it is as fast as it was after this: unload it, wait until its memory is back, "
        "load it"
    )


async def test_where_nothing_can_be_tried_that_is_said(asked):
    done = await asked("small", "--remedy")
    assert done.returncode == 0
    assert "outcome: there is nothing that ORAC can try by itself" in done.stdout


@pytest.mark.parametrize(
    "words",
    [
        ("--degradation", "--experiment"),
        ("m", "--degradation", "--experiment", "--remedy"),
        ("m", "--degradation", "--forget", "--remedy"),
        ("--degradation", "--forget"),
        ("m", "--forget"),
        ("m", "--experiment"),
        ("m", "--degradation", "--quick"),
        ("m", "--degradation", "--models-dir", "."),
    ],
)
def test_what_does_not_go_together_is_a_usage_error(words):
    assert orac_here("doctor", *words).returncode == 2


def test_without_a_server_the_model_is_loaded_in_this_process(models, monkeypatch):
    tiny_models.write(models, TINY)
    monkeypatch.setenv("ORAC_MODELS_DIR", str(models))
    done = orac_here("doctor", TINY, "--degradation", "--json")
    assert done.returncode == 0, done.stderr
    assert "working in this process" in done.stderr
    found = json.loads(done.stdout)
    assert (found["model"], found["instance"], found["findings"]) == (TINY, "local", [])
    assert found["healthy"] in {True, None}
    assert found["tokens_per_second"] > 0
