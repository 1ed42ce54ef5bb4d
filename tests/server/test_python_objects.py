"""Objects of the user's own over HTTP: asked like every model, and never named by a request."""

from contextlib import AsyncExitStack

import pytest

import orac_core
from orac_backends import python
from orac_core import Plugins
from orac_core.manifest import parse
from tests.scripted import NoSensors
from tests.server.published import published
from tests.server.serving import service as serving

HERE = "tests.backends.python_objects"
TABLES = {
    "words": {"loader": f"{HERE}:shapes", "kwargs": {"shape": "generator"}},
    "whisper": {"loader": f"{HERE}:speech", "kwargs": {"language": "hush"}},
    "model": {"loader": f"{HERE}:model"},
    "broken": {"loader": f"{HERE}:broken"},
    "later": {"loader": f"{HERE}:answers", "kwargs": {"what": "breaks_off"}},
}


@pytest.fixture
async def service():
    plugins = Plugins()
    plugins.register("python", python)
    data = {
        "backends": {"mine": {"kind": "python", "models": TABLES}},
        "models": {"files": {"broken": {"required": True}}},
    }
    async with AsyncExitStack() as stack:
        opening = orac_core.open(
            parse(data, "a test"), plugins=plugins, environ={}, sensors=NoSensors()
        )
        manager = await stack.enter_async_context(opening)
        yield await stack.enter_async_context(serving(manager))


async def test_an_object_answers_a_prompt_and_streams_it(service):
    reply = await service.post("/v1/prompt", {"model": "words", "prompt": "Hello"})
    assert (reply.status, reply.body["response"]) == (200, "one two three")
    events = await service.events("/v1/prompt", {"model": "words", "prompt": "Hello"})
    assert [data["text"] for name, data in events if name == "chunk"] == ["one ", "two ", "three"]
    assert events[-1][0] == "done"


async def test_an_object_answers_clients_of_openai(service):
    body = {"model": "model", "messages": [{"role": "user", "content": "Hello"}]}
    reply = await service.post("/v1/chat/completions", body)
    assert reply.body["choices"][0]["message"]["content"] == "Hello"
    frames = await service.frames("/v1/chat/completions", body)
    assert frames[-1] == "[DONE]"
    vectors = await service.post("/v1/embeddings", {"model": "model", "input": ["ab"]})
    assert vectors.body["data"][0]["embedding"] == [1.0, 0.0]


async def test_an_answer_that_breaks_off_ends_in_an_error(service):
    events = await service.events("/v1/prompt", {"model": "later", "prompt": "Hello"})
    assert events[-1][0] == "error"
    assert "LookupError: no more" in events[-1][1]["error"]["message"]


async def test_objects_are_loaded_and_listed_like_every_model(service):
    loaded = await service.post("/v1/models/mine/whisper/load")
    assert (loaded.status, loaded.body["state"]) == (200, "ready")
    listed = {each["id"]: each for each in (await service.get("/v1/models")).body["data"]}
    assert set(listed) == set(TABLES)
    assert (listed["whisper"]["kind"], listed["whisper"]["capabilities"]) == ("python", [])
    assert "hush" not in str(listed)
    unloaded = await service.post("/v1/models/whisper/unload")
    assert unloaded.body["state"] == "stopped"


async def test_a_required_object_that_can_not_be_loaded_is_unhealthy(service):
    reply = await service.post("/v1/models/broken/load")
    assert (reply.status, reply.error["code"]) == (502, "backend_error")
    assert "ValueError: no such device" in reply.error["message"]
    health = await service.get("/v1/health")
    assert (health.status, health.body["status"]) == (503, "unhealthy")
    assert "no such device" in health.body["errors"]["mine/broken"]


@pytest.mark.parametrize("name", ["os:getcwd", f"{HERE}:speech", f"mine/{HERE}:speech"])
async def test_no_request_can_name_a_loader_as_a_model(service, name):
    for path, body in (
        ("/v1/prompt", {"model": name, "prompt": "Hello"}),
        ("/v1/models/load", {"model": name}),
        ("/v1/embeddings", {"model": name, "input": "a"}),
        ("/v1/completions", {"model": name, "prompt": "Hello"}),
    ):
        assert (await service.post(path, body)).status == 404


async def test_no_request_can_bring_a_loader_along(service):
    body = {"model": "whisper", "loader": "os:getcwd"}
    assert "loader" in (await service.post("/v1/models/load", body)).faults
    assert "'loader'" not in str(published())
