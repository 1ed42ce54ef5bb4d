"""Plans over HTTP, and loads that do or do not fit into memory."""

import psutil
import pytest

from orac_core.devices import Machine, Memory, Sensors
from orac_core.testing import FakeDevice
from tests.scripted import NoSensors, ScriptedBackend
from tests.server.conftest import GIB, SCRIPTED

MIB = 1 << 20
SMALL_NEEDS = GIB + GIB // 8 + GIB // 4
LARGE_NEEDS = 3 * GIB + 3 * GIB // 8 + GIB // 4
PROMISED_WITHIN = 32 << 20
"""So many bytes the estimate of a small model may be off."""

PARTS = ("weights", "kv_cache", "compute", "margin", "correction")


async def plan(service, model, **options):
    reply = await service.post("/v1/plan", {"model": model, **options})
    assert reply.status == 200, reply.body
    return reply.body


async def test_a_plan_says_what_is_needed_and_what_there_is(open_board):
    service, backend = await open_board()
    assert await plan(service, "small") == {
        "model": "small",
        "instance": "fake",
        "fits": True,
        "loaded": False,
        "message": "fake/small needs 1.4 GiB (guessed from its size), 4.0 GiB available, 1.0 GiB "
        "of it page cache; it fits",
        "needed": {
            "total_bytes": SMALL_NEEDS,
            "weights_bytes": GIB,
            "kv_cache_bytes": 0,
            "compute_bytes": 0,
            "margin_bytes": SMALL_NEEDS - GIB,
            "correction_bytes": 0,
            "gpu_bytes": GIB,
            "basis": "size",
        },
        "available": {
            "host_bytes": 4 * GIB,
            "gpu_bytes": None,
            "page_cache_bytes": GIB,
            "unified": True,
        },
        "would_evict": [],
        "kept": [],
        "context_length": 4096,
        "proposed_context_length": None,
    }
    assert backend.calls == []


async def test_a_plan_names_who_would_go_and_changes_nothing(open_board):
    service, backend = await open_board()
    await service.post("/v1/models/small/load")
    done = list(backend.calls)
    found = await plan(service, "large")
    (goes,) = found["would_evict"]
    assert 0 <= goes.pop("idle_s") < 60
    assert goes == {"model": "fake/small", "memory_bytes": GIB, "busy": False}
    assert found["fits"] is True
    assert "would evict fake/small (1.0 GiB, idle 0 s)" in found["message"]
    assert backend.calls == done


async def test_a_plan_names_who_stays_and_why(open_board):
    service, _ = await open_board(small={"pinned": True})
    await service.post("/v1/models/small/load")
    found = await plan(service, "large")
    assert (found["fits"], found["would_evict"]) == (False, [])
    assert found["kept"] == [{"model": "fake/small", "memory_bytes": GIB, "reason": "pinned"}]
    assert "fake/small (1.0 GiB) is pinned" in found["message"]


async def test_a_model_that_is_loaded_needs_no_plan_unless_it_is_wanted_otherwise(open_board):
    service, _ = await open_board()
    await service.post("/v1/models/small/load", {"context_length": 256})
    found = await plan(service, "small", context_length=256)
    assert (found["loaded"], found["fits"], found["needed"]) == (True, True, None)
    assert found["message"] == "fake/small is loaded"
    reply = await service.post("/v1/plan", {"model": "small", "context_length": 512})
    assert (reply.status, reply.error["code"]) == (409, "state_conflict")
    assert "context_length 256 instead of 512" in reply.error["message"]


async def test_what_nobody_knows_is_null(open_service, open_board):
    service = await open_service(ScriptedBackend(sizes={"small": GIB}), sensors=NoSensors())
    found = await plan(service, "small")
    assert (found["fits"], found["available"]) == (None, None)
    assert found["needed"]["total_bytes"] == SMALL_NEEDS
    service, _ = await open_board(ScriptedBackend())
    found = await plan(service, "small")
    assert (found["fits"], found["needed"], found["context_length"]) == (None, None, None)
    assert found["available"]["host_bytes"] == 4 * GIB


async def test_a_plan_of_an_unknown_model_is_404(open_board):
    service, _ = await open_board()
    reply = await service.post("/v1/plan", {"model": "nothing"})
    assert (reply.status, reply.error["code"]) == (404, "model_not_found")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("context_length", 0),
        ("gpu_layers", -1),
        ("parallel", 0),
        ("parallel", "2"),
        ("force", True),
    ],
)
async def test_a_plan_that_makes_no_sense_is_400_and_names_the_field(open_board, key, value):
    service, _ = await open_board()
    reply = await service.post("/v1/plan", {"model": "small", key: value})
    assert list(reply.faults) == [key]


async def test_a_load_says_who_had_to_go_and_what_it_was_expected_to_take(open_board):
    service, _ = await open_board()
    await service.post("/v1/models/small/load")
    *progress, (_, done) = await service.events("/v1/models/large/load", {})
    assert done["evicted"] == ["fake/small"]
    told = [data["message"] for _, data in progress if data["stage"] == "evict"]
    assert told == ["unloading fake/small (1.0 GiB)"]
    assert done["memory"]["measured_bytes"] == 3 * GIB
    assert done["memory"]["estimated_bytes"] > 0
    again = (await service.post("/v1/models/large/load")).body
    assert (again["already_loaded"], again["evicted"]) == (True, [])


async def test_a_listing_says_what_a_load_would_take(open_board):
    service, _ = await open_board()
    model = (await service.get("/v1/models/large")).body
    assert model["memory"] == {
        "estimated_bytes": LARGE_NEEDS,
        "measured_bytes": None,
        "on_gpu_ratio": None,
    }


async def test_p43_a_model_that_fits_in_no_way_is_503_with_the_numbers_unless_forced(open_board):
    service, backend = await open_board(small={"pinned": True})
    await service.post("/v1/models/small/load")
    reply = await service.post("/v1/models/large/load")
    assert (reply.status, reply.error["code"]) == (503, "insufficient_memory")
    assert "Retry-After" not in reply.headers
    message = reply.error["message"]
    assert message.startswith("fake/large needs 3.6 GiB")
    assert "3.0 GiB available" in message
    assert (reply.error["needed_bytes"], reply.error["available_bytes"]) == (LARGE_NEEDS, 3 * GIB)
    assert "is pinned" in message
    assert list(backend.loaded) == ["small"]
    prompted = await service.post("/v1/prompt", {"model": "large", "prompt": "hi"})
    assert (prompted.status, prompted.error["code"]) == (503, "insufficient_memory")
    assert (await service.get("/v1/health")).status == 200
    forced = await service.post("/v1/models/large/load", {"force": True})
    assert (forced.status, forced.body["state"]) == (200, "ready")


class Workers(Sensors):
    """Says that there is so much memory for this process's children, and no more."""

    total_bytes = 90 * MIB

    async def look(self):
        children = psutil.Process().children()
        left = self.total_bytes - sum(each.memory_info().rss for each in children)
        return Machine(Memory(self.total_bytes, left, page_cache_bytes=0, unified=True))


async def test_a_real_model_is_planned_from_its_file_and_then_from_what_it_took(
    open_service, tiny_models
):
    service = await open_service(models_dir=tiny_models, sensors=Workers())
    first = await plan(service, "tiny-qwen3-0.6b", context_length=256)
    needed = first["needed"]
    assert (first["fits"], needed["basis"], first["context_length"]) == (True, "estimated", 256)
    assert sum(needed[f"{part}_bytes"] for part in PARTS) == needed["total_bytes"]
    assert 0 < needed["kv_cache_bytes"] < needed["total_bytes"]
    load = {"context_length": 256}
    loaded = (await service.post("/v1/models/tiny-qwen3-0.6b/load", load)).body
    assert loaded["memory"]["measured_bytes"] <= needed["total_bytes"] + PROMISED_WITHIN
    await service.post("/v1/models/tiny-qwen3-0.6b/unload")
    again = await plan(service, "tiny-qwen3-0.6b", context_length=256)
    assert again["needed"]["basis"] == "measured"


async def test_a_real_model_that_does_not_fit_is_told_with_which_context_it_would(
    open_service, tiny_models
):
    service = await open_service(models_dir=tiny_models, sensors=Workers())
    found = await plan(service, "endless", context_length=1 << 20)
    assert (found["fits"], found["context_length"]) == (False, 1 << 20)
    proposed = found["proposed_context_length"]
    assert 0 < proposed < 1 << 20
    assert f"with a context_length of {proposed} it would" in found["message"]
    assert (await plan(service, "endless", context_length=proposed))["fits"] is True
    reply = await service.post("/v1/models/endless/load", {"context_length": 1 << 20})
    assert (reply.status, reply.error["code"]) == (503, "insufficient_memory")
    assert str(proposed) in reply.error["message"]
    loaded = await service.post("/v1/models/endless/load", {"context_length": proposed})
    assert loaded.status == 200


async def test_real_models_that_do_not_fit_together_take_turns(open_service, tiny_models, process):
    service = await open_service(models_dir=tiny_models, sensors=Workers())
    names = ("tiny-qwen3-0.6b", "tiny-pythia", "tiny-qwen3-0.6b")
    prompt = {"prompt": "hello", "options": {"temperature": 0, "max_tokens": 4}}
    answers = [(await service.post("/v1/prompt", {"model": it, **prompt})).body for it in names]
    assert answers[0]["response"] == answers[2]["response"]
    assert len(process.children()) == 1
    states = {it["id"]: it["state"] for it in (await service.get("/v1/models")).body["data"]}
    assert states["tiny-qwen3-0.6b"] == "ready"
    assert states["tiny-pythia"] == "stopped"
    (goes,) = (await plan(service, "tiny-pythia"))["would_evict"]
    assert goes["model"] == "local/tiny-qwen3-0.6b"


async def test_a_service_without_sizes_loads_what_it_is_told(open_service):
    backend = ScriptedBackend()
    sensors = FakeDevice(total_bytes=1, taken_bytes=lambda: 0)
    service = await open_service(backend, manifest=SCRIPTED, sensors=sensors)
    assert (await service.post("/v1/models/small/load")).status == 200
