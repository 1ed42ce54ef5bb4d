"""Roles and their fallbacks over HTTP and from the command line."""

import asyncio
import io
import json

import pytest
from attrs import evolve

import orac_core
from orac_core import BackendUnavailable, Limits, LoadRequest
from orac_core.manifest import parse
from orac_core.serving.breaker import Rule
from orac_server.logs import Lines
from orac_server.observing.writer import Writer
from tests.processes import orac_here
from tests.scripted import ScriptedBackend, plugins
from tests.server import published
from tests.server.serving import TESTS, events
from tests.server.serving import service as serving
from tests.server.watched import samples
from tests.waiting import until

ROLE = {"name": "small", "provider": "first", "parameters": {"top_p": 0.9, "num_predict": 64}}
MANIFEST = {
    "backends": {"first": {"kind": "scripted"}, "second": {"kind": "scripted"}},
    "models": {"parameters": {"temperature": 0.7}},
    "profiles": {
        "default": {"models": {"talk": ROLE}, "fallbacks": {"talk": ["second/small"]}},
    },
}
LIMITS = Limits(list_s=1, sparing=Rule(failures=2, pause_s=0.05))
GONE = BackendUnavailable("connection refused to the prompt zyzzyva")
CHAT = {"model": "talk", "messages": [{"role": "user", "content": "hi"}]}
PROMPT = {"model": "talk", "prompt": "hi"}


@pytest.fixture
def first():
    return ScriptedBackend()


@pytest.fixture
def second():
    return ScriptedBackend(words=("in ", "place"))


@pytest.fixture
async def served(first, second):
    known = parse(MANIFEST, "a test")
    opening = orac_core.open(known, plugins=plugins(first, second), limits=LIMITS, environ={})
    settings = evolve(known.server, allowed_hosts=TESTS.allowed_hosts)
    async with opening as manager, serving(manager, settings) as served:
        for name in ("first/small", "second/small"):
            await manager.load(LoadRequest(name))
        yield served


@pytest.fixture
def gone(first, served):
    first.failures = dict.fromkeys(("first", "embed"), GONE)


def who(told):
    return told["instance"], told["role"], told["served_by_fallback"]


@pytest.mark.usefixtures("gone")
async def test_a_prompt_says_who_answered_it(served):
    told = (await served.post("/v1/prompt", PROMPT)).body
    assert (told["response"], *who(told)) == ("in place", "second", "talk", True)
    *chunks, (_, done) = await served.events("/v1/prompt", PROMPT)
    assert [data["text"] for _, data in chunks] == ["in ", "place"]
    assert who(done) == ("second", "talk", True)


@pytest.mark.usefixtures("gone")
@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/chat/completions", CHAT),
        ("/v1/completions", PROMPT),
        ("/v1/embeddings", {"model": "talk", "input": "hi"}),
    ],
)
async def test_clients_of_openai_are_told_beside_the_answer(served, path, body):
    told = (await served.post(path, body)).body
    assert told["model"] == "talk"
    assert who(told["orac"]) == ("second", "talk", True)


@pytest.mark.usefixtures("gone")
async def test_a_stream_for_a_client_of_openai_tells_it_at_its_end(served):
    *_, last, end = await served.frames("/v1/chat/completions", CHAT)
    assert end == "[DONE]"
    assert who(last["orac"]) == ("second", "talk", True)


async def test_a_stream_that_began_is_never_gone_on_with_by_another(served, first, second):
    first.failures["word 0"] = GONE
    *chunks, (last, told) = await served.events("/v1/prompt", PROMPT)
    assert [data["text"] for _, data in chunks] == ["one "]
    assert (last, told["error"]["code"]) == ("error", "backend_unavailable")
    assert second.count("generate") == 0


@pytest.mark.usefixtures("gone")
async def test_when_all_fail_it_is_the_first_that_counts_and_the_others_are_named(served, second):
    second.failures["first"] = orac_core.BackendError("out of order")
    reply = await served.post("/v1/prompt", PROMPT)
    assert (reply.status, reply.error["code"]) == (503, "backend_unavailable")
    assert "nor did a fallback answer: second/small: out of order" in reply.error["message"]
    assert int(reply.headers["Retry-After"]) >= 1


@pytest.mark.parametrize(
    ("path", "body"),
    [("/v1/prompt", PROMPT), ("/v1/chat/completions", CHAT), ("/v1/completions", PROMPT)],
)
async def test_what_a_request_leaves_open_is_as_its_role_says_and_then_as_all_models(
    served, first, path, body
):
    given = {"options": {"top_p": 0.1}} if path == "/v1/prompt" else {"top_p": 0.1}
    await served.post(path, body | given)
    options = first.asked[-1].options
    assert (options.top_p, options.max_tokens, options.temperature) == (0.1, 64, 0.7)


async def test_a_role_does_wherever_a_model_does(served):
    assert (await served.get("/v1/models/talk")).body["roles"] == ["talk"]
    plan = await served.post("/v1/plan", {"model": "talk"})
    assert (plan.status, plan.body["instance"], plan.body["loaded"]) == (200, "first", True)
    assert (await served.post("/v1/models/talk/unload")).body["instance"] == "first"
    assert (await served.post("/v1/models/load", {"model": "talk"})).body["instance"] == "first"
    told = await served.post("/v1/doctor/degradation", {"model": "talk"})
    assert (told.status, told.body["instance"]) == (200, "first")
    asked = {"models": ["talk"], "rounds": 1, "max_tokens": 2, "prompts": ["hi"]}
    (result,) = (await served.post("/v1/benchmark", asked)).body["results"]
    assert (result["model"], result["error"]) == ("first/small", None)


@pytest.mark.parametrize(
    "words",
    [
        ("load", "talk"),
        ("plan", "talk"),
        ("prompt", "talk", "hi"),
        ("bench", "talk", "--rounds", 1, "--max-tokens", 2),
        ("doctor", "talk", "--degradation"),
        ("unload", "talk"),
    ],
    ids=lambda words: words[0],
)
async def test_a_role_does_for_every_command_that_takes_a_model(served, words):
    done = await asyncio.to_thread(orac_here, *words, "--json", "--url", served.url)
    assert done.returncode == 0, done.stderr
    assert "first" in done.stdout


async def test_a_benchmark_of_a_role_measures_no_other_model(served, first, second):
    first.failures["first"] = GONE
    asked = {"models": ["talk"], "rounds": 1, "max_tokens": 2, "prompts": ["hi"]}
    (result,) = (await served.post("/v1/benchmark", asked)).body["results"]
    assert "connection refused" in result["error"]
    assert second.count("generate") == 0


@pytest.mark.usefixtures("gone")
async def test_metrics_count_what_was_passed_on_and_show_who_is_spared(served, first):
    await served.post("/v1/prompt", PROMPT)
    first.down = True
    for _ in range(2):
        await served.post("/v1/prompt", PROMPT)
    await served.get("/v1/health")
    found = samples(await served.get("/metrics"))
    labels = {("role", "talk"), ("from", "first/small"), ("to", "second/small")}
    assert found["orac_fallbacks_total"] == {frozenset(labels): 3}
    assert found["orac_backend_spared"][frozenset({("backend", "first")})] > 0


@pytest.mark.usefixtures("gone")
async def test_health_says_how_a_breaker_stands_and_since_when(served, first):
    breaker = (await served.get("/v1/health")).body["instances"]["first"]["breaker"]
    assert breaker == {"state": "closed", "since": None, "failures": 0}
    first.down = True
    for _ in range(3):
        await served.post("/v1/prompt", PROMPT)
    told = (await served.get("/v1/health")).body
    breaker = told["instances"]["first"]["breaker"]
    assert (breaker["state"] in {"open", "half_open"}, breaker["failures"]) == (True, 2)
    assert breaker["since"].endswith("Z")
    bundled = (await served.get("/v1/diagnostics")).body
    assert bundled["health"]["instances"]["first"]["breaker"]["failures"] == 2
    first.down = False
    await until(lambda: served.manager.breaker("first").state == "closed")
    assert (await served.get("/v1/health")).status == 200


@pytest.mark.usefixtures("gone")
async def test_the_stream_of_events_tells_who_stepped_in_and_who_is_spared(served, first):
    async with served.session.get("/v1/events?kinds=fallback,breaker") as response:
        first.down = True
        for _ in range(2):
            await served.post("/v1/prompt", PROMPT)
        raw = b"".join([await response.content.readuntil(b"\n\n") for _ in range(4)])
    found = events(raw)
    published.check_events("GET", "/v1/events", found)
    told = {name: data for name, data in found if name != "hello"}
    assert (told["breaker"]["instance"], told["breaker"]["state"]) == ("first", "open")
    assert (told["fallback"]["failed"], told["fallback"]["next"]) == ("first/small", "second/small")


async def test_the_log_says_why_in_one_line_and_without_a_word_of_the_prompt(first, second):
    known, stream = parse(MANIFEST, "a test"), io.StringIO()
    lines = Lines(Writer(stream))
    first.failures["first"] = GONE
    opening = orac_core.open(known, plugins=plugins(first, second), limits=LIMITS, environ={})
    async with opening as manager, serving(manager, lines=lines) as served:
        for name in ("first/small", "second/small"):
            await manager.load(LoadRequest(name))
        await served.post("/v1/prompt", PROMPT)
    assert lines.writer.flush(10)
    log = [json.loads(line) for line in stream.getvalue().splitlines()]
    (told,) = [each for each in log if each["event"] == "orac.fallback"]
    assert (told["role"], told["from"], told["to"]) == ("talk", "first/small", "second/small")
    assert told["error"] == "BackendUnavailable"
    assert "zyzzyva" not in stream.getvalue()


async def test_who_asks_for_a_role_that_is_skipped_is_told_why(tmp_path):
    profile = {"models": {"see": {"name": "m", "provider": "magic"}}}
    manifest = parse({"backends": MANIFEST["backends"], "profiles": {"default": profile}}, "test")
    opening = orac_core.open(
        manifest, models_dir=tmp_path, plugins=plugins(ScriptedBackend()), environ={}
    )
    async with opening as manager, serving(manager, TESTS) as service:
        reply = await service.post("/v1/prompt", {"model": "see", "prompt": "hi"})
    assert reply.status == 404
    assert "skipped: no plugin and no backend offers" in reply.body["error"]["message"]
