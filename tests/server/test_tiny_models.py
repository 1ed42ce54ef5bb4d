"""The way of a user, through HTTP, with the real llama.cpp and a model of each architecture."""

import asyncio
import json

import pytest

from tests.server.serving import events
from tests.tiny_models import TINY_MODELS
from tests.waiting import until

SCHEMA = {
    "type": "object",
    "properties": {"go": {"type": "boolean"}},
    "required": ["go"],
    "additionalProperties": False,
}
GREEDY = {"temperature": 0, "max_tokens": 8}


@pytest.mark.parametrize("model", TINY_MODELS, ids=lambda model: model.name)
async def test_each_architecture_loads_answers_streams_and_unloads(tiny_service, model):
    path = f"/v1/models/{model.name}"
    asked = {"model": model.name, "prompt": "hello", "options": GREEDY}

    listed = (await tiny_service.get(path)).body
    assert (listed["state"], listed["architecture"]) == ("stopped", model.architecture)
    assert (listed["quantization"], listed["context_length"]) == ("F16", model.context_length)
    assert listed["file"]["path"].endswith(f"{model.name}.gguf")

    *progress, (last, loaded) = await tiny_service.events(f"{path}/load", {})
    assert [data["stage"] for _, data in progress][-1] == "verify"
    assert (last, loaded["state"], loaded["verified"]) == ("done", "ready", True)
    assert (await tiny_service.get(path)).body["memory"]["measured_bytes"] > 0

    answer = (await tiny_service.post("/v1/prompt", asked)).body
    assert answer["response"]
    assert answer["usage"]["completion_tokens"] <= 8
    assert answer["timings"]["decode_tokens_per_second"] > 0

    *chunks, (last, done) = await tiny_service.events("/v1/prompt", asked)
    assert last == "done"
    assert "".join(data["text"] for _, data in chunks) == done["response"]

    options = {"temperature": 0, "max_tokens": 400}
    formatted = {**asked, "format": SCHEMA, "options": options}
    answer = (await tiny_service.post("/v1/prompt", formatted)).body
    assert (answer["format_valid"], answer["finish_reason"]) == (True, "stop")
    assert isinstance(json.loads(answer["response"])["go"], bool)

    unloaded = await tiny_service.post(f"{path}/unload")
    assert unloaded.body["freed_bytes"] > 0
    assert (await tiny_service.get(path)).body["state"] == "stopped"


async def test_p69_twenty_loads_at_once_start_one_process(tiny_service, process):
    loads = [tiny_service.post("/v1/models/tiny-phi2/load") for _ in range(20)]
    replies = await asyncio.gather(*loads)
    assert {reply.status for reply in replies} == {200}
    assert len(process.children()) == 1


async def test_p70_unloading_gives_the_process_back(tiny_service, process):
    assert (await tiny_service.post("/v1/models/tiny-phi2/unload")).status == 200
    assert (await tiny_service.post("/v1/models/tiny-phi2/load")).status == 200
    assert (await tiny_service.post("/v1/models/tiny-phi2/load")).body["already_loaded"]
    assert (await tiny_service.post("/v1/models/tiny-phi2/unload")).status == 200
    assert process.children() == []
    assert (await tiny_service.post("/v1/models/nothing/unload")).status == 404


async def test_p37_a_client_that_leaves_makes_room_for_the_next(tiny_service):
    """The engine has two places; four endless answers whose clients left keep none of them."""
    options = {"temperature": 0, "max_tokens": 1_000_000}
    endless = {"model": "endless", "prompt": "hello", "options": options}
    await tiny_service.post("/v1/models/endless/load", {"context_length": 65_536})
    slot = tiny_service.manager._fleet.slots["local", "endless"]
    for _ in range(4):
        async with tiny_service.session.post(
            "/v1/prompt", json={**endless, "stream": True}
        ) as response:
            await response.content.readline()
            response.close()
        await until(lambda: not slot.busy, within_s=2)
    short = {**endless, "options": GREEDY}
    assert (await tiny_service.post("/v1/prompt", short)).status == 200


async def test_a_worker_killed_in_mid_answer_ends_the_stream_and_the_next_prompt_loads_it_again(
    tiny_service, process
):
    options = {"temperature": 0, "max_tokens": 1_000_000}
    endless = {"model": "endless", "prompt": "hello", "options": options}
    await tiny_service.post("/v1/models/endless/load", {"context_length": 65_536})
    async with tiny_service.session.post("/v1/prompt", json={**endless, "stream": True}) as reply:
        received = await reply.content.readline()
        process.children()[0].kill()
        received += await reply.content.read()
    kinds = [name for name, _ in events(received)]
    assert kinds[-1] == "error"
    assert "done" not in kinds
    state = (await tiny_service.get("/v1/models/endless")).body
    assert state["state"] == "failed"
    assert "SIGKILL" in state["state_reason"]
    again = await tiny_service.post("/v1/prompt", {**endless, "options": GREEDY})
    assert (again.status, again.body["finish_reason"]) == (200, "length")


async def test_p71_prompts_to_the_real_engine_leave_nothing_behind(tiny_service, process):
    asked = {"model": "tiny-phi2", "prompt": "hello", "options": {"max_tokens": 2}}
    for _ in range(20):
        await tiny_service.post("/v1/prompt", asked)
    before = process.num_fds(), len(asyncio.all_tasks())
    memory = process.memory_info().rss
    for number in range(100):
        reply = await tiny_service.post("/v1/prompt", {**asked, "stream": number % 2 == 0})
        assert reply.status == 200
    assert process.memory_info().rss - memory < 30 * 1024**2
    assert (process.num_fds(), len(asyncio.all_tasks())) == before
