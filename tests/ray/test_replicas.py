"""Replicas of a model: how many there are, what they do at once, and how they come and go."""

import asyncio
from contextlib import aclosing
from functools import partial

import pytest

from orac_core import ModelState
from tests.backends.driving import ask, load, raw, told, until, words
from tests.ray.clusters import (
    backend_on,
    counted,
    eventually,
    most_at_once,
    noted,
    python,
    replicas,
    running,
)

pytestmark = pytest.mark.asyncio(loop_scope="session")

WHOLE = "begun ended"


def asked(backend, model, *prompts):
    return [asyncio.create_task(ask(backend, raw(model, prompt))) for prompt in prompts]


async def whole(answers):
    """Return the texts of *answers*, each of which has to end once."""
    found = await asyncio.gather(*answers)
    for pieces in found:
        assert [piece.done for piece in pieces] == [False] * (len(pieces) - 1) + [True]
    return [words(pieces) for pieces in found]


async def test_sixty_four_streams_at_once_are_all_whole(backend, notes):
    await load(backend, "pair")
    before = {how: counted(notes / "pair", how, "count") for how in ("begun", "ended")}
    texts = await whole(asked(backend, "pair", *[f"count {n + 20}" for n in range(64)]))
    assert texts == ["".join(f"{it} " for it in range(n + 20)) for n in range(64)]
    assert len(counted(notes / "pair", "ended", "count") - before["ended"]) == 2
    assert sum((counted(notes / "pair", "begun", "count") - before["begun"]).values()) == 64


async def test_no_replica_makes_more_answers_at_once_than_it_may(backend, notes):
    await load(backend, "few")
    assert (await told(backend, "few")).loaded.parallel == 2
    texts = await whole(asked(backend, "few", *["count 5"] * 12))
    assert texts == ["0 1 2 3 4 "] * 12
    assert most_at_once(notes / "few") == 2


async def test_leaving_an_answer_stops_the_generator_in_the_replica(backend, notes):
    await load(backend, "few")
    for _ in range(5):  # more than it may make at once: none is left behind
        before = counted(notes / "few", "left", "hold")
        async with aclosing(backend.generate(raw("few", "hold never"))) as pieces:
            assert (await anext(pieces)).text == "begun "
        await eventually(partial(_more_left, notes / "few", before))
    assert await whole(asked(backend, "few", "count 1")) == ["0 "]


async def test_an_unload_leaves_no_process(backend):
    await load(backend, "few")
    (before,) = replicas("orac-few")
    await backend.unload("few")
    assert (await told(backend, "few")).state is ModelState.STOPPED
    await until(lambda: before not in replicas("orac-few"))
    assert replicas("orac-few") == []
    assert "orac-few" not in (await backend.health()).details["replicas"]


async def test_replicas_are_added_under_load_and_go_when_it_is_over(backend, notes):
    await load(backend, "growing")
    held = asked(backend, "growing", *["hold enough"] * 6)
    await eventually(lambda: _runs(backend, "orac-growing", 2))
    assert (await told(backend, "growing")).loaded.parallel == 32
    (notes / "growing" / "enough").touch()
    assert await whole(held) == [WHOLE] * 6
    texts = []
    while await running(backend, "orac-growing") != 1:
        texts += await whole(asked(backend, "growing", "count 3"))
        assert len(texts) < 5000
    assert set(texts) == {"0 1 2 "}
    await until(lambda: len(replicas("orac-growing")) == 1)


def _more_left(folder, before):
    return counted(folder, "left", "hold") != before


async def _runs(backend, app, count):
    return await running(backend, app) == count


async def test_another_manifest_changes_how_many_there_are_and_no_answer_is_lost(nodes, tmp_path):
    model = python("scribe", folder=str(tmp_path))
    change = {"prefix": "fixed", "drain_s": 30.0}
    one, two = {"it": model}, {"it": model | {"replicas": 2}}
    async with backend_on(nodes.address, one, **change) as first:
        await load(first, "it")
        held = asked(first, "it", "hold enough")
        await until(lambda: noted(tmp_path))
        async with backend_on(nodes.address, two, **change) as second:
            assert (await told(second, "it")).state is ModelState.READY
            await eventually(lambda: _runs(second, "fixed-it", 2))
            assert await whole(asked(first, "it", *["count 2"] * 8)) == ["0 1 "] * 8
            (tmp_path / "enough").touch()
            assert await whole(held) == [WHOLE]
            await until(lambda: len(replicas("fixed-it")) == 2)
            await second.unload("it")
        assert (await told(first, "it")).state is ModelState.STOPPED


async def test_a_load_that_is_closed_leaves_no_application(nodes, tmp_path):
    models = {"it": python("patient", folder=str(tmp_path))}
    async with backend_on(nodes.address, models, prefix="closed") as backend:
        loading = asyncio.create_task(load(backend, "it"))
        await until((tmp_path / "asked").exists, within=60)
        loading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await loading
        assert (await backend.health()).details["replicas"].keys() & {"closed-it"} == set()
        assert (await told(backend, "it")).state is ModelState.STOPPED
        await until(lambda: replicas("closed-it") == [])
