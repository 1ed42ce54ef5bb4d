"""Roles that prefer a backend which has their model loaded."""

import asyncio
from contextlib import AsyncExitStack

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

import orac_core
from orac_core import (
    BackendError,
    BackendUnavailable,
    EmbedRequest,
    GenerateRequest,
    InvalidRequest,
    Limits,
    LoadRequest,
    Message,
    ModelNotFound,
    ModelState,
    StateConflict,
)
from orac_core.events import Event
from orac_core.manifest import parse
from orac_core.serving.breaker import Rule
from orac_core.serving.names import Attempt, Names
from orac_core.serving.warm import Bid, Warm, order
from tests.scripted import ScriptedBackend, plugins
from tests.waiting import until

QUICK = Limits(drain_s=0.05, list_s=1, verify_s=1, unload_s=1)
GONE = BackendUnavailable("connection refused")
BIDS = st.lists(st.builds(Bid, st.booleans(), st.booleans(), st.integers(0, 20)), max_size=8)


@given(BIDS)
def test_everybody_is_asked_once_and_always_in_the_same_order(bids):
    assert sorted(order(bids)) == list(range(len(bids)))
    assert order(bids) == order(bids)


@given(BIDS)
def test_who_is_spared_is_asked_after_all_others(bids):
    spared = [bids[place].spared for place in order(bids)]
    assert spared == sorted(spared)


@given(BIDS)
def test_of_those_that_are_not_spared_the_warm_are_asked_first_and_the_least_busy_of_them(bids):
    found = [bids[place] for place in order(bids) if not bids[place].spared]
    warm = [each.warm for each in found]
    assert warm == sorted(warm, reverse=True)
    busy = [each.busy for each in found if each.warm]
    assert busy == sorted(busy)


@given(BIDS)
def test_who_is_cold_stays_in_the_order_of_the_manifest(bids):
    cold = [place for place in order(bids) if not (bids[place].warm or bids[place].spared)]
    assert cold == sorted(cold)


@given(BIDS, st.randoms())
def test_another_order_of_the_manifest_changes_only_the_order_of_those_that_are_alike(bids, random):
    def rank(bid):
        return bid.spared, bid.warm, bid.busy if bid.warm else 0

    mixed = random.sample(bids, len(bids))
    assert [rank(bids[it]) for it in order(bids)] == [rank(mixed[it]) for it in order(mixed)]


@given(BIDS.filter(bool), st.integers(0, 7), st.integers(1, 5))
def test_who_gets_busier_is_asked_no_earlier(bids, which, more):
    which %= len(bids)
    busier = [*bids]
    busier[which] = evolve(bids[which], busy=bids[which].busy + more)
    assert order(busier).index(which) >= order(bids).index(which)


def test_a_name_is_tried_wherever_there_is_such_a_model():
    available = {"a": {"m": "m"}, "b": {"x": "x"}, "c": {"m:latest": "m:latest", "m": "m:latest"}}
    names = Names({"role": ("m",)}, {"alias": "c/m", "other": "m"})
    own = Attempt("m", "role")
    assert names.everywhere(own, available) == (
        (Attempt("a/m", "role"), ("a", "m")),
        (Attempt("c/m:latest", "role"), ("c", "m:latest")),
    )
    (one,) = names.everywhere(evolve(own, name="alias"), available)
    assert one == (Attempt("c/m:latest", "role"), ("c", "m:latest"))
    assert [it for _, it in names.everywhere(evolve(own, name="other"), available)] == [
        ("a", "m"),
        ("c", "m:latest"),
    ]
    assert names.everywhere(evolve(own, name="none"), available) == ()


@pytest.fixture
def boxes():
    return [ScriptedBackend(words=(word,)) for word in ("one", "two", "three")]


@pytest.fixture
async def opened(boxes):
    async with AsyncExitStack() as stack:

        async def open_with(*fallbacks, name="small", limits=QUICK):
            data = {
                "backends": {each: {"kind": "scripted"} for each in ("a", "b", "c")},
                "models": {"canaries": False},
                "profiles": {
                    "default": {
                        "models": {"talk": {"name": name, "prefer": "warm"}},
                        "fallbacks": {"talk": list(fallbacks)},
                    }
                },
            }
            known = parse(data, "test")
            opening = orac_core.open(known, plugins=plugins(*boxes), limits=limits, environ={})
            return await stack.enter_async_context(opening)

        yield open_with


@pytest.fixture
async def manager(opened):
    return await opened()


def ask(model: str = "talk", **rest) -> GenerateRequest:
    return GenerateRequest(model, messages=(Message("user", "go"),), **rest)


async def by(manager) -> str:
    answer = await manager.answer(ask())
    assert (answer.role, answer.served_by_fallback) == ("talk", False)
    return answer.instance


async def test_where_none_is_loaded_the_first_one_of_the_manifest_loads(manager, boxes):
    assert await by(manager) == "a"
    assert [each.count("load") for each in boxes] == [1, 0, 0]
    assert await by(manager) == "a"


async def test_the_one_that_is_loaded_answers_and_no_list_is_asked_for(manager, boxes):
    await manager.load(LoadRequest("b/small"))
    boxes[0].hold("models")
    async with asyncio.timeout(1):
        assert {await by(manager) for _ in range(3)} == {"b"}
    boxes[0].gates["models"].set()
    assert boxes[0].count("load") == 0


async def test_vectors_come_from_the_one_that_is_loaded_too(manager):
    await manager.load(LoadRequest("c/small"))
    assert (await manager.embed(EmbedRequest("talk", ("a",)))).instance == "c"


async def test_requests_are_spread_over_those_that_are_loaded(manager, boxes):
    for name in ("a", "c"):
        await manager.load(LoadRequest(f"{name}/small"))
    gates = [boxes[place].hold("first") for place in (0, 2)]
    asking = [asyncio.create_task(by(manager)) for _ in range(6)]
    await until(lambda: boxes[0].generating + boxes[2].generating == len(asking))
    assert (boxes[0].generating, boxes[2].generating) == (3, 3)
    for gate in gates:
        gate.set()
    assert sorted(await asyncio.gather(*asking)) == ["a"] * 3 + ["c"] * 3


@pytest.mark.parametrize("error", [GONE, BackendError("out of order"), StateConflict("not now")])
async def test_the_next_one_answers_when_the_first_fails_before_a_piece(manager, boxes, error):
    for name in ("a", "b"):
        await manager.load(LoadRequest(f"{name}/small"))
    boxes[0].failures["first"] = error
    assert await by(manager) == "b"


async def test_a_fallback_is_told_when_the_chosen_one_fails_and_not_when_one_is_chosen(
    manager, boxes
):
    heard: list[Event] = []
    with manager.events.listening(heard.append):
        await manager.load(LoadRequest("b/small"))
        assert await by(manager) == "b"
        await manager.load(LoadRequest("c/small"))
        gate = boxes[1].hold("first")
        asking = asyncio.create_task(by(manager))
        await until(lambda: boxes[1].generating)
        assert await by(manager) == "c"
        gate.set()
        await asking
        assert told(heard) == []
        boxes[1].failures["first"] = BackendError("out of order")
        assert await by(manager) == "c"
    assert told(heard) == [("talk", "b/small", "c/small", "BackendError")]


async def test_one_that_is_spared_is_passed_over_without_a_fallback(opened, boxes):
    manager = await opened(limits=evolve(QUICK, sparing=Rule(1, 60, 60)))
    for name in ("a", "b"):
        await manager.load(LoadRequest(f"{name}/small"))
    boxes[0].down = True
    boxes[0].failures["first"] = GONE
    heard: list[Event] = []
    with manager.events.listening(heard.append):
        assert [await by(manager) for _ in range(3)] == ["b"] * 3
    assert told(heard) == [("talk", "a/small", "b/small", "BackendUnavailable")]


def told(heard) -> list[tuple[str, ...]]:
    """Return who stepped in for whom, and why."""
    return [tuple(each.data.values()) for each in heard if each.kind == "fallback"]


async def test_what_is_wrong_with_a_request_is_not_tried_everywhere(manager, boxes):
    for name in ("a", "b"):
        await manager.load(LoadRequest(f"{name}/small"))
    boxes[0].failures["first"] = InvalidRequest("no sense in it")
    with pytest.raises(InvalidRequest):
        await manager.answer(ask())
    assert boxes[1].count("generate") == 0


async def test_one_that_is_loaded_behind_its_back_is_noticed_without_a_request_waiting(
    manager, boxes
):
    manager._replies.warm.every_s = 0.01
    await manager.load(LoadRequest("c/small"))
    assert await by(manager) == "c"
    boxes[1].loaded["small"] = LoadRequest("small")
    slot = manager._fleet.slots["b", "small"]
    await until(lambda: slot.state is ModelState.READY)
    assert await by(manager) == "b"


async def test_after_a_while_without_requests_it_is_looked_less_often(manager):
    now = [0.0]
    warm = Warm(manager._fleet, lambda: now[0], every_s=0.001, idle_s=5.0, rest_s=60.0)
    await warm.attempts("talk")
    now[0] = 6.0
    looking = warm._looking
    await until(lambda: not warm._woken.is_set())
    await warm.attempts("talk")
    assert warm._looking is looking
    await warm.close()
    assert looking.cancelled()


async def test_fallbacks_follow_when_none_can_answer(opened, boxes):
    manager = await opened("c/large")
    for each in boxes:
        each.settings = evolve(each.settings, models=("small", "large"))
    for each in boxes[:2]:
        each.down = True
    boxes[2].failures["load"] = BackendError("no room")
    await manager.models()
    with pytest.raises((BackendError, BackendUnavailable)):
        await manager.answer(ask())
    del boxes[2].failures["load"]
    boxes[2].settings = evolve(boxes[2].settings, models=("large",))
    answer = await manager.answer(ask())
    assert (answer.instance, answer.model, answer.served_by_fallback) == ("c", "large", True)


async def test_a_role_whose_model_nobody_has_is_not_found(opened):
    manager = await opened(name="absent")
    with pytest.raises(ModelNotFound, match="absent"):
        await manager.answer(ask())
