"""What is asked of a model, and what comes back; on the real engine."""

import asyncio
import os
import signal
from contextlib import aclosing

import pytest

from orac_core import (
    BackendUnavailable,
    GenerateOptions,
    GenerateRequest,
    InvalidRequest,
    Message,
    PromptTooLong,
)
from tests.backends.driving import (
    ask,
    chat,
    cpu_seconds,
    idle_within,
    load,
    pid_of,
    raw,
    until,
    words,
)
from tests.tiny_models import write

MODEL = "tiny-qwen3-0.6b"
THINKER = (
    "{% for message in messages %}{{ message.content }}{% endfor %}"
    "{% if enable_thinking is defined and not enable_thinking %}"
    "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
    "{% endif %}"
)


@pytest.fixture
async def loaded(llamacpp):
    await load(llamacpp, MODEL)
    return llamacpp


@pytest.fixture
async def endless(llamacpp):
    await load(llamacpp, "endless", context_length=1 << 16, parallel=1)
    return llamacpp


async def test_a_seed_repeats_an_answer_and_zero_temperature_always_does(loaded):
    async def answer(**options):
        return words(await ask(loaded, chat(MODEL, max_tokens=20, **options)))

    assert await answer(seed=1) == await answer(seed=1)
    assert await answer(seed=1) != await answer(seed=2)
    assert await answer(temperature=0.0) == await answer(temperature=0.0)


async def test_usage_and_rates_are_those_of_the_engine(loaded):
    first = (await ask(loaded, chat(MODEL, max_tokens=8, temperature=0.0)))[-1]
    again = (await ask(loaded, chat(MODEL, max_tokens=8, temperature=0.0)))[-1]
    assert first.finish_reason == "length"
    assert first.usage.completion_tokens == 8
    assert first.rates.decode_tokens_per_second > 0
    assert first.rates.prefill_tokens_per_second > 0
    assert again.usage.cached_tokens > 0
    assert not again.truncated_prompt


async def test_stop_texts_end_the_answer_and_are_not_part_of_it(loaded):
    whole = words(await ask(loaded, chat(MODEL, max_tokens=20, temperature=0.0)))
    last = whole[-1]
    chunks = await ask(loaded, chat(MODEL, max_tokens=20, temperature=0.0, stop=(last,)))
    assert chunks[-1].finish_reason == "stop"
    assert words(chunks) == whole[: whole.index(last)]


async def test_an_answer_without_a_limit_ends_with_the_context(loaded):
    last = (await ask(loaded, chat(MODEL, temperature=0.0)))[-1]
    assert last.finish_reason == "length"
    assert last.usage.prompt_tokens + last.usage.completion_tokens == 512


async def test_a_conversation_that_ends_with_an_answer_gets_a_new_one(loaded):
    messages = (Message("user", "hello"), Message("assistant", "zzzzzzzzzz"))
    request = GenerateRequest(MODEL, messages, options=GenerateOptions(max_tokens=4))
    assert "zzzz" not in words(await ask(loaded, request))


async def test_a_prompt_that_is_too_long_is_the_callers_mistake(loaded):
    for request in (chat, raw):
        with pytest.raises(PromptTooLong, match="exceeds the available context size"):
            await ask(loaded, request(MODEL, "hello " * 1000))
    assert (await ask(loaded, chat(MODEL, max_tokens=1)))[-1].done


@pytest.mark.parametrize(
    "request_",
    [
        GenerateRequest(MODEL),
        GenerateRequest(MODEL, (Message("user", "a"),), prompt="b"),
        GenerateRequest(MODEL, prompt=""),
        GenerateRequest(MODEL, (Message("robot", "a"),)),
        GenerateRequest(MODEL, prompt="lone \ud800"),
        raw(MODEL, wanted="yaml"),
        raw(MODEL, wanted={"enum": [object()]}),
        raw(MODEL, temperature=float("nan")),
    ],
)
async def test_what_makes_no_sense_is_refused_before_the_engine_sees_it(loaded, request_):
    used = cpu_seconds(pid_of(loaded, MODEL))
    with pytest.raises(InvalidRequest):
        await ask(loaded, request_)
    assert cpu_seconds(pid_of(loaded, MODEL)) - used < 0.05


async def test_a_base_model_continues_the_messages_as_one_text(llamacpp):
    await load(llamacpp, "tiny-pythia")
    messages = (Message("system", "hello"), Message("user", "the"))
    options = GenerateOptions(max_tokens=10, temperature=0.0)
    told = await ask(llamacpp, GenerateRequest("tiny-pythia", messages, options=options))
    same = await ask(
        llamacpp, GenerateRequest("tiny-pythia", prompt="hello\n\nthe", options=options)
    )
    assert words(told) == words(same)
    assert told[-1].usage.prompt_tokens == same[-1].usage.prompt_tokens


async def test_thinking_is_off_as_thoughts_have_no_place_to_go(open_llamacpp, tmp_path):
    write(tmp_path, MODEL, chat_template=THINKER)
    llamacpp = await open_llamacpp(tmp_path)
    await load(llamacpp, MODEL)
    told = (await ask(llamacpp, chat(MODEL, "a", max_tokens=1)))[-1]
    assert told.usage.prompt_tokens > 40


async def test_letters_of_several_tokens_arrive_whole(loaded):
    chunks = await ask(loaded, raw(MODEL, "é", max_tokens=200, temperature=2.0, seed=3))
    assert words(chunks).encode()  # a torn letter would be a lone surrogate


async def test_closing_an_answer_stops_the_engine(endless):
    async with aclosing(endless.generate(raw("endless", "the", temperature=0.0))) as chunks:
        for _ in range(3):
            await anext(chunks)
    assert await idle_within(pid_of(endless, "endless"), 2)


async def test_leaving_during_a_long_prompt_stops_the_engine(endless):
    pid = pid_of(endless, "endless")
    before = cpu_seconds(pid)
    asking = asyncio.create_task(ask(endless, raw("endless", "hello there " * 8000)))
    await until(lambda: cpu_seconds(pid) - before > 0.5)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    assert await idle_within(pid, 2.5)


async def test_leaving_the_queue_costs_the_others_nothing(endless):
    running = asyncio.create_task(
        ask(endless, raw("endless", "the", temperature=0.0, max_tokens=1500))
    )
    waiting = [asyncio.create_task(ask(endless, raw("endless", "the"))) for _ in range(3)]
    await asyncio.wait(waiting, timeout=0.1)
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    assert (await running)[-1].usage.completion_tokens == 1500
    assert await idle_within(pid_of(endless, "endless"), 2)


async def test_more_answers_than_slots_wait_for_their_turn(loaded):
    requests = [chat(MODEL, f"hello {number}", max_tokens=5) for number in range(24)]
    answers = await asyncio.gather(*(ask(loaded, request) for request in requests))
    assert [answer[-1].done for answer in answers] == [True] * 24


async def test_answers_at_once_all_get_their_whole_context(llamacpp):
    await load(llamacpp, MODEL, parallel=4)
    asked = [raw(MODEL, "hello" * 50 + str(it), temperature=0.0) for it in range(4)]
    answers = await asyncio.gather(*(ask(llamacpp, request) for request in asked))
    for *_, last in answers:
        assert last.finish_reason in {"stop", "length"}
        if last.finish_reason == "length":
            assert last.usage.prompt_tokens + last.usage.completion_tokens == 512


async def test_an_engine_that_hangs_is_noticed(open_llamacpp):
    llamacpp = await open_llamacpp(idle_timeout_s=2.5)
    await load(llamacpp, "endless", context_length=1 << 16, parallel=1)
    async with aclosing(llamacpp.generate(raw("endless", "the", temperature=0.0))) as chunks:
        await anext(chunks)
        os.kill(pid_of(llamacpp, "endless"), signal.SIGSTOP)
        with pytest.raises(BackendUnavailable, match=r"silent for 2\.5 s"):
            async for chunk in chunks:
                assert not chunk.done
    await llamacpp.unload("endless")


async def test_waiting_for_a_turn_is_no_silence(open_llamacpp):
    llamacpp = await open_llamacpp(idle_timeout_s=1.5)
    await load(llamacpp, "endless", context_length=1 << 16, parallel=1)
    first = asyncio.create_task(
        ask(llamacpp, raw("endless", "the", temperature=0.0, max_tokens=3000))
    )
    second = asyncio.create_task(ask(llamacpp, raw("endless", "the", max_tokens=1)))
    assert (await second)[-1].done
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)


async def test_unloading_ends_the_waiting_too(endless):
    asking = [
        asyncio.create_task(ask(endless, raw("endless", "the", temperature=0.0))) for _ in range(3)
    ]
    await asyncio.wait(asking, timeout=0.1)
    await endless.unload("endless")
    for error in await asyncio.gather(*asking, return_exceptions=True):
        assert isinstance(error, BackendUnavailable)
