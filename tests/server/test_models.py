"""Listing, loading and unloading over HTTP."""

import asyncio
import os
from urllib.parse import quote

import pytest

from orac_core import BackendError, BackendUnavailable, Limits, ModelFileInvalid, Rates
from tests.scripted import ScriptedBackend, ScriptedSettings
from tests.waiting import until

FIELDS = {
    "id",
    "object",
    "created",
    "owned_by",
    "instance",
    "kind",
    "state",
    "state_reason",
    "required",
    "pinned",
    "remote",
    "parallel",
    "requests",
    "roles",
    "size_bytes",
    "architecture",
    "parameters",
    "quantization",
    "context_length",
    "memory",
    "speed",
    "savings",
    "expires_at",
    "warning",
    "last_used_at",
    "capabilities",
    "file",
    "adapters",
}
ODD_NAMES = ("load", "unload", "a/b:c", "a/load", "ünï cödé", "100%", "a?b#c", "x..y", "a+b")


async def test_the_list_has_the_form_that_openai_clients_know(service):
    reply = await service.get("/v1/models")
    assert reply.status == 200
    assert reply.body["object"] == "list"
    assert [model["id"] for model in reply.body["data"]] == ["small", "large"]
    for model in reply.body["data"]:
        assert set(model) == FIELDS
        assert model["object"] == "model"
        assert model["owned_by"] == model["instance"] == "fake"
        assert model["kind"] == "scripted"


async def test_what_is_not_known_of_a_model_is_null(service):
    model = (await service.get("/v1/models/small")).body
    memory = {"estimated_bytes": None, "measured_bytes": None, "on_gpu_ratio": None}
    assert model["memory"] == memory
    unknown = ("size_bytes", "parameters", "context_length", "last_used_at", "file")
    assert [model[name] for name in unknown] == [None] * len(unknown)


async def test_a_model_says_how_much_it_does_at_once_and_how_much_is_let_through(service):
    model = (await service.get("/v1/models/small")).body
    assert (model["parallel"], model["requests"]["at_once"]) == (None, 8)
    await service.post("/v1/models/small/load", {"parallel": 12})
    model = (await service.get("/v1/models/small")).body
    assert model["parallel"] == 12
    assert model["requests"] == {"active": 0, "waiting": 0, "at_once": 12}


async def test_created_is_a_number_always_as_openais_clients_take_no_null(service):
    assert (await service.get("/v1/models/small")).body["created"] == 0


async def test_one_model_is_shown_as_the_list_shows_it(service):
    listed = (await service.get("/v1/models")).body["data"]
    assert (await service.get("/v1/models/large")).body == listed[1]
    assert (await service.get("/v1/models/fake/large")).body == listed[1]


async def test_the_time_of_the_last_answer_is_in_iso_8601(service):
    await service.post("/v1/prompt", {"model": "small", "prompt": "hi"})
    shown = (await service.get("/v1/models/small")).body["last_used_at"]
    assert shown.endswith("Z")
    assert shown[10] == "T"


async def test_a_load_answers_when_the_model_is_ready(service, backend):
    reply = await service.post("/v1/models/small/load", {"context_length": 256, "parallel": 3})
    assert reply.status == 200
    assert reply.body.pop("load_ms") > 0
    assert reply.body == {
        "model": "small",
        "instance": "fake",
        "state": "ready",
        "verified": True,
        "applied": {"context_length": 256, "gpu_layers": 0, "parallel": 3, "adapters": []},
        "memory": {"estimated_bytes": None, "measured_bytes": 1000, "on_gpu_ratio": None},
        "already_loaded": False,
        "warning": None,
        "evicted": [],
    }
    assert backend.count("canary") == 1


async def test_an_empty_body_loads_and_unloads_with_the_defaults(service):
    loaded = await service.ask("POST", "/v1/models/small/load")
    unloaded = await service.ask("POST", "/v1/models/small/unload")
    assert (loaded.status, unloaded.status) == (200, 200)
    assert unloaded.body["freed_bytes"] == 1000
    assert unloaded.body["state"] == "stopped"


async def test_p70_loading_and_unloading_again_change_nothing(service, backend):
    first = await service.post("/v1/models/small/load")
    second = await service.post("/v1/models/small/load")
    assert (first.body["already_loaded"], second.body["already_loaded"]) == (False, True)
    assert (await service.post("/v1/models/small/unload")).status == 200
    assert (await service.post("/v1/models/small/unload")).status == 200
    unknown = await service.post("/v1/models/nothing/unload")
    assert (unknown.status, unknown.error["code"]) == (404, "model_not_found")
    assert backend.count("load") == 1


async def test_p69_twenty_loads_at_once_are_one(service, backend):
    gate = backend.hold("load")
    loads = [asyncio.create_task(service.post("/v1/models/small/load")) for _ in range(20)]
    await backend.reached["load"].wait()
    gate.set()
    assert {reply.status for reply in await asyncio.gather(*loads)} == {200}
    assert backend.count("load") == 1


async def test_a_streamed_load_tells_its_progress_and_ends_with_done(service):
    events = await service.events("/v1/models/small/load", {})
    *progress, (last, done) = events
    assert {name for name, _ in progress} == {"progress"}
    told = [data for _, data in progress]
    assert {"stage": "read", "completed": 100, "total": 100, "message": ""} in told
    assert [data["stage"] for _, data in progress][-2:] == ["start", "verify"]
    assert (last, done["state"], done["model"]) == ("done", "ready", "small")


async def test_a_streamed_load_that_fails_ends_with_the_error(service, backend):
    backend.failures["load"] = BackendError("no memory left")
    *_, (last, data) = await service.events("/v1/models/small/load", {})
    assert last == "error"
    assert data["error"]["code"] == "backend_error"
    assert "no memory left" in data["error"]["message"]


async def test_a_streamed_unload_tells_its_progress_and_ends_with_done(service):
    await service.post("/v1/models/small/load")
    (first, progress), (last, done) = await service.events("/v1/models/small/unload", {})
    assert (first, progress["stage"]) == ("progress", "stop")
    assert (last, done["freed_bytes"]) == ("done", 1000)


@pytest.mark.parametrize("action", ["load", "unload"])
async def test_an_unknown_model_is_404_before_any_stream(service, action):
    reply = await service.post(f"/v1/models/nothing/{action}", {"stream": True})
    assert (reply.status, reply.error["code"]) == (404, "model_not_found")
    assert reply.error["param"] == "model"


async def test_an_unload_waits_for_answers_unless_it_is_forced(service, backend):
    backend.hold("word 0")
    prompt = asyncio.create_task(service.post("/v1/prompt", {"model": "small", "prompt": "hi"}))
    await until(lambda: "word 0" in backend.reached and backend.reached["word 0"].is_set())
    waits = asyncio.create_task(service.post("/v1/models/small/unload"))
    forced = await service.post("/v1/models/small/unload", {"force": True})
    assert forced.status == (await waits).status == 200
    answer = await prompt
    assert (answer.status, answer.error["code"]) == (409, "state_conflict")


async def test_a_load_that_is_asked_for_otherwise_is_a_conflict(service):
    await service.post("/v1/models/small/load", {"context_length": 256})
    reply = await service.post("/v1/models/small/load", {"context_length": 512})
    assert (reply.status, reply.error["code"]) == (409, "state_conflict")
    assert "unload it first" in reply.error["message"]


async def test_a_client_that_leaves_gives_up_its_load(service, backend):
    backend.hold("load")
    load = asyncio.create_task(service.post("/v1/models/small/load"))
    await backend.reached["load"].wait()
    load.cancel()
    async with asyncio.timeout(2):
        await until(lambda: backend.count("unload") == 1)


@pytest.mark.parametrize("safe", ["", "/:"], ids=["encoded", "raw"])
@pytest.mark.parametrize("name", ODD_NAMES)
async def test_any_name_works_in_an_address(open_service, name, safe):
    service = await open_service(ScriptedBackend(ScriptedSettings((name, "other"))))
    path = f"/v1/models/{quote(name, safe=safe)}"
    assert (await service.get(path)).body["id"] == name
    assert (await service.post(f"{path}/load")).body["model"] == name
    assert (await service.post(f"{path}/unload")).body["model"] == name


@pytest.mark.parametrize("name", ODD_NAMES)
async def test_any_name_works_in_a_body(open_service, name):
    service = await open_service(ScriptedBackend(ScriptedSettings((name, "other"))))
    assert (await service.post("/v1/models/load", {"model": name})).body["model"] == name
    assert (await service.post("/v1/models/unload", {"model": name})).body["model"] == name


@pytest.mark.parametrize(
    "name",
    ["%00", "..", "%2e%2e%2f%2e%2e%2fetc%2fpasswd", "%ff%fe", "%zz", "a%0d%0ab", "%F0%9F%A4%96"],
)
async def test_a_name_of_nothing_is_404_whatever_is_in_it(service, name):
    reply = await service.raw(
        f"POST /v1/models/x{name}/load HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".encode()
    )
    assert reply.startswith(b"HTTP/1.1 404 ")
    assert b'"code":"model_not_found"' in reply


async def test_p17_an_absent_model_gets_the_same_words_whatever_exists_outside(
    open_service, tmp_path
):
    outside = tmp_path / "outside.gguf"
    outside.write_bytes(b"secret")
    (tmp_path / "models").mkdir()
    service = await open_service(models_dir=tmp_path / "models")
    replies = [
        await service.post("/v1/models/load", {"model": name})
        for name in ("../outside", "../nothing", str(outside), "/etc/passwd")
    ]
    assert {(reply.status, reply.error["code"]) for reply in replies} == {(404, "model_not_found")}
    texts = {reply.error["message"].partition("' ")[2] for reply in replies}
    assert len(texts) == 1


async def test_a_broken_file_is_422(service, backend, tmp_path):
    backend.failures["load"] = ModelFileInvalid(tmp_path / "small.gguf", "truncated")
    reply = await service.post("/v1/models/small/load")
    assert (reply.status, reply.error["code"]) == (422, "model_file_invalid")
    assert reply.error["message"] == "small.gguf: truncated"


async def test_p38_a_backend_that_is_down_is_503_with_an_estimate(service, backend):
    backend.down = True
    reply = await service.post("/v1/models/small/load")
    assert (reply.status, reply.error["code"]) == (503, "backend_unavailable")
    assert int(reply.headers["Retry-After"]) >= 1
    assert (await service.get("/v1/models")).body["data"] == []


async def test_a_plugin_that_raises_what_it_likes_is_502(service, backend):
    backend.failures["load"] = ZeroDivisionError("oh")
    reply = await service.post("/v1/models/small/load")
    assert (reply.status, reply.error["code"]) == (502, "backend_error")
    backend.failures["load"] = BackendUnavailable("gone")
    assert (await service.post("/v1/models/small/load")).status == 503


async def test_a_file_whose_name_is_no_unicode_stops_nothing(open_service, tmp_path):
    (tmp_path / os.fsdecode(b"bad\xff.gguf")).write_bytes(b"GGUF")
    service = await open_service(models_dir=tmp_path)
    (model,) = (await service.get("/v1/models")).body["data"]
    assert model["state"] == "failed"
    assert (await service.get("/v1/health")).status == 200


async def test_a_service_that_closes_takes_no_new_work(open_service, backend):
    service = await open_service(backend, limits=Limits(drain_s=0))
    await service.manager.close()
    reply = await service.post("/v1/models/small/load")
    assert (reply.status, reply.error["code"]) == (503, "shutting_down")
    assert reply.headers["Retry-After"] == "1"


async def test_the_speed_of_a_loaded_model_is_told_with_what_is_usual(open_service, backend):
    backend.rates = Rates(decode_tokens_per_second=40.0)
    backend.words = ("word ",) * 40
    service = await open_service(backend)
    speed = (await service.get("/v1/models/small")).body["speed"]
    assert speed == {"baseline_tokens_per_second": None, "recent_tokens_per_second": []}
    await service.post("/v1/prompt", {"model": "small", "prompt": "hi"})
    speed = (await service.get("/v1/models/small")).body["speed"]
    assert speed["recent_tokens_per_second"] == [40.0]
