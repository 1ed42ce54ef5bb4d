"""How long models stay loaded, over HTTP, and those that are loaded at the start."""

from datetime import UTC, datetime, timedelta

import pytest

from orac_core import BackendError, ModelFileInvalid
from tests.scripted import ScriptedBackend
from tests.server.conftest import SCRIPTED
from tests.waiting import until

ASKED = {"model": "small", "prompt": "hi"}
ROUTES = [("/v1/prompt", ASKED), ("/v1/models/small/load", {}), ("/v1/models/load", ASKED)]


def manifest(**files):
    return {**SCRIPTED, "models": {"files": files, "retries": 0}}


async def expires_in(service):
    shown = (await service.get("/v1/models/small")).body["expires_at"]
    return shown and datetime.fromisoformat(shown) - datetime.now(UTC)


@pytest.mark.parametrize("route", ["/v1/prompt", "/v1/models/load"])
@pytest.mark.parametrize("span", ["soon", "5 m", "5m x", "1e5"])
async def test_a_keep_alive_that_is_no_span_of_time_is_400_and_names_the_field(
    service, backend, route, span
):
    body = {"model": "small", "keep_alive": span} | ({"prompt": "hi"} if "prompt" in route else {})
    reply = await service.post(route, body)
    assert list(reply.faults) == ["keep_alive"]
    assert reply.error["param"] == "keep_alive"
    assert "write it like 5m, 1h30m, 90 or -1" in reply.error["message"]
    assert backend.calls == []


@pytest.mark.parametrize("span", [True, [], {}, "", "9" * 65, -2, 1e12])
async def test_a_keep_alive_of_a_wrong_kind_or_without_measure_is_400(service, span):
    for route, body in (("/v1/prompt", ASKED), ("/v1/models/small/load", {})):
        reply = await service.post(route, {**body, "keep_alive": span})
        assert list(reply.faults) == ["keep_alive"]


@pytest.mark.parametrize(("span", "seconds"), [("5m", 300), (90, 90), ("90", 90), ("1h30m", 5400)])
async def test_a_load_says_how_long_the_model_stays_and_it_is_seen(service, span, seconds):
    assert (await service.post("/v1/models/small/load", {"keep_alive": span})).status == 200
    left = await expires_in(service)
    assert timedelta(seconds=seconds - 30) < left <= timedelta(seconds=seconds)


@pytest.mark.parametrize("span", [-1, "-1", "-5m", "899999h"])
async def test_below_zero_and_beyond_all_measure_is_for_ever(service, span):
    await service.post("/v1/models/small/load", {"keep_alive": span})
    assert await expires_in(service) is None


async def test_a_prompt_may_say_how_long_its_model_stays_from_then_on(service):
    await service.post("/v1/prompt", {**ASKED, "keep_alive": "10m"})
    assert await expires_in(service) > timedelta(minutes=9)
    await service.post("/v1/models/small/load", {"keep_alive": "20m"})
    assert await expires_in(service) > timedelta(minutes=19)
    await service.post("/v1/prompt", ASKED)
    assert await expires_in(service) > timedelta(minutes=19)


async def test_with_a_keep_alive_of_zero_a_model_goes_right_after_its_answer(service, backend):
    answer = await service.post("/v1/prompt", {**ASKED, "keep_alive": 0})
    assert answer.body["response"] == "one two three"
    await until(lambda: backend.count("unload") == 1)
    assert (await service.get("/v1/models/small")).body["state"] in {"stopping", "stopped"}


async def test_a_pinned_model_is_shown_as_such_and_does_not_expire(open_service, backend):
    service = await open_service(backend, manifest=manifest(small={"pinned": True}))
    for _ in range(2):
        await service.post("/v1/models/small/load", {"keep_alive": "1m"})
        assert await expires_in(service) is None
    await service.post("/v1/prompt", {**ASKED, "keep_alive": "1m"})
    models = (await service.get("/v1/models")).body["data"]
    assert [(it["id"], it["pinned"]) for it in models] == [("small", True), ("large", False)]
    assert await expires_in(service) is None


async def test_the_service_answers_while_a_required_model_is_loaded_at_the_start(open_service):
    backend = ScriptedBackend()
    gate = backend.hold("load")
    wanted = manifest(small={"required": True, "load_at_start": True})
    service = await open_service(backend, manifest=wanted)
    await backend.reached["load"].wait()
    assert (await service.get("/v1/health/live")).status == 200
    assert (await service.get("/v1/models/small")).body["state"] == "starting"
    early = await service.get("/v1/health/ready")
    assert (early.status, early.error["code"]) == (503, "backend_unavailable")
    health = (await service.get("/v1/health")).body
    assert (health["status"], health["starting"]) == ("degraded", ["small"])
    gate.set()
    await service.manager.start.ended()
    assert (await service.get("/v1/health/ready")).status == 200
    health = (await service.get("/v1/health")).body
    assert (health["status"], health["starting"]) == ("healthy", [])


async def test_a_model_that_is_not_required_does_not_keep_the_service_from_being_ready(
    open_service,
):
    backend = ScriptedBackend()
    backend.hold("load")
    service = await open_service(backend, manifest=manifest(small={"load_at_start": True}))
    await backend.reached["load"].wait()
    assert (await service.get("/v1/health/ready")).status == 200


async def test_what_could_not_be_loaded_at_the_start_is_in_health(open_service):
    backend = ScriptedBackend()
    wanted = manifest(gone={"load_at_start": True}, small={"load_at_start": True})
    service = await open_service(backend, manifest=wanted)
    await service.manager.start.ended()
    health = (await service.get("/v1/health")).body
    assert health["models_loaded"] == {"fake/small": True, "fake/large": False}
    (finding,) = health["degradation"]
    assert (finding["kind"], finding["model"]) == ("models not loaded at the start", "gone")
    assert "not found" in finding["message"]


@pytest.mark.parametrize("failure", [BackendError("it broke"), ModelFileInvalid])
async def test_one_that_failed_at_the_start_is_loaded_when_somebody_asks(
    open_service, tmp_path, failure
):
    backend = ScriptedBackend()
    broken = failure if isinstance(failure, Exception) else failure(tmp_path / "x.gguf", "cut")
    backend.failures["load"] = broken
    service = await open_service(backend, manifest=manifest(small={"load_at_start": True}))
    await service.manager.start.ended()
    assert (await service.get("/v1/health")).body["status"] == "degraded"
    backend.failures.clear()
    assert (await service.post("/v1/prompt", ASKED)).status == 200
    assert (await service.get("/v1/health")).body["status"] == "healthy"


async def pinned(service):
    return (await service.get("/v1/models/small")).body["pinned"]


async def test_a_load_may_pin_a_model_until_it_is_unloaded(open_service, backend):
    service = await open_service(backend, manifest={**SCRIPTED, "models": {"keep_alive": "5m"}})
    assert (await service.post("/v1/models/small/load", {"pinned": True})).status == 200
    assert (await pinned(service), await expires_in(service)) == (True, None)
    await service.post("/v1/prompt", {**ASKED, "keep_alive": "1m"})
    assert (await pinned(service), await expires_in(service)) == (True, None)
    await service.post("/v1/models/small/unload")
    await service.post("/v1/models/small/load")
    assert not await pinned(service)
    assert await expires_in(service) is not None


async def test_a_loaded_model_is_pinned_and_unpinned_without_a_load(open_service, backend):
    service = await open_service(backend, manifest={**SCRIPTED, "models": {"keep_alive": "5m"}})
    await service.post("/v1/models/small/load")
    reply = await service.post("/v1/models/small/load", {"pinned": True, "keep_alive": 0})
    assert reply.body["already_loaded"]
    assert (await pinned(service), await expires_in(service)) == (True, None)
    await service.post("/v1/models/small/load", {"pinned": False})
    assert not await pinned(service)
    assert timedelta(minutes=4) < await expires_in(service) <= timedelta(minutes=5)
    assert backend.count("load") == 1


async def test_what_the_manifest_pins_is_not_unpinned_by_a_load(open_service, backend):
    service = await open_service(backend, manifest=manifest(small={"pinned": True}))
    reply = await service.post("/v1/models/small/load", {"pinned": False})
    assert (reply.status, reply.error["code"]) == (409, "state_conflict")
    assert "take `pinned` out" in reply.error["message"]
    assert backend.count("load") == 0
