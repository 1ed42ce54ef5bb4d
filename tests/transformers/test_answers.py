"""What a loaded checkpoint answers."""

import asyncio
from contextlib import aclosing

import pytest

from orac_core import (
    BackendUnavailable,
    GenerateOptions,
    GenerateRequest,
    InvalidRequest,
    Message,
    PromptTooLong,
    Tool,
    Toolbox,
)
from tests.backends.driving import (
    ask,
    chat,
    cpu_seconds,
    idle_within,
    pid_of,
    raw,
    told,
    until,
    words,
)
from tests.tiny_checkpoints import TEMPLATE
from tests.transformers.conftest import ENDLESS, MODEL

pytestmark = pytest.mark.asyncio(loop_scope="module")

GREEDY = {"temperature": 0.0, "max_tokens": 24}


async def test_a_prompt_is_answered_with_usage_and_speeds(loaded):
    *pieces, last = await ask(loaded, raw(MODEL, "hello", **GREEDY))
    assert len(words(pieces)) == 24
    assert words(pieces).isascii()
    assert (last.done, last.finish_reason) == (True, "length")
    assert (last.usage.prompt_tokens, last.usage.completion_tokens) == (5, 24)
    assert last.rates.prefill_tokens_per_second > 0
    assert last.rates.decode_tokens_per_second > 0
    assert not any(piece.done for piece in pieces)


async def test_an_answer_arrives_in_pieces_while_it_is_made(loaded):
    pieces = await ask(loaded, raw(MODEL, "hello", temperature=0.0, max_tokens=200))
    assert len(pieces) > 20


async def test_messages_go_into_the_template_of_the_checkpoint(loaded):
    messages = (Message("system", "be kind"), Message("user", "hello"))
    request = GenerateRequest(MODEL, messages, options=GenerateOptions(**GREEDY))
    text = "<system>be kind<user>hello<assistant>"
    asked, same = await ask(loaded, request), await ask(loaded, raw(MODEL, text, **GREEDY))
    assert words(asked) == words(same)
    assert asked[-1].usage.prompt_tokens == len(text)
    assert "assistant" in TEMPLATE


async def test_the_likeliest_tokens_are_always_the_same(loaded):
    first = words(await ask(loaded, raw(MODEL, "hello", **GREEDY)))
    for options in ({"temperature": 0.0}, {"temperature": 1e-9}, {"top_k": 1}, {"top_p": 0.0}):
        assert words(await ask(loaded, raw(MODEL, "hello", max_tokens=24, **options))) == first


async def test_a_seed_makes_chance_repeatable(loaded):
    async def answer(seed):
        options = {"temperature": 2.0, "top_k": 0, "max_tokens": 30, "seed": seed}
        return words(await ask(loaded, raw(MODEL, "hello", **options)))

    assert await answer(1) == await answer(1)
    assert len({await answer(seed) for seed in range(4)}) > 1


@pytest.mark.parametrize("name", ["repeat_penalty", "frequency_penalty", "presence_penalty"])
async def test_penalties_change_what_is_repeated(loaded, name):
    plain = words(await ask(loaded, raw(MODEL, "a", temperature=0.0, max_tokens=200)))
    options = {"temperature": 0.0, "max_tokens": 200, name: 2.0}
    varied = words(await ask(loaded, raw(MODEL, "a", **options)))
    assert len(set(varied)) > len(set(plain))


async def test_min_p_leaves_only_what_is_nearly_the_likeliest(loaded):
    options = {"temperature": 1.0, "min_p": 1.0, "max_tokens": 24}
    likeliest = words(await ask(loaded, raw(MODEL, "hello", **GREEDY)))
    assert words(await ask(loaded, raw(MODEL, "hello", **options))) == likeliest


async def test_a_text_that_ends_the_answer_is_no_part_of_it(loaded):
    whole = words(await ask(loaded, raw(MODEL, "hello", **GREEDY)))
    stop = whole[10:13]
    place = whole.find(stop)
    *pieces, last = await ask(loaded, raw(MODEL, "hello", stop=("never", stop), **GREEDY))
    assert words(pieces) == whole[:place]
    assert last.finish_reason == "stop"
    assert last.usage.completion_tokens == place + 3


async def test_what_only_began_like_a_stop_text_is_told_in_the_end(loaded):
    whole = words(await ask(loaded, raw(MODEL, "hello", **GREEDY)))
    stop = whole[-3:] + "!"
    assert words(await ask(loaded, raw(MODEL, "hello", stop=(stop,), **GREEDY))) == whole


async def test_a_prompt_that_does_not_fit_is_refused(loaded):
    with pytest.raises(PromptTooLong, match=f"exceeds the available context size .{ENDLESS} "):
        await ask(loaded, raw(MODEL, "x" * ENDLESS))


async def test_an_answer_ends_where_the_context_does(loaded):
    prompt = "x" * (ENDLESS - 5)
    *_, last = await ask(loaded, raw(MODEL, prompt, temperature=0.0))
    assert (last.finish_reason, last.usage.completion_tokens) == ("length", 5)


@pytest.mark.parametrize("wanted", ["json", {"type": "object"}])
async def test_a_format_is_refused_in_a_sentence(loaded, wanted):
    with pytest.raises(InvalidRequest, match="can not hold an answer to a format") as raised:
        await ask(loaded, chat(MODEL, wanted=wanted))
    assert list(raised.value.details) == ["format"]


async def test_tools_are_refused_in_a_sentence(loaded):
    messages, box = (Message("user", "go"),), Toolbox((Tool("move"),))
    with pytest.raises(InvalidRequest, match="calls of tools"):
        await ask(loaded, GenerateRequest(MODEL, messages, toolbox=box))


async def test_options_out_of_range_never_reach_the_worker(loaded):
    with pytest.raises(InvalidRequest, match="top_p must be a number from 0 to 1"):
        await ask(loaded, raw(MODEL, top_p=2.0))


async def test_a_model_that_is_not_loaded_is_unavailable(loaded):
    with pytest.raises(BackendUnavailable, match="load it first"):
        await ask(loaded, chat("other"))


async def test_leaving_stops_the_worker_at_its_next_token(loaded):
    async with aclosing(loaded.generate(raw(MODEL, "hello", temperature=0.0))) as pieces:
        for _ in range(3):
            await anext(pieces)
    assert await idle_within(pid_of(loaded, MODEL), 3)


async def test_leaving_during_a_long_prompt_stops_the_worker_before_its_first_token(loaded):
    pid = pid_of(loaded, MODEL)
    before = cpu_seconds(pid)
    asking = asyncio.create_task(ask(loaded, raw(MODEL, "x" * (ENDLESS - 10))))
    await until(lambda: cpu_seconds(pid) - before > 0.3)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    assert await idle_within(pid, 3)


async def test_answers_wait_for_their_turn_and_those_who_leave_the_queue_cost_nothing(loaded):
    asked = [ask(loaded, chat(MODEL, f"hello {it}", **GREEDY)) for it in range(6)]
    leaving = [asyncio.create_task(ask(loaded, raw(MODEL, "x"))) for _ in range(3)]
    running = [asyncio.create_task(it) for it in asked]
    await asyncio.wait(leaving, timeout=0.05)
    for task in leaving:
        task.cancel()
    answers = await asyncio.gather(*running)
    assert [answer[-1].usage.completion_tokens for answer in answers] == [24] * 6
    await asyncio.gather(*leaving, return_exceptions=True)


async def test_it_lists_what_is_used(loaded):
    info = await told(loaded, MODEL)
    assert info.capabilities == ("completion", "chat")
    assert (info.loaded.context_length, info.loaded.parallel) == (ENDLESS, 1)
    assert (info.loaded.gpu_layers, info.loaded.on_gpu_ratio) == (0, 0.0)
    assert info.loaded.memory_bytes > 100 << 20
    assert info.shape.weights_bytes > info.size_bytes
