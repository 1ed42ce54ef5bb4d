"""Benchmarks over HTTP: run, kept, listed, shown, compared, and what follows from them."""

import asyncio

import pytest
from attrs import define, field

import orac_core
from orac_core import BackendError, LoadRequest, Rates, hookimpl
from orac_core.manifest import parse
from tests.scripted import ScriptedBackend, ScriptedSettings, plugins
from tests.server.serving import events, service
from tests.waiting import until

MODELS = ("slow", "broken", "fast", "middling")
MANIFEST = {
    "backends": {"fake": {"kind": "scripted", "models": list(MODELS)}},
    "benchmark": {"rounds": 2, "max_tokens": 8, "answer_over_s": 60},
}


@define(eq=False)
class Delayed(ScriptedBackend):
    """Answers each model after a time of its own; ``broken`` never does."""

    settings: ScriptedSettings = field(factory=lambda: ScriptedSettings(MODELS))
    rates: Rates = field(factory=lambda: Rates(1000.0, 100.0))
    delays: dict[str, float] = field(
        factory=lambda: {"slow": 0.03, "middling": 0.015, "fast": 0.0, "broken": 0.0}
    )

    @hookimpl
    async def generate(self, request):
        measured = request.options.max_tokens != 1
        if measured:
            await asyncio.sleep(self.delays.get(request.model, 0.0))
            if request.model == "broken":
                raise BackendError("the engine fell over")
        async for chunk in ScriptedBackend.generate(self, request):
            yield chunk


@pytest.fixture
def engine():
    return Delayed()


@pytest.fixture
async def benches(engine, tmp_path):
    """A service whose benchmarks are kept in a folder of the test's."""
    opening = orac_core.open(
        parse(MANIFEST, "a test"),
        models_dir=tmp_path,
        plugins=plugins(engine),
        environ={"ORAC_STATE_DIR": str(tmp_path / "state")},
    )
    async with opening as manager, service(manager) as serving:
        yield serving


async def run(benches, *models, **body):
    reply = await benches.post("/v1/benchmark", {"models": list(models) or ["fast"], **body})
    assert reply.status == 200, reply.body
    return reply.body


async def test_models_come_by_their_median_latency_and_those_that_failed_last(benches):
    found = await run(benches, *MODELS, "nothing")
    names = [each["model"] for each in found["results"]]
    assert names[:3] == ["fake/fast", "fake/middling", "fake/slow"]
    assert set(names[3:]) == {"fake/broken", "nothing"}
    medians = [each["latency_ms"]["p50"] for each in found["results"][:3]]
    assert medians == sorted(medians)
    assert medians[2] >= 30
    errors = [each["error"] for each in found["results"]]
    assert errors[:3] == [None] * 3
    assert any("the engine fell over" in error for error in errors[3:])
    assert any("not found" in error for error in errors[3:])


async def test_an_answer_names_what_was_measured_in_milliseconds(benches):
    found = await run(benches, "fast", rounds=3, prompts=["Where are you?"])
    (result,) = found["results"]
    assert found["started_at"].endswith("Z")
    assert result["answer"] == "one two three"
    assert result["latency_ms"]["n"] == 3
    assert set(result["latency_ms"]) >= {"p50", "p95", "p99", "min", "max", "n", "ci95"}
    assert result["latency_ms"]["p95"] is None
    assert result["ttft_ms"]["p50"] <= result["latency_ms"]["p50"]
    assert result["tpot_ms"]["n"] == 3
    assert result["decode_tokens_per_second"]["p50"] == 100.0
    assert result["prefill_tokens_per_second"]["p50"] == 1000.0
    assert (result["error"], result["quality"], result["energy"]) == (None, None, None)
    assert found["verification"] is None
    rounds = [sample["round"] for sample in found["samples"]]
    assert rounds[0] == 0
    assert rounds[-3:] == [1, 2, 3]


async def test_without_names_the_loaded_models_are_measured(benches):
    await benches.post("/v1/models/fast/load")
    reply = await benches.post("/v1/benchmark")
    assert [each["model"] for each in reply.body["results"]] == ["fake/fast"]


async def test_with_no_model_named_and_none_loaded_it_is_400(benches):
    reply = await benches.post("/v1/benchmark", {})
    assert list(reply.faults) == ["models"]
    assert "load one first" in reply.error["message"]


async def test_what_is_not_asked_is_as_the_manifest_has_it(benches):
    options = (await run(benches, "fast"))["options"]
    assert (options["rounds"], options["max_tokens"]) == (2, 8)
    assert options["limit"]["answer_over_s"] == 60
    body = {"rounds": 1, "limit": {"memory_over_mib": 2}, "goals": {"ttft_ms": 250}, "seed": 7}
    options = (await run(benches, "fast", **body))["options"]
    assert (options["rounds"], options["seed"]) == (1, 7)
    assert (options["limit"]["answer_over_s"], options["limit"]["memory_over_bytes"]) == (
        *(60, 2 * 1024**2),
    )
    assert options["goals"]["ttft_s"] == 0.25


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({"rounds": 0}, "rounds"),
        ({"rounds": 1001}, "rounds"),
        ({"rounds": "5"}, "rounds"),
        ({"suite": "speed"}, "suite"),
        ({"models": "fast"}, "models"),
        ({"prompts": [""]}, "prompts.0"),
        ({"presets": ["pp512"]}, "presets.0"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"missions": 0}, "missions"),
        ({"seed": -1}, "seed"),
        ({"goals": {"ttft_ms": 0}}, "goals.ttft_ms"),
        ({"goals": {"ttft_s": 1}}, "goals.ttft_s"),
        ({"limit": {"answer_over_s": -1}}, "limit.answer_over_s"),
        ({"model": "fast"}, "model"),
    ],
)
async def test_what_makes_no_sense_is_400_and_names_the_field(benches, engine, body, path):
    for stream in (False, True):
        reply = await benches.post("/v1/benchmark", {"models": ["fast"], "stream": stream, **body})
        assert list(reply.faults) == [path]
    assert engine.calls == []


async def test_a_stream_tells_how_far_it_is_with_the_id_and_ends_with_the_document(benches):
    *told, (last, document) = await benches.events("/v1/benchmark", {"models": ["fast"]})
    assert last == "done"
    assert {name for name, _ in told} == {"progress"}
    assert {data["id"] for _, data in told} == {document["id"]}
    stages = [data["stage"] for _, data in told]
    assert stages[0] == "load"
    assert [data["completed"] for _, data in told if data["stage"] == "round"] == [0, 1]
    assert [each["model"] for each in document["results"]] == ["fake/fast"]
    shown = (await benches.get(f"/v1/benchmarks/{document['id']}")).body
    assert shown == document


async def first_id(response):
    """Return the id of a run from the first event of its stream."""
    received = b""
    while b"\n\n" not in received:
        received += await response.content.readany()
    ((_, data), *_) = events(received[: received.index(b"\n\n") + 2])
    return data["id"]


async def until_kept(benches, count):
    """Wait until so many runs are kept, and return them."""
    async with asyncio.timeout(10):
        while len(kept := (await benches.get("/v1/benchmarks")).body["data"]) < count:
            pass
    return kept


async def test_a_client_that_leaves_ends_the_run_which_is_kept(benches, engine):
    engine.hold("first")
    body = {"models": ["fast"], "stream": True}
    async with benches.session.post("/v1/benchmark", json=body) as response:
        id_ = await first_id(response)
        await engine.reached["first"].wait()
        response.close()
    await until(lambda: engine.generating == 0)
    engine.gates["first"].set()
    (kept,) = await until_kept(benches, 1)
    assert (kept["id"], kept["ended"]) == (id_, "cancelled")
    assert (await run(benches, "fast"))["ended"] == "completed"


async def test_a_client_that_leaves_without_a_stream_ends_the_run_too(benches, engine):
    engine.hold("first")
    asking = asyncio.create_task(benches.post("/v1/benchmark", {"models": ["fast"]}))
    await engine.reached["first"].wait()
    asking.cancel()
    await asyncio.wait([asking])
    await until(lambda: engine.generating == 0)
    (kept,) = await until_kept(benches, 1)
    assert kept["ended"] == "cancelled"


async def test_a_second_run_at_the_same_time_is_409_and_names_the_first(benches, engine):
    engine.hold("first")
    body = {"models": ["fast"], "stream": True}
    async with benches.session.post("/v1/benchmark", json=body) as response:
        id_ = await first_id(response)
        for stream in (False, True):
            second = await benches.post("/v1/benchmark", {"models": ["slow"], "stream": stream})
            assert (second.status, second.error["code"]) == (409, "state_conflict")
            assert id_ in second.error["message"]
        engine.gates["first"].set()
        assert b"event: done" in await response.read()


async def test_runs_are_listed_the_newest_first(benches):
    ids = [(await run(benches, model))["id"] for model in ("fast", "slow", "fast")]
    listing = (await benches.get("/v1/benchmarks")).body
    assert listing["object"] == "list"
    assert [each["id"] for each in listing["data"]] == ids[::-1]
    newest = listing["data"][0]
    assert (newest["suite"], newest["ended"]) == ("latency", "completed")
    assert newest["started_at"].endswith("Z")
    assert newest["elapsed_ms"] > 0
    (line,) = newest["results"]
    assert (line["model"], line["decode_tokens_per_second"]) == ("fake/fast", 100.0)
    assert line["latency_ms"] > 0

    async def listed(query):
        return [each["id"] for each in (await benches.get(f"/v1/benchmarks?{query}")).body["data"]]

    assert await listed("limit=2") == [ids[2], ids[1]]
    assert await listed(f"before={ids[1]}") == [ids[0]]
    assert await listed("model=slow") == [ids[1]]


@pytest.mark.parametrize(
    ("query", "path"),
    [
        ("limit=0", "limit"),
        ("limit=1001", "limit"),
        ("limit=few", "limit"),
        ("limit=", "limit"),
        ("before=", "before"),
        ("limt=2", "limt"),
    ],
)
async def test_a_listing_that_makes_no_sense_is_400_and_names_the_parameter(benches, query, path):
    assert list((await benches.get(f"/v1/benchmarks?{query}")).faults) == [path]


@pytest.mark.parametrize(
    ("query", "path"),
    [
        ("format=xml", "format"),
        ("samples=no", "samples"),
        ("samples=0", "samples"),
        ("against=", "against"),
        ("against=latest&format=csv", "format"),
        ("pretty=true", "pretty"),
    ],
)
async def test_showing_what_makes_no_sense_is_400_and_names_the_parameter(benches, query, path):
    await run(benches, "fast")
    assert list((await benches.get(f"/v1/benchmarks/latest?{query}")).faults) == [path]


async def test_a_run_is_shown_by_its_id_the_beginning_of_it_and_counted_back(benches):
    first, second = [(await run(benches, "fast"))["id"] for _ in range(2)]
    for name, meant in (
        (first, first),
        (second[:-1], second),
        ("latest", second),
        ("latest~1", first),
        ("latest%7E1", first),
    ):
        assert (await benches.get(f"/v1/benchmarks/{name}")).body["id"] == meant


@pytest.mark.parametrize("name", ["nothing", "latest~7", "2", "latest"])
async def test_a_run_that_is_not_there_is_404(benches, name):
    if name != "latest":
        await run(benches, "fast")
        await run(benches, "fast")
    reply = await benches.get(f"/v1/benchmarks/{name}")
    assert (reply.status, reply.error["code"]) == (404, "benchmark_not_found")
    for query in ("?against=latest", "?format=html"):
        assert (await benches.get(f"/v1/benchmarks/{name}{query}")).status == 404


async def test_a_run_is_shown_without_its_samples_when_that_is_asked(benches):
    await run(benches, "fast")
    with_all = (await benches.get("/v1/benchmarks/latest")).body
    without = (await benches.get("/v1/benchmarks/latest?samples=false")).body
    assert with_all["samples"]
    assert without == {**with_all, "samples": None}


@pytest.mark.parametrize(
    ("form", "content_type"),
    [
        ("csv", "text/csv"),
        ("markdown", "text/markdown"),
        ("html", "text/html"),
        ("benchstat", "text/plain"),
    ],
)
async def test_a_run_is_shown_in_other_formats(benches, form, content_type):
    await run(benches, "fast")
    reply = await benches.get(f"/v1/benchmarks/latest?format={form}")
    assert reply.status == 200
    assert reply.headers["Content-Type"] == f"{content_type}; charset=utf-8"
    assert b"fast" in reply.body


async def test_the_page_of_a_run_has_a_policy_of_its_own_under_which_nothing_runs(benches):
    await run(benches, "fast")
    headers = (await benches.get("/v1/benchmarks/latest?format=html")).headers
    policy = headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert not {"script-src", "'unsafe-inline'"} & set(policy.split())
    assert "frame-ancestors 'none'" in policy
    assert headers["X-Content-Type-Options"] == "nosniff"
    other = (await benches.get("/v1/benchmarks/latest?format=csv")).headers
    assert "default-src 'self'" in other["Content-Security-Policy"]


async def test_two_runs_are_compared(benches, engine):
    old = (await run(benches, "fast", rounds=8))["id"]
    engine.delays["fast"] = 0.03
    new = (await run(benches, "fast", rounds=8))["id"]
    found = (await benches.get(f"/v1/benchmarks/{new}?against={old}")).body
    assert (found["old"], found["new"]) == (old, new)
    pair = found["results"][0]
    assert (pair["model"], pair["workload"]) == ("fake/fast", "pp462+tg8")
    verdicts = {each["metric"]: each["verdict"] for each in pair["changes"]}
    assert (verdicts["latency_ms"], verdicts["decode_tokens_per_second"]) == ("worse", "same")
    assert found["differences"] == []
    text = await benches.get(f"/v1/benchmarks/{new}?against={old}&format=markdown")
    assert text.headers["Content-Type"] == "text/markdown; charset=utf-8"
    assert b"latency" in text.body


async def test_recommendations_are_there_also_before_anything_was_measured(benches):
    assert (await benches.get("/v1/recommendations")).status == 200
    await run(benches, "fast", "slow", "broken")
    await run(benches, "nothing")
    found = (await benches.get("/v1/recommendations")).body
    overall = found["overall"]
    named = [each["model"] for each in overall["front"] + overall["dominated"]]
    assert sorted(named) == ["fake/fast", "fake/slow"]
    assert {"front", "dominated"} == set(overall)


async def test_a_soak_ends_at_its_limit_and_says_why(benches):
    body = {"suite": "soak", "missions": 5, "limit": {"rate_under_tokens_per_second": 1000}}
    found = await run(benches, "fast", **body)
    assert found["soak"]["passed"] is False
    assert "100.0 tokens/s" in found["ended"]


async def test_a_verified_run_says_whether_it_can_be_trusted(benches):
    found = await run(benches, "fast", verify=True)
    assert found["verification"]["trusted"] in (True, False)
    assert found["verification"]["verdict"]
    assert {"name", "passed", "text"} <= set(found["verification"]["checks"][0])


async def test_what_the_run_has_loaded_goes_when_that_is_asked(benches, engine):
    await benches.manager.load(LoadRequest("slow"))
    await run(benches, "fast", "slow", unload=True)
    assert list(engine.loaded) == ["slow"]


async def test_a_run_that_can_not_be_kept_is_answered_shown_and_said(benches, tmp_path):
    (tmp_path / "state").write_text("a file where the folder should be")
    found = await run(benches, "fast")
    for name in (found["id"], "latest"):
        assert (await benches.get(f"/v1/benchmarks/{name}")).body["id"] == found["id"]
    assert (await benches.get("/v1/benchmarks")).body["data"] == []
    told = (await benches.get("/v1/health")).body["degradation"]
    assert any("benchmarks.sqlite3" in each["message"] for each in told)


async def test_benchmarks_are_there_after_a_restart(engine, tmp_path):
    environ = {"ORAC_STATE_DIR": str(tmp_path / "state")}
    known = parse(MANIFEST, "a test")
    ids = []
    for _ in range(2):
        opening = orac_core.open(known, plugins=plugins(Delayed()), environ=environ)
        async with opening as manager, service(manager) as serving:
            ids.append((await run(serving, "fast"))["id"])
    async with (
        orac_core.open(known, plugins=plugins(engine), environ=environ) as manager,
        service(manager) as serving,
    ):
        listed = (await serving.get("/v1/benchmarks")).body["data"]
    assert [each["id"] for each in listed] == ids[::-1]
