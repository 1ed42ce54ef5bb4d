"""What is told of models while they are served, and what is not."""

import asyncio
from contextlib import aclosing
from time import perf_counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

import orac_core
from orac_core import (
    BackendError,
    BackendUnavailable,
    GenerateRequest,
    Limits,
    LoadProgress,
    LoadRequest,
    Message,
    QueueFull,
    Rates,
)
from orac_core.events import Event, Events
from orac_core.manifest import parse
from orac_core.serving.draft import Draft
from orac_core.serving.names import Target
from orac_core.serving.news import LONGEST_TEXT, News, telling, unquoted
from tests.scripted import ScriptedBackend, plugins
from tests.waiting import until

SECRET = "zyzzyva-4711"


@pytest.fixture
def backend():
    return ScriptedBackend(rates=Rates(100.0, 40.0))


@pytest.fixture
async def manager(backend, tmp_path):
    async with opening(backend, tmp_path) as manager:
        yield manager


@pytest.fixture
def heard(manager):
    heard: list[Event] = []
    with manager.events.listening(heard.append):
        yield heard


def opening(backend, folder, limits=None):
    manifest = parse({"backends": {"here": {"kind": "scripted"}}}, "test")
    return orac_core.open(
        manifest, models_dir=folder, plugins=plugins(backend), environ={}, limits=limits
    )


def ask(text="count"):
    return GenerateRequest("small", messages=(Message("user", text),))


def told(heard, kind):
    return [event.data for event in heard if event.kind == kind]


def turns(heard):
    return [(each["previous"], each["state"]) for each in told(heard, "model")]


async def test_each_change_of_a_models_state_is_told_with_the_one_before(manager, heard):
    await manager.load(LoadRequest("small"))
    await manager.unload("small")
    assert turns(heard) == [
        *(("stopped", "starting"), ("starting", "ready")),
        *(("ready", "stopping"), ("stopping", "stopped")),
    ]
    assert {(each["instance"], each["model"]) for each in told(heard, "model")} == {
        ("here", "small")
    }


async def test_a_load_that_fails_is_told_with_its_reason(manager, heard, backend):
    backend.failures["load"] = BackendError("the file is cut; download it again")
    with pytest.raises(BackendError):
        await manager.load(LoadRequest("small"))
    last = told(heard, "model")[-1]
    assert (last["state"], last["previous"]) == ("failed", "starting")
    assert "the file is cut; download it again" in last["reason"]


async def test_what_another_program_loads_is_told_when_it_is_seen(manager, heard, backend):
    await manager.models()
    backend.loaded["large"] = LoadRequest("large")
    await manager.models()
    await manager.models()
    assert turns(heard) == [("stopped", "ready")]


async def test_every_stage_of_a_load_is_told(manager, heard):
    await manager.load(LoadRequest("small"))
    stages = [each["stage"] for each in told(heard, "progress")]
    assert stages == ["plan", "read", "start", "verify"]
    assert told(heard, "progress")[1]["total"] == 100


def test_of_one_stage_no_more_is_told_than_five_times_a_second():
    heard: list[Event] = []
    events, now = Events(), 100.0
    news = News(events, "here", "small", lambda: now)
    seen: list[LoadProgress] = []
    report = news.with_news(seen.append)
    with events.listening(heard.append):
        for step in range(1000):
            now = 100 + step / 100
            report(LoadProgress("read", step, 1000))
    assert len(seen) == 1000
    assert 45 <= len(heard) <= 51


async def test_an_answer_is_told_by_its_figures(manager, heard):
    answer = await manager.answer(ask())
    (data,) = told(heard, "answer")
    assert data == {
        "instance": "here",
        "model": "small",
        "role": None,
        "served_by_fallback": False,
        "finish_reason": "stop",
        "error": None,
        "prompt_tokens": 2,
        "completion_tokens": 3,
        "cached_tokens": 0,
        "queue_ms": data["queue_ms"],
        "load_ms": data["load_ms"],
        "ttft_ms": round(answer.ttft_s * 1000, 3),
        "elapsed_ms": round(answer.elapsed_s * 1000, 3),
        "prefill_tokens_per_second": 100.0,
        "decode_tokens_per_second": 40.0,
    }


async def test_a_failed_answer_is_told_by_the_class_of_its_error(manager, heard, backend):
    await manager.load(LoadRequest("small"))
    backend.failures["word 1"] = BackendError(f"cannot go on after {SECRET}")
    with pytest.raises(BackendError):
        await manager.answer(ask())
    (data,) = told(heard, "answer")
    assert (data["error"], data["finish_reason"]) == ("BackendError", None)
    assert data["ttft_ms"] is not None


async def test_an_answer_that_nobody_waits_for_any_more_is_told_as_cancelled(
    manager, heard, backend
):
    await manager.load(LoadRequest("small"))
    async with aclosing(manager.generate(ask())) as pieces:
        await anext(pieces)
    backend.hold("first")
    waiting = asyncio.create_task(manager.answer(ask()))
    await backend.reached["first"].wait()
    waiting.cancel()
    await asyncio.wait([waiting])
    assert [each["error"] for each in told(heard, "answer")] == ["cancelled", "cancelled"]


async def test_who_is_turned_away_is_told_too(backend, tmp_path):
    heard: list[Event] = []
    gate = backend.hold("first")
    async with opening(backend, tmp_path, Limits(max_concurrency=1, max_queue=0)) as manager:
        with manager.events.listening(heard.append):
            first = asyncio.create_task(manager.answer(ask()))
            await backend.reached["first"].wait()
            with pytest.raises(QueueFull):
                await manager.answer(ask())
            gate.set()
            await first
    assert [each["error"] for each in told(heard, "answer")] == ["QueueFull", None]


async def test_no_word_of_prompt_or_answer_is_told_whatever_the_engine_says(backend, tmp_path):
    heard: list[Event] = []
    backend.words = (SECRET,)
    async with opening(backend, tmp_path) as manager:
        with manager.events.listening(heard.append):
            await manager.answer(ask(SECRET))
            backend.failures["first"] = BackendUnavailable(f"crashed at {SECRET}")
            for _ in range(2):
                with pytest.raises(BackendUnavailable):
                    await manager.answer(ask(SECRET))
            await manager.models()
    assert ("ready", "failed") in turns(heard)
    assert SECRET not in repr(heard)


async def test_a_model_that_became_slow_is_told(backend, manager, heard):
    for rate in [40.0] * 5 + [5.0] * 10:
        backend.rates = Rates(100.0, rate)
        backend.words = ("word ",) * 64
        await manager.answer(ask())
    await until(lambda: bool(told(heard, "finding")))
    (finding,) = told(heard, "finding")
    assert (finding["instance"], finding["model"]) == ("here", "small")
    assert finding["verdict"] == "degraded"
    assert "5.0 tokens/s where it had 40.0" in finding["message"]
    assert [each["cause"] for each in finding["causes"]] == ["unknown"]


async def test_without_a_listener_telling_costs_next_to_nothing():
    events, draft = Events(), Draft(ask(), Target("here", "small"))
    rounds, best = 2000, float("inf")
    for _ in range(5):
        started = perf_counter()
        for _ in range(rounds):
            with telling(events, draft):
                pass
        best = min(best, (perf_counter() - started) / rounds)
    assert best < 10e-6


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (None, None),
        ("", ""),
        ('bad input "a \\" b" here', "bad input … here"),
        ("cannot parse 'it's me' at 3", "cannot parse … at 3"),
        ("the machine's memory isn't enough; `orac list` shows", None),
        ('ends in "the middle', "ends in …"),
        ("“curly” too", "… too"),
    ],
)
def test_what_is_quoted_is_left_out(text, shown):
    assert unquoted(text) == (text if shown is None else shown)


@given(st.text(), st.text(), st.sampled_from(['"{}"', "“{}”"]))
def test_no_text_that_is_quoted_is_told(before, after, quotes):
    quoted = quotes.format(SECRET)
    assert SECRET not in (unquoted(f"{before} {quoted} {after}") or "") or '"' in before


@given(st.text(max_size=3000))
def test_a_text_is_never_too_long(text):
    assert len(unquoted(text) or "") <= LONGEST_TEXT + 1


async def test_listening_leaves_nothing_behind(manager):
    async with aclosing(manager.events.follow()) as news:
        waiting = asyncio.ensure_future(anext(news))
        await until(lambda: manager.events.heard)
        waiting.cancel()
        await asyncio.wait([waiting])
    assert not manager.events.heard
