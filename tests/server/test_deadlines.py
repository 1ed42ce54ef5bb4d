"""``deadline_ms`` ends an answer in time, whatever it waits for."""

import asyncio
from time import perf_counter

import pytest

from orac_core import Limits
from tests.waiting import until

DEADLINE_S = 0.3
ASKED = {"model": "small", "prompt": "hi", "deadline_ms": DEADLINE_S * 1000}


async def timed(asking):
    started = perf_counter()
    reply = await asking
    assert perf_counter() - started == pytest.approx(DEADLINE_S, abs=0.2)
    return reply


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize(
    ("step", "doing"), [("load", "to be loaded"), ("first", "for the first token")]
)
async def test_before_the_first_token_it_is_504_that_says_what_it_waited_for(
    service, backend, step, doing, stream
):
    backend.hold(step)
    reply = await timed(service.post("/v1/prompt", {**ASKED, "stream": stream}))
    assert (reply.status, reply.error["code"]) == (504, "deadline_exceeded")
    assert doing in reply.error["message"]
    await until(lambda: backend.generating == 0)


async def test_in_the_queue_it_is_504_and_the_place_is_free(open_service, backend):
    service = await open_service(backend, limits=Limits(max_concurrency=1))
    gate = backend.hold("first")
    running = asyncio.create_task(service.post("/v1/prompt", {**ASKED, "deadline_ms": 10_000}))
    await until(lambda: backend.generating == 1)
    reply = await timed(service.post("/v1/prompt", ASKED))
    assert reply.status == 504
    assert "in the queue" in reply.error["message"]
    gate.set()
    assert (await running).status == 200


async def test_an_engine_that_hangs_in_an_answer_ends_it_with_what_there_is(service, backend):
    backend.hold("word 1")
    found = await timed(service.events("/v1/prompt", ASKED))
    assert [name for name, _ in found] == ["chunk", "chunk", "done"]
    assert found[-1][1]["finish_reason"] == "deadline"
    assert found[-1][1]["response"] == "one two "
    await until(lambda: backend.generating == 0)
    assert backend.closed_early == 1
