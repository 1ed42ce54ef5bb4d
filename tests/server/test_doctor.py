"""P74 to P76: why a model is slow, over HTTP: diagnosis, experiment and remedies."""

import asyncio
import random

import pytest

from orac_core import Rates
from orac_core.serving.canaries import TOKENS
from tests.server.slow_board import GIB, SIZE, TOTAL, USUAL, BoardSensors
from tests.waiting import until

DOCTOR = "/v1/doctor/degradation"
PROMPT = {"model": "small", "prompt": "hi"}
MANIFEST = {
    "backends": {"fake": {"kind": "scripted"}},
    "models": {"canaries": False},  # those after a load come by themselves, at their own time
}
LOOKED_AT = {
    *("model", "instance", "healthy", "ratio", "ci95", "baseline_tokens_per_second"),
    *("tokens_per_second", "summary", "findings", "experiment", "remedy"),
}


pytestmark = pytest.mark.usefixtures("memory_is_back_at_once")


@pytest.fixture
async def clinic(open_service, board):
    return await open_service(board, manifest=MANIFEST, sensors=BoardSensors(board=board))


async def ask(service, times=6):
    for _ in range(times):
        assert (await service.post("/v1/prompt", PROMPT)).status == 200


async def reload(service, times=3):
    for _ in range(times):
        assert (await service.post("/v1/models/small/unload")).status == 200
        assert (await service.post("/v1/models/small/load")).status == 200


async def diagnosed(service, **options):
    reply = await service.post(DOCTOR, {"model": "small", **options})
    assert reply.status == 200, reply.body
    return reply.body


async def health(service):
    listed = (await service.get("/v1/health")).body["degradation"]
    return [each for each in listed if each["model"] == "fake/small"]


async def slow_by_late_memory(service, board):
    """Load the model while memory of the one before is still on its way back."""
    await ask(service)
    board.late = True
    await reload(service)
    assert board.on_gpu_ratio == 0.3


@pytest.mark.parametrize("slower_by", [0.5, 0.86])
async def test_p75_what_is_slow_after_three_reloads_is_told_with_factor_and_cause(
    clinic, board, slower_by
):
    board.slower_by = slower_by
    await ask(clinic)
    await reload(clinic, times=2)
    assert (await diagnosed(clinic))["healthy"] is True
    board.cache = TOTAL - SIZE // 2
    await reload(clinic, times=1)
    await ask(clinic, times=5)
    found = await diagnosed(clinic)
    assert set(found) == LOOKED_AT
    assert (found["model"], found["instance"], found["healthy"]) == ("small", "fake", False)
    assert found["ratio"] == pytest.approx(1 - slower_by)
    assert found["ci95"][0] <= found["ratio"] <= found["ci95"][1]
    assert found["baseline_tokens_per_second"] == USUAL
    assert found["tokens_per_second"] == pytest.approx(USUAL * (1 - slower_by))
    first = found["findings"][0]
    assert first["cause"] == "page_cache"
    assert "50% of it is on the GPU, where 100% was" in first["evidence"]
    assert "drop_caches" in first["command"]
    assert first["reversible"] is True
    assert "likely page cache" in found["summary"]


async def test_the_health_of_a_slow_model_has_its_causes(clinic, board):
    await ask(clinic)
    board.cache = TOTAL - SIZE // 2
    await reload(clinic, times=1)
    await ask(clinic, times=5)
    await until(lambda: clinic.manager.clinic.diagnoses != {})
    (entry,) = await health(clinic)
    assert entry["kind"] == "models served worse than they could be"
    assert [each["cause"] for each in entry["findings"]] == ["page_cache"]
    assert entry["findings"][0]["evidence"][0] in entry["message"]


@pytest.mark.parametrize("seed", range(3))
async def test_p75_noise_of_five_percent_is_no_alarm_in_200_answers(clinic, board, seed):
    noise = random.Random(seed)
    await clinic.post("/v1/models/small/load")
    for number in range(200):
        board.rates = Rates(None, noise.gauss(USUAL, USUAL * 0.05))
        await ask(clinic, times=1)
        if number > 20 and number % 60 == 0:
            found = await diagnosed(clinic)
            assert (found["healthy"], found["findings"]) == (True, []), f"seed {seed}"
            assert await health(clinic) == [], f"seed {seed}"


async def test_a_diagnosis_asks_once_to_warm_up_and_five_times(clinic, board):
    await clinic.post("/v1/models/small/load")
    found = await diagnosed(clinic)
    assert board.count("generate") == 6
    assert (found["healthy"], found["ratio"], found["findings"]) == (None, None, [])
    assert found["tokens_per_second"] == USUAL
    assert "nothing to compare with" in found["summary"]


async def test_a_diagnosis_asks_nothing_while_somebody_else_is_answered(clinic, board):
    await ask(clinic)
    gate = board.hold("first")
    asking = asyncio.create_task(ask(clinic, times=1))
    await board.reached["first"].wait()
    before = board.count("generate")
    found = await diagnosed(clinic)
    assert board.count("generate") == before
    assert (found["healthy"], found["tokens_per_second"]) == (True, USUAL)
    gate.set()
    await asking


async def test_a_diagnosis_makes_way_for_whoever_comes(clinic, board):
    await ask(clinic)
    gate = board.hold(f"word {TOKENS - 1}")
    looking = asyncio.create_task(diagnosed(clinic))
    await board.reached[f"word {TOKENS - 1}"].wait()
    assert board.generating == 1
    coming = asyncio.create_task(ask(clinic, times=1))
    found = await looking
    assert board.closed_early == 1
    assert found["healthy"] is True
    gate.set()
    await coming


async def test_two_diagnoses_at_once_are_made_one_after_the_other(clinic, board):
    await ask(clinic)
    before = board.count("generate")
    found = await asyncio.gather(diagnosed(clinic), diagnosed(clinic))
    assert [each["healthy"] for each in found] == [True, True]
    assert board.count("generate") == before + 12


@pytest.mark.parametrize("options", [{}, {"experiment": True}, {"remedy": True}])
async def test_what_is_not_loaded_has_to_be_loaded_first(clinic, options):
    reply = await clinic.post(DOCTOR, {"model": "small", **options})
    assert (reply.status, reply.error["code"]) == (409, "state_conflict")
    assert "load it first: `orac load fake/small`" in reply.error["message"]
    assert "Retry-After" not in reply.headers


async def test_what_is_not_there_is_not_found(clinic):
    reply = await clinic.post(DOCTOR, {"model": "gone"})
    assert (reply.status, reply.error["code"]) == (404, "model_not_found")


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({}, "model"),
        ({"model": "small", "experimnt": True}, "experimnt"),
        ({"model": "small", "experiment": True, "cycles": 0}, "cycles"),
        ({"model": "small", "cycles": 3}, "cycles"),
        ({"model": "small", "experiment": True, "remedy": True}, "remedy"),
        ({"model": "small", "forget": True, "remedy": True}, "forget"),
    ],
)
async def test_a_body_that_makes_no_sense_is_refused(clinic, body, path):
    assert path in (await clinic.post(DOCTOR, body)).faults


async def test_a_slow_model_whose_usual_speed_is_forgotten_is_slow_no_more(clinic, board):
    await slow_by_late_memory(clinic, board)
    await ask(clinic)
    assert (await diagnosed(clinic))["healthy"] is False
    found = await diagnosed(clinic, forget=True)
    assert (found["healthy"], found["baseline_tokens_per_second"]) == (None, None)
    assert await health(clinic) == []


async def test_an_engine_that_does_not_answer_is_told(clinic, board):
    await ask(clinic)
    board.failures["first"] = RuntimeError("the engine is confused")
    reply = await clinic.post(DOCTOR, {"model": "small"})
    assert (reply.status, reply.error["code"]) == (502, "backend_error")


async def test_an_experiment_finds_the_step_that_cures(clinic, board):
    await slow_by_late_memory(clinic, board)
    found = await diagnosed(clinic, experiment=True, cycles=2)
    assert (found["healthy"], found["remedy"]) == (False, None)
    steps = found["experiment"]["steps"]
    names = ["as_found", "repeat", "cycle", "cycle", "fresh", "cache_given_back", "all_layers"]
    assert [each["name"] for each in steps] == names
    slow, fresh = USUAL * 0.14, steps[4]
    rates = [each["tokens_per_second"]["p50"] for each in steps[:5]]
    assert rates == pytest.approx([slow] * 4 + [USUAL])
    assert set(fresh["tokens_per_second"]) == {"p50", "ci95", "n"}
    assert (fresh["tokens_per_second"]["n"], fresh["on_gpu_ratio"]) == (5, 1.0)
    assert (fresh["changed"], steps[3]["changed"]) == (True, False)
    assert (fresh["former_ratio"], fresh["baseline_ratio"]) == pytest.approx((1 / 0.14, 1.0))
    assert steps[5]["error"] == "the model's files can not be read here"
    assert steps[6]["error"] == "all of it is on the GPU already"
    assert found["experiment"]["cause"] == "memory_late"
    assert found["experiment"]["cure"] == "fresh"
    assert "it has to be loaded when the memory is back" in found["experiment"]["conclusion"]
    assert (found["experiment"]["ended"], found["experiment"]["trouble"]) == ("completed", None)
    assert "small" in board.loaded


async def test_an_experiment_that_only_forced_layers_cure_shows_the_page_cache(clinic, board):
    await ask(clinic)
    board.cache = TOTAL - SIZE // 2
    await reload(clinic, times=1)
    experiment = (await diagnosed(clinic, experiment=True, cycles=1))["experiment"]
    assert (experiment["cure"], experiment["cause"]) == ("all_layers", "page_cache")
    assert [each["cause"] for each in experiment["findings"]] == ["page_cache"]
    assert "only 2.0 GiB free: the rest is page cache" in experiment["conclusion"]
    assert board.loaded["small"].gpu_layers is None


async def test_an_experiment_tells_how_far_it_is(clinic, board):
    await slow_by_late_memory(clinic, board)
    body = {"model": "small", "experiment": True, "cycles": 1}
    *told, (name, found) = await clinic.events(DOCTOR, body)
    assert name == "done"
    assert set(found) == LOOKED_AT
    assert {name for name, _ in told} == {"progress"}
    assert {frozenset(data) for _, data in told} == {
        frozenset({"stage", "completed", "total", "message", "result"})
    }
    begun = [data for _, data in told if data["result"] is None]
    assert [each["completed"] for each in begun] == list(range(6))
    assert {each["total"] for each in begun} == {6}
    done = [data["result"] for _, data in told if data["result"] is not None]
    assert done == found["experiment"]["steps"]


async def test_remedies_keep_what_works(clinic, board):
    await slow_by_late_memory(clinic, board)
    found = await diagnosed(clinic, remedy=True)
    remedy = found["remedy"]
    assert [each["cause"] for each in found["findings"]] == ["memory_late"]
    assert [each["name"] for each in remedy["tried"]] == ["reload_when_memory_is_back"]
    assert (remedy["tried"][0]["worked"], remedy["cured"]) == (True, True)
    assert remedy["kept"] == ["reload_when_memory_is_back"]
    assert remedy["before_tokens_per_second"]["p50"] == pytest.approx(USUAL * 0.14)
    assert remedy["tried"][0]["tokens_per_second"]["p50"] == USUAL
    assert [each["cause"] for each in remedy["advice"]] == ["memory_late"]
    assert (await diagnosed(clinic))["healthy"] is True


async def test_a_healthy_model_needs_no_remedy(clinic, board):
    await ask(clinic)
    found = await diagnosed(clinic, remedy=True)
    assert found["healthy"] is True
    assert (found["remedy"]["tried"], found["remedy"]["cured"]) == ([], True)
    assert board.count("load") == 1


async def begun(service, board, stage):
    """Begin an experiment and return its client once *stage* is under way, and what holds that."""
    gate = board.hold(stage)
    body = {"model": "small", "experiment": True}
    client = asyncio.create_task(service.events(DOCTOR, body))
    await board.reached[stage].wait()
    return client, gate


async def test_nobody_else_gets_a_model_that_is_being_examined(clinic, board):
    await ask(clinic)
    await clinic.post("/v1/models/large/load")
    client, gate = await begun(clinic, board, "unload")
    for path, body in {
        "/v1/prompt": PROMPT,
        "/v1/models/small/load": {},
        "/v1/models/small/unload": {},
        DOCTOR: {"model": "small"},
    }.items():
        reply = await clinic.post(path, body)
        assert (reply.status, reply.error["code"]) == (409, "state_conflict"), path
        assert "fake/small is being examined" in reply.error["message"]
        assert int(reply.headers["Retry-After"]) >= 1
    second = await clinic.post(DOCTOR, {"model": "large", "experiment": True})
    assert second.status == 409
    assert "fake/small is being examined, and one model at a time can be" in second.error["message"]
    assert (await clinic.post("/v1/prompt", {**PROMPT, "model": "large"})).status == 200
    gate.set()
    assert (await client)[-1][0] == "done"
    assert (await clinic.post("/v1/prompt", PROMPT)).status == 200


async def test_an_experiment_begins_when_running_answers_have_ended(clinic, board):
    await ask(clinic)
    gate = board.hold("word 3")
    asking = asyncio.create_task(ask(clinic, times=1))
    await board.reached["word 3"].wait()
    examining = asyncio.create_task(diagnosed(clinic, experiment=True))
    await until(lambda: clinic.manager._fleet.ward.patient is not None)
    assert board.generating == 1
    gate.set()
    await asking
    assert (await examining)["experiment"]["ended"] == "completed"


@pytest.mark.parametrize("stage", ["unload", "load", "first"])
async def test_an_experiment_whose_client_leaves_leaves_the_model_as_it_was_found(
    clinic, board, stage
):
    setup = {"context_length": 256, "gpu_layers": 7, "keep_alive": 600}
    await clinic.post("/v1/models/small/load", setup)
    await ask(clinic)
    client, gate = await begun(clinic, board, stage)
    client.cancel()
    await asyncio.wait([client])
    gate.set()
    await until(lambda: clinic.manager._fleet.ward.patient is None)
    request = board.loaded["small"]
    assert (request.context_length, request.gpu_layers) == (256, 7)
    assert board.generating == 0
    shown = (await clinic.get("/v1/models/small")).body
    assert shown["state"] == "ready"
    assert shown["expires_at"] is not None
    assert (await clinic.post("/v1/prompt", PROMPT)).status == 200


async def test_a_model_does_not_expire_while_it_is_examined_and_goes_on_to_afterwards(
    clinic, board
):
    await clinic.post("/v1/models/small/load", {"keep_alive": 60})
    slot = clinic.manager._fleet.slots["fake", "small"]
    client, gate = await begun(clinic, board, "first")
    slot._expire()
    assert slot.state == "ready"
    gate.set()
    assert (await client)[-1][0] == "done"
    assert slot.lifetime.expires_at is not None
    assert slot.lifetime.keep_s == 60


async def test_no_other_model_drives_out_one_that_is_examined(clinic, board):
    await ask(clinic)
    board.sizes["large"] = 11 * GIB
    client, gate = await begun(clinic, board, "first")
    reply = await clinic.post("/v1/models/large/load")
    assert (reply.status, reply.error["code"]) == (503, "insufficient_memory")
    assert "being examined" in reply.error["message"]
    gate.set()
    await client


async def test_a_service_that_stops_ends_an_experiment(clinic, board):
    await ask(clinic)
    client, gate = await begun(clinic, board, "first")
    closing = asyncio.create_task(clinic.manager.close(drain_s=0))
    gate.set()
    await closing
    assert (await client)[-1][0] in {"done", "error"}
