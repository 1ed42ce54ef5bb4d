"""P75: a model that becomes slow is noticed and explained; one that merely varies is not."""

import logging
import random

import pytest

from orac_core import Rates
from tests.scripted import ScriptedBackend
from tests.waiting import until

PROMPT = {"model": "small", "prompt": "hi"}
WORDS = tuple(f"word{number} " for number in range(12))
USUAL = 37.0


@pytest.fixture
def backend():
    return ScriptedBackend(words=WORDS, rates=Rates(None, USUAL), on_gpu_ratio=1.0)


async def ask(service, backend, rate, times=1):
    for _ in range(times):
        backend.rates = Rates(None, rate)
        assert (await service.post("/v1/prompt", PROMPT)).status == 200


async def reload(service):
    assert (await service.post("/v1/models/small/unload")).status == 200
    assert (await service.post("/v1/models/small/load")).status == 200


async def told(service):
    """The findings of health about slow models."""
    listed = (await service.get("/v1/health")).body["degradation"]
    return [each["message"] for each in listed if each["model"] == "fake/small"]


@pytest.mark.parametrize(("slower_by", "share"), [(0.5, "50%"), (0.86, "14%")])
async def test_p75_a_model_that_is_slow_after_three_reloads_is_told_with_factor_and_cause(
    service, backend, slower_by, share, caplog
):
    await ask(service, backend, USUAL, times=6)
    for _ in range(3):
        await reload(service)
        await ask(service, backend, USUAL)
    assert await told(service) == []
    backend.on_gpu_ratio = 0.3
    await reload(service)
    with caplog.at_level(logging.WARNING, "orac.serving"):
        await ask(service, backend, USUAL * (1 - slower_by), times=5)
    await until(lambda: bool(caplog.records))
    (message,) = await told(service)
    assert f"where it had 37.0 ({share})" in message
    assert "30% of it is on the GPU, where 100% was" in message
    assert "load it again" in message
    assert [record.name for record in caplog.records].count("orac.serving") == 1
    assert (await service.get("/v1/health")).body["status"] == "degraded"


async def test_a_model_that_recovers_is_well_again(service, backend):
    await ask(service, backend, USUAL, times=6)
    await ask(service, backend, USUAL / 4, times=5)
    assert len(await told(service)) == 1
    await ask(service, backend, USUAL, times=3)
    assert await told(service) == []


@pytest.mark.parametrize("seed", range(3))
async def test_p75_noise_of_five_percent_is_no_alarm_in_200_answers(service, backend, seed):
    noise = random.Random(seed)
    for number in range(200):
        await ask(service, backend, noise.gauss(USUAL, USUAL * 0.05))
        if number % 20 == 0:
            assert await told(service) == [], f"seed {seed}"


async def test_answers_at_the_same_time_are_not_compared(service, backend):
    await ask(service, backend, USUAL, times=6)
    watch = service.manager._fleet.watch
    with watch.answering():
        await ask(service, backend, USUAL / 10, times=5)
    assert await told(service) == []
