"""`orac bench`: measuring through a server and without one, and looking at what was measured."""

import asyncio
import csv
import json

import pytest

import orac_core
from orac_core.manifest import parse
from orac_server.cli import measured, past
from orac_server.cli.bench import bench_command
from orac_server.cli.benchmarks import Measure, kept, progress
from tests import tiny_models
from tests.processes import orac_here
from tests.scripted import plugins
from tests.server.cli.conftest import NOBODY
from tests.server.serving import service
from tests.server.test_benchmark import MANIFEST, Delayed


@pytest.fixture
async def served(tmp_path):
    """A service whose models answer in their own time, and its backend."""
    backend = Delayed()
    opening = orac_core.open(
        parse(MANIFEST, "a test"),
        models_dir=tmp_path,
        plugins=plugins(backend),
        environ={"ORAC_STATE_DIR": str(tmp_path / "state")},
    )
    async with opening as manager, service(manager) as serving:
        yield serving, backend


@pytest.fixture
def bench(served):
    """Run `orac bench` against that service."""
    url = served[0].url.rstrip("/")

    async def run(*arguments):
        done = await asyncio.to_thread(orac_here, "bench", "--url", url, *arguments)
        greeting = f"orac: using the server at {url}\n"
        assert done.stderr.startswith(greeting), done.stderr
        done.stderr = done.stderr.removeprefix(greeting)
        return done

    return run


def rows(text):
    """Return the cells of each line; of several tables the lines one after another."""
    return [line.split("\t") for line in text.splitlines()]


async def test_a_run_is_a_table_of_tests_and_one_of_models(bench):
    done = await bench("fast", "slow", "--rounds", 2)
    assert done.returncode == 0, done.stderr
    found = rows(done.stdout)
    assert found[0] == ["MODEL", "SIZE", "PARAMS", "BACKEND", "TEST", "N", "T/S"]
    assert [row[4] for row in found[1:5]] == ["pp462", "tg8"] * 2
    assert found[1] == [*("fake/fast", "-", "-", "scripted", "pp462", "2"), "1000.00 ± 0.00"]
    assert found[2][-1] == "100.00 ± 0.00"
    assert found[5] == [""]
    heads = found[6]
    assert heads[:4] == ["MODEL", "LATENCY MS", "TTFT MS", "TPOT MS"]
    assert not {"BASELINE", "QUALITY", "J/TOKEN"} & set(heads)
    assert [row[0] for row in found[7:9]] == ["fake/fast", "fake/slow"]
    assert "fake/fast, pp462+tg8: cut from pp512+tg8" in done.stderr
    assert "orac: this is benchmark 2" in done.stderr


async def test_progress_stays_off_a_stderr_that_is_no_terminal(bench):
    done = await bench("fast")
    lines = done.stderr.splitlines()
    assert all("cut from" in line or "this is benchmark" in line for line in lines), lines


async def test_a_run_in_json_is_the_document_of_the_http_interface(bench, served):
    done = await bench("fast", "--json", "--rounds", 3, "--prompt", "Who?", "--prompt", "Where?")
    document = json.loads(done.stdout)
    shown = (await served[0].get(f"/v1/benchmarks/{document['id']}")).body
    assert document == shown
    assert document["options"]["prompts"] == ["Who?", "Where?"]
    assert document["results"][0]["latency_ms"]["n"] == 6


async def test_every_option_reaches_the_run(bench):
    options = [
        *("--suite", "soak", "--preset", "pp16+tg4", "--preset", "pp32+tg4", "--max-tokens", 4),
        *("--missions", 2, "--answer-over", 9, "--memory-over-mib", 1, "--rate-under", 3),
        *("--seed", 11, "--no-loads", "--verify", "--rounds", 1),
    ]
    found = json.loads((await bench("fast", "--json", *options)).stdout)["options"]
    assert (found["suite"], found["presets"]) == ("soak", ["pp16+tg4", "pp32+tg4"])
    assert (found["max_tokens"], found["missions"], found["seed"]) == (4, 2, 11)
    assert (found["verify"], found["loads"], found["rounds"]) == (True, False, 1)
    assert found["limit"] == {
        "answer_over_s": 9,
        "memory_over_bytes": 1024**2,
        "rate_under_tokens_per_second": 3,
    }


@pytest.mark.parametrize(
    ("words", "body"),
    [
        ([], {}),
        (["m", "--energy"], {"models": ("m",), "energy": True}),
        (["--loads"], {"loads": True}),
        (["--no-loads"], {"loads": False}),
        (["--rate-under", "2"], {"limit": {"rate_under_tokens_per_second": 2.0}}),
    ],
)
def test_what_nobody_says_is_left_to_the_manifest(words, body):
    given = bench_command.make_context("bench", words).params
    assert Measure.of(given["models"], given).body == body


async def test_one_model_that_fails_is_named_and_the_others_count(bench):
    done = await bench("fast", "broken")
    assert done.returncode == 0
    assert "fake/broken: 3 requests in a row had no answer: the engine fell over" in done.stderr


async def test_it_ends_with_1_when_every_model_failed(bench):
    done = await bench("broken", "nothing")
    assert done.returncode == 1
    assert "nothing: model 'nothing' not found" in done.stderr


async def test_it_ends_with_1_when_the_results_can_not_be_trusted(bench):
    done = await bench("fast", "--verify", "--rounds", 2)
    assert done.returncode == 1
    assert "do not trust these results" in done.stdout
    assert "enough answers" in done.stdout


async def test_it_ends_with_1_when_a_soak_failed_and_says_why(bench):
    done = await bench("fast", "--suite", "soak", "--missions", 3, "--rate-under", 101)
    assert done.returncode == 1
    assert "it writes 100.0 tokens/s, fewer than 101; 1 of 3 missions" in done.stdout
    assert (await bench("fast", "--suite", "soak", "--missions", 2)).returncode == 0


async def test_what_the_server_refuses_is_told_in_its_words(bench):
    done = await bench("fast", "--preset", "pp512")
    assert (done.returncode, done.stdout) == (1, "")
    assert "presets.0" in done.stderr
    assert "write it like pp512+tg128" in done.stderr


async def test_a_second_run_is_refused_and_the_first_named(bench, served):
    service, backend = served
    backend.hold("first")
    first = asyncio.create_task(service.post("/v1/benchmark", {"models": ["slow"]}))
    await backend.reached["first"].wait()
    done = await bench("fast")
    assert done.returncode == 1
    assert "is running; wait for its end" in done.stderr
    backend.gates["first"].set()
    assert (await first).status == 200


async def test_runs_are_listed_the_newest_first_and_by_model(bench):
    done = await bench("--list")
    assert (done.returncode, len(rows(done.stdout))) == (0, 1)
    assert "no benchmark has been kept yet" in done.stderr
    ids = [json.loads((await bench(model, "--json")).stdout)["id"] for model in ("fast", "slow")]
    found = rows((await bench("--list")).stdout)
    assert found[0] == list(past.RUNS)
    assert [row[0] for row in found[1:]] == ids[::-1]
    assert found[1][4:6] == ["fake/slow", "pp462+tg8"]
    assert [row[0] for row in rows((await bench("--list", "fast")).stdout)[1:]] == ids[:1]
    assert json.loads((await bench("--list", "--json")).stdout)["object"] == "list"


async def test_a_run_is_shown_again_as_it_was_told_first(bench):
    first = await bench("fast")
    again = await bench("--show", "latest")
    assert (again.returncode, again.stdout) == (0, first.stdout)
    absent = await bench("--show", "nothing")
    assert (absent.returncode, absent.stdout) == (1, "")
    assert "benchmark 'nothing' not found" in absent.stderr


async def test_two_runs_are_compared_and_chance_is_told_from_change(bench, served):
    await bench("fast", "--rounds", 8)
    served[1].delays["fast"] = 0.03
    await bench("fast", "--rounds", 8)
    done = await bench("--compare", "latest~1", "latest")
    assert done.returncode == 0, done.stderr
    found = {row[2]: row for row in rows(done.stdout)[1:]}
    assert found["latency_ms"][5].endswith("worse")
    assert found["decode_tokens_per_second"][5] == "~"
    assert "not comparable" not in done.stderr
    assert "latency" in (await bench("--compare", "latest~1", "latest", "--markdown")).stdout
    document = json.loads((await bench("--compare", "latest~1", "latest", "--json")).stdout)
    assert document["results"][0]["model"] == "fake/fast"


async def test_what_is_not_comparable_is_said(bench):
    await bench("fast", "--preset", "pp16+tg8")
    await bench("fast", "--preset", "pp32+tg8")
    done = await bench("--compare", "latest~1", "latest")
    assert "not comparable: options.presets ['pp16+tg8'] against ['pp32+tg8']" in done.stderr


async def test_models_are_recommended_and_what_was_not_measured_is_said(bench):
    await bench("fast", "slow")
    done = await bench("--recommend")
    assert done.returncode == 0
    found = rows(done.stdout)
    assert found[0] == list(past.CHOICES)
    assert {row[1] for row in found[1:]} == {"fake/fast", "fake/slow"}
    assert "quality_score was not measured" in done.stderr


@pytest.mark.parametrize(
    ("option", "beginning"),
    [
        ("--markdown", "## Benchmark"),
        ("--csv", "benchmark,model"),
        ("--benchstat", "# 2"),
        ("--html", "<!doctype html>"),
    ],
)
async def test_a_run_is_written_in_other_formats(bench, option, beginning):
    done = await bench("fast", option)
    assert done.returncode == 0, done.stderr
    assert done.stdout.lower().startswith(beginning.lower())
    again = await bench("--show", "latest", option)
    assert again.stdout == done.stdout


async def test_a_run_is_written_to_a_file(bench, tmp_path):
    page, lines = tmp_path / "run.html", tmp_path / "run.csv"
    done = await bench("fast", "--html", page)
    assert (done.returncode, done.stdout) == (0, "")
    assert f"written to {page}" in done.stderr
    assert page.read_text(encoding="utf-8").lower().startswith("<!doctype html>")
    await bench("--show", "latest", "--csv", "--output", lines)
    with lines.open(newline="", encoding="utf-8") as opened:
        assert {row["model"] for row in csv.DictReader(opened)} == {"fake/fast"}
    table = tmp_path / "run.txt"
    await bench("--show", "latest", "--output", table)
    assert rows(table.read_text(encoding="utf-8"))[0] == list(measured.TESTS)


async def test_a_file_that_can_not_be_written_is_said(bench):
    await bench("fast")
    done = await bench("--show", "latest", "--output", "/dev/full", "--json")
    assert done.returncode == 1
    assert "/dev/full can not be written: No space left on device" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--json", "--csv"], "take one of --json"),
        (["--list", "--recommend"], "take one of --compare"),
        (["--compare", "a"], "requires 2 arguments"),
        (["fast", "--show", "a"], "does not go with"),
        (["--show", "a", "--rounds", "2"], "does not go with"),
        (["--recommend", "--no-loads"], "does not go with"),
        (["a", "b", "--list"], "does not go with"),
        (["--list", "--csv"], "--csv writes one run"),
        (["--recommend", "--markdown"], "--markdown writes one run"),
        (["--html", "fast"], "does not end in .html"),
        (["--html", "a.html", "--output", "b.html"], "name one file"),
        (["--csv", "--output", "/nowhere/at/all.csv"], "there is no folder /nowhere/at"),
        (["--html", "/nowhere/at/all.html"], "there is no folder /nowhere/at"),
        (["--rounds", "0"], "--rounds"),
        (["--suite", "speed"], "--suite"),
        (["--answer-over", "0"], "--answer-over"),
    ],
)
def test_a_command_line_that_makes_no_sense_is_a_usage_error(arguments, told):
    done = orac_here("bench", *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert told in done.stderr.replace("\n", " ")


def test_without_a_server_it_measures_and_remembers_in_this_process(models, monkeypatch, tmp_path):
    tiny_models.write(models, "tiny-qwen3-0.6b")
    monkeypatch.setenv("ORAC_MODELS_DIR", str(models))
    monkeypatch.setenv("ORAC_STATE_DIR", str(tmp_path / "state"))

    def run(*arguments):
        done = orac_here("bench", *arguments)
        assert f"no server answers at {NOBODY}" in done.stderr
        assert "Traceback" not in done.stderr
        return done

    options = ("--preset", "pp16+tg4", "--rounds", 2)
    done = run("tiny-qwen3-0.6b", "--json", *options)
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert document["results"][0]["model"] == "local/tiny-qwen3-0.6b"
    assert document["results"][0]["decode_tokens_per_second"]["n"] == 2
    assert json.loads(run("--show", document["id"][:-1], "--json").stdout) == document
    assert rows(run("--list").stdout)[1][0] == document["id"]
    assert run("--compare", "latest", document["id"]).returncode == 0
    assert run("--recommend").returncode == 0
    assert run("--show", "latest", "--markdown").stdout.startswith("## Benchmark")
    assert run("--compare", "latest", "latest", "--markdown").stdout.startswith("## ")
    refused = run("tiny-qwen3-0.6b", "--preset", "pp")
    assert (refused.returncode, refused.stdout) == (1, "")
    assert "write it like pp512+tg128" in refused.stderr
    assert "no model is loaded" in run().stderr


def test_how_far_it_is_is_one_line():
    told = {"stage": "round", "model": "", "completed": 1, "total": 5, "message": ""}
    assert progress(told) == "round 2 of 5"
    told |= {"stage": "warm-up", "model": "local/m", "total": None, "message": "pp512+tg128"}
    assert progress(told) == "pp512+tg128: local/m"


def test_what_is_kept_is_said_with_the_command_that_shows_it():
    assert kept("abc") == ("what was measured is kept as abc; see it with `orac bench --show abc`")


@pytest.fixture
def document():
    """A run of one model of which everything is known."""
    figure = {"p50": 10.0, "mean": 10.5, "sd": 0.5, "ci95": [9.0, 11.0], "n": 5}
    workload = {
        "name": "pp512+tg128@d2048c4",
        "prompt_tokens": 512,
        "completion_tokens": 128,
        "depth": 2048,
        "concurrency": 4,
        "note": "",
        "n": 5,
        "prefill_tokens_per_second": None,
        "decode_tokens_per_second": figure,
    }
    result = {
        "model": "local/m",
        "size_bytes": 1024,
        "parameters": 10**9,
        "kind": "llamacpp",
        "latency_ms": figure,
        "ttft_ms": figure,
        "tpot_ms": figure,
        "error": None,
        "loads": [{"load_ms": 812.4, "cache": "cold"}, {"load_ms": 300, "cache": "warm"}],
        "memory": {"bytes": 2048},
        "baseline": {"ratio": 0.72, "verdict": "slower"},
        "quality": {"score": 61.25, "ci95": [50.0, 71.0]},
        "energy": {"gross_j_per_token": 0.25, "source": "VDD_IN", "coarse": True},
        "workloads": [workload],
    }
    verification = {
        "trusted": False,
        "verdict": "do not trust these results",
        "checks": [
            {"name": "steady", "passed": False, "text": "it varies"},
            {"name": "alone", "passed": True, "text": "it was"},
        ],
    }
    soak = {"passed": True, "models": {"local/m": {"passed": True, "verdict": "as it was"}}}
    run = {"id": "abc", "ended": "cancelled", "results": [result]}
    return {**run, "verification": verification, "soak": soak}


def test_what_is_known_besides_speed_has_columns_of_its_own(document, capsys):
    measured.show(document)
    told = capsys.readouterr()
    _, reading, writing, _, heads, cells, *_ = rows(told.out)
    assert reading[4:] == ["pp512 @ d2048 c4", "5", "-"]
    assert writing[4:] == ["tg128 @ d2048 c4", "5", "10.50 ± 0.50"]
    found = dict(zip(heads, cells, strict=True))
    assert found == {
        "MODEL": "local/m",
        "LATENCY MS": "10.0 [9.0, 11.0]",
        "TTFT MS": "10.0 [9.0, 11.0]",
        "TPOT MS": "10.00 [9.00, 11.00]",
        "LOAD MS": "812 cold, 300 warm",
        "MEMORY": "2.0 KiB",
        "BASELINE": "72% slower",
        "QUALITY": "61.2 (50 to 71)",
        "J/TOKEN": "0.250 (VDD_IN, coarse)",
    }
    assert "steady: it varies" in told.out
    assert "alone" not in told.out
    assert "local/m: as it was" in told.out
    assert "this is benchmark abc (cancelled)" in told.err


@pytest.mark.parametrize(
    ("change", "good"),
    [
        ({"verification": None}, True),
        ({}, False),
        ({"verification": None, "soak": {"passed": False, "models": {}}}, False),
        ({"verification": None, "results": []}, False),
    ],
)
def test_a_run_is_good_when_nothing_speaks_against_it(document, change, good):
    assert measured.good({**document, **change}) is good
