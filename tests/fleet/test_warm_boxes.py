"""A role that prefers whichever box has its model loaded: boxes work, die and come back."""

import asyncio
from collections import Counter
from contextlib import AsyncExitStack

import aiohttp
import pytest

import orac_core
from orac_core import Answer, BackendError, LoadRequest
from orac_core.manifest import parse
from tests.backends.driving import chat
from tests.boxes import ADMIN, TOKENS, Box, front, python_models
from tests.scripted import NoSensors
from tests.waiting import until

WORDS = {"kwargs": {"count": 20, "word_s": 0.02}}
REQUESTS = 48
QUICK = {"breaker_pause": "200ms", "breaker_failures": 2, "max_concurrency": 16}


@pytest.fixture(scope="module")
def boxes(tmp_path_factory):
    made = [
        Box(tmp_path_factory.mktemp(name), python_models(words=WORDS), TOKENS)
        for name in ("one", "two")
    ]
    for each in made:
        each.manifest["server"] = {"max_concurrency": 64}
    asyncio.run(started(made))
    yield made
    asyncio.run(stopped(made))


async def started(boxes):
    await asyncio.gather(*(each.start() for each in boxes))


async def stopped(boxes):
    await asyncio.gather(*(each.stop() for each in boxes))


@pytest.fixture
async def manager(boxes, tmp_path):
    (tmp_path / "admin").write_text(ADMIN)
    key = str(tmp_path / "admin")
    async with AsyncExitStack() as stack:
        data = {**front(*boxes, key_file=key), "server": QUICK}
        opening = orac_core.open(parse(data, "a test"), environ={}, sensors=NoSensors())
        manager = await stack.enter_async_context(opening)
        manager._replies.warm.every_s = 0.1
        for each in await manager.models():
            await manager.unload(f"{each.instance}/words", force=True)
        yield manager


async def by(manager, **options) -> str:
    answer = await manager.answer(chat("talk", **options))
    assert (answer.role, answer.served_by_fallback) == ("talk", False)
    return answer.instance


async def test_the_box_that_has_it_loaded_answers_and_busy_boxes_share(manager):
    await manager.load(LoadRequest("box2/words"))
    assert {await by(manager, max_tokens=1) for _ in range(3)} == {"box2"}
    await manager.load(LoadRequest("box1/words"))
    assert await by(manager, max_tokens=1) == "box1"
    shared = Counter(await asyncio.gather(*(by(manager) for _ in range(10))))
    assert shared == {"box1": 5, "box2": 5}
    await manager.unload("box1/words")
    assert await by(manager, max_tokens=1) == "box2"


async def test_a_model_that_somebody_else_loads_or_asks_there_is_noticed(manager, boxes):
    await manager.load(LoadRequest("box2/words"))
    headers = {"Authorization": f"Bearer {ADMIN}"}
    async with aiohttp.ClientSession(boxes[0].url, headers=headers) as there:
        async with there.post("/v1/models/load", json={"model": "words"}) as answer:
            assert answer.status == 200
        async with asyncio.timeout(10):
            while await by(manager, max_tokens=1) != "box1":
                await asyncio.sleep(0.05)
        asked = {"model": "words", "prompt": "go", "options": {"max_tokens": 1000}, "stream": True}
        async with there.post("/v1/prompt", json=asked), asyncio.timeout(10):
            while await by(manager, max_tokens=1) != "box2":
                await asyncio.sleep(0.05)


async def test_when_a_box_dies_nothing_is_lost_and_it_is_used_again_when_it_is_back(manager, boxes):
    for name in ("box1", "box2"):
        await manager.load(LoadRequest(f"{name}/words"))
    begun: set[asyncio.Task | None] = set()
    asking = [asyncio.create_task(_ended(manager, begun)) for _ in range(REQUESTS)]
    await until(lambda: len(begun) > QUICK["max_concurrency"])  # so on both boxes
    await boxes[0].kill()
    ends = await asyncio.gather(*asking)
    whole = Counter(each for each, _ in ends if each)
    assert sum(whole.values()) + sum(each is None for each, _ in ends) == REQUESTS
    assert all(pieces for end, pieces in ends if end is None)
    assert any(end is None for end, _ in ends)
    assert whole["box2"] > REQUESTS / 2
    assert await by(manager, max_tokens=1) == "box2"
    await boxes[0].start()
    await until(lambda: manager.breaker("box1").state == "closed")
    await manager.load(LoadRequest("box1/words"))
    assert set(await asyncio.gather(*(by(manager) for _ in range(8)))) == {"box1", "box2"}


async def _ended(manager, begun) -> tuple[str | None, int]:
    """Ask, and return who answered, None for an error after the first piece, and the pieces."""
    pieces = 0
    try:
        async for piece in manager.generate(chat("talk")):
            if isinstance(piece, Answer):
                return piece.instance, pieces
            pieces += 1
            begun.add(asyncio.current_task())
    except BackendError:
        return None, pieces
    raise AssertionError("an answer just ended")
