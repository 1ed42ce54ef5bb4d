"""Prompts over HTTP: whole answers, streams, and clients that leave."""

import asyncio

import pytest

from orac_core import BackendError, BackendUnavailable, Limits, ModelManager
from tests.scripted import said
from tests.waiting import until

ASKED = {"model": "small", "prompt": "hi"}


async def test_an_answer_comes_whole_with_its_figures(service):
    reply = await service.post("/v1/prompt", ASKED)
    assert reply.status == 200
    assert reply.body.pop("elapsed_ms") > 0
    timings = reply.body.pop("timings")
    assert reply.body == {
        "response": "one two three",
        "model": "small",
        "instance": "fake",
        "role": None,
        "served_by_fallback": False,
        "finish_reason": "stop",
        "truncated_prompt": False,
        "format_valid": None,
        "repaired": False,
        "usage": {"prompt_tokens": 2, "completion_tokens": 3, "cached_tokens": 0},
    }
    assert timings["prefill_tokens_per_second"] is None
    assert timings["ttft_ms"] >= timings["load_ms"] >= 0


async def test_a_stream_is_chunks_and_one_done_with_the_whole_answer(service):
    *chunks, (last, done) = await service.events("/v1/prompt", ASKED)
    assert chunks == [("chunk", {"text": text}) for text in ("one ", "two ", "three")]
    assert (last, done["response"]) == ("done", "one two three")


async def test_what_is_asked_reaches_the_engine(service, monkeypatch):
    asked = []
    answer = ModelManager.answer

    async def noted(manager, request, *, deadline_s, repair):
        asked.append((request, deadline_s))
        return await answer(manager, request, deadline_s=deadline_s, repair=repair)

    monkeypatch.setattr(ModelManager, "answer", noted)
    body = {
        "model": "small",
        "system": "be brief",
        "messages": [{"role": "user", "content": "hi"}],
        "options": {"temperature": 1, "seed": 7.0, "stop": "x", "max_tokens": 5},
        "deadline_ms": 1500,
    }
    await service.post("/v1/prompt", body)
    ((request, deadline_s),) = asked
    assert deadline_s == 1.5
    assert [(each.role, each.content) for each in request.messages] == [
        ("system", "be brief"),
        ("user", "hi"),
    ]
    assert request.options.temperature == 1.0
    assert (request.options.seed, type(request.options.seed)) == (7, int)
    assert (request.options.stop, request.options.max_tokens) == (("x",), 5)


async def test_an_answer_that_misses_its_format_is_asked_for_once_more_on_request(service, backend):
    backend.scripts = [said("no"), said("{}")]
    reply = await service.post("/v1/prompt", {**ASKED, "format": "json", "repair": True})
    assert (reply.body["response"], reply.body["repaired"]) == ("{}", True)
    assert reply.body["format_valid"]


async def test_a_stream_can_not_be_repaired(service):
    body = {**ASKED, "format": "json", "repair": True, "stream": True}
    assert "whole answer" in (await service.post("/v1/prompt", body)).faults["repair"]


async def test_an_engine_that_fails_before_the_first_token_is_told_by_the_status(service, backend):
    backend.failures["first"] = BackendError("the engine stumbled")
    for body in (ASKED, {**ASKED, "stream": True}):
        reply = await service.post("/v1/prompt", body)
        assert (reply.status, reply.error["code"]) == (502, "backend_error")


async def test_p39_an_engine_that_dies_in_mid_stream_ends_it_with_an_error(service, backend):
    backend.failures["word 0"] = BackendUnavailable("the engine died")
    (first, chunk), (last, data) = await service.events("/v1/prompt", ASKED)
    assert (first, chunk) == ("chunk", {"text": "one "})
    assert (last, data["error"]["code"]) == ("error", "backend_unavailable")


async def test_a_full_queue_is_429_also_for_streams(open_service, backend):
    service = await open_service(backend, limits=Limits(max_concurrency=1, max_queue=0))
    gate = backend.hold("first")
    running = asyncio.create_task(service.post("/v1/prompt", ASKED))
    await until(lambda: backend.generating == 1)
    reply = await service.post("/v1/prompt", {**ASKED, "stream": True})
    assert (reply.status, reply.error["code"]) == (429, "queue_full")
    assert int(reply.headers["Retry-After"]) >= 1
    gate.set()
    assert (await running).status == 200


async def test_p68_of_32_prompts_at_once_each_gets_an_answer_or_429(open_service, backend):
    service = await open_service(backend, limits=Limits(max_concurrency=2, max_queue=4))
    gate = backend.hold("first")
    asked = [asyncio.create_task(service.post("/v1/prompt", ASKED)) for _ in range(32)]
    await until(lambda: sum(task.done() for task in asked) == 26)
    gate.set()
    replies = await asyncio.gather(*asked)
    statuses = [reply.status for reply in replies]
    assert (statuses.count(200), statuses.count(429)) == (6, 26)
    assert all("Retry-After" in reply.headers for reply in replies if reply.status == 429)


async def test_a_deadline_before_the_first_token_is_504(service, backend):
    backend.hold("first")
    for body in (ASKED, {**ASKED, "stream": True}):
        reply = await service.post("/v1/prompt", {**body, "deadline_ms": 50})
        assert (reply.status, reply.error["code"]) == (504, "deadline_exceeded")


async def test_a_deadline_in_the_answer_ends_it_and_says_so(service, backend):
    backend.hold("word 0")
    reply = await service.post("/v1/prompt", {**ASKED, "deadline_ms": 100})
    assert (reply.status, reply.body["finish_reason"]) == (200, "deadline")
    assert reply.body["response"] == "one "


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("step", ["load", "first", "word 0"])
async def test_p37_a_client_that_leaves_stops_the_engine(service, backend, step, stream):
    backend.hold(step)
    asked = asyncio.create_task(service.post("/v1/prompt", {**ASKED, "stream": stream}))
    await until(backend.reached[step].is_set)
    asked.cancel()
    async with asyncio.timeout(2):
        await until(lambda: backend.generating == 0)
        await until(lambda: backend.count("unload") == 1 or step != "load")
    backend.gates.clear()
    assert (await service.post("/v1/prompt", ASKED)).status == 200


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
async def test_p37_a_client_that_leaves_the_queue_is_forgotten(open_service, backend, stream):
    service = await open_service(backend, limits=Limits(max_concurrency=1, max_queue=1))
    gate = backend.hold("first")
    running = asyncio.create_task(service.post("/v1/prompt", ASKED))
    await until(lambda: backend.generating == 1)
    slot = service.manager._fleet.slots["fake", "small"]
    queued = asyncio.create_task(service.post("/v1/prompt", {**ASKED, "stream": stream}))
    await until(lambda: slot.admission.waiting == 1)
    queued.cancel()
    async with asyncio.timeout(2):
        await until(lambda: slot.admission.waiting == 0)
    gate.set()
    assert (await running).status == 200


async def test_running_answers_end_with_an_error_when_the_service_stops(open_service, backend):
    service = await open_service(backend, limits=Limits(drain_s=0))
    backend.hold("word 0")
    stream = asyncio.create_task(service.events("/v1/prompt", ASKED))
    await until(backend.reached["word 0"].is_set)
    await service.manager.close()
    assert [name for name, _ in await stream] == ["chunk", "error"]


async def test_p71_a_thousand_prompts_leave_nothing_behind(service, process):
    await service.post("/v1/prompt", ASKED)
    before = process.num_fds(), len(asyncio.all_tasks())
    memory = process.memory_info().rss
    for number in range(1000):
        await service.post("/v1/prompt", {**ASKED, "stream": number % 2 == 0})
    assert process.memory_info().rss - memory < 30 * 1024**2
    assert (process.num_fds(), len(asyncio.all_tasks())) == before
