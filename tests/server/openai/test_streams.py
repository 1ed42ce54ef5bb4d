"""OpenAI's streams: their frames, their ends, and clients that leave."""

import asyncio

import pytest

from orac_core import BackendUnavailable, CallPiece, Chunk, Limits, Token, Usage
from tests.scripted import said
from tests.server.openai.asking import (
    CHAT,
    CHATTING,
    COMPLETING,
    COMPLETIONS,
    WEATHER,
    choices,
    content,
)
from tests.waiting import until

BOTH = pytest.mark.parametrize(("path", "asked"), [(CHAT, CHATTING), (COMPLETIONS, COMPLETING)])
WITH_USAGE = {"stream_options": {"include_usage": True}}


async def test_a_chat_begins_with_its_role_and_ends_with_a_reason_and_done(service):
    *frames, done = await service.frames(CHAT, CHATTING)
    assert done == "[DONE]"
    assert [choice["delta"] for choice in choices(frames)] == [
        {"role": "assistant", "content": ""},
        {"content": "one "},
        {"content": "two "},
        {"content": "three"},
        {},
    ]
    assert [choice["finish_reason"] for choice in choices(frames)] == [None] * 4 + ["stop"]
    assert {choice["index"] for choice in choices(frames)} == {0}


async def test_a_completion_is_text_and_ends_with_a_reason_and_done(service):
    *frames, done = await service.frames(COMPLETIONS, COMPLETING)
    assert done == "[DONE]"
    assert [choice["text"] for choice in choices(frames)] == ["one ", "two ", "three", ""]
    assert [choice["finish_reason"] for choice in choices(frames)] == [None] * 3 + ["stop"]


@BOTH
async def test_every_frame_has_the_same_heading(service, path, asked):
    *frames, _ = await service.frames(path, asked | WITH_USAGE)
    names = ("id", "object", "created", "model", "system_fingerprint")
    (heading,) = {tuple(frame[name] for name in names) for frame in frames}
    expected = {
        CHAT: ("chatcmpl-", "chat.completion.chunk"),
        COMPLETIONS: ("cmpl-", "text_completion"),
    }
    assert (heading[0].startswith(expected[path][0]), heading[1]) == (True, expected[path][1])


@BOTH
async def test_tokens_used_come_last_and_only_when_they_are_asked_for(service, path, asked):
    assert not any("usage" in frame for frame in await service.frames(path, asked))
    *frames, last, _ = await service.frames(path, asked | WITH_USAGE)
    assert {frame["usage"] for frame in frames} == {None}
    assert (last["choices"], last["usage"]["total_tokens"]) == ([], 5)


async def test_tokens_that_the_engine_did_not_count_are_not_told(service, backend):
    backend.scripts = [said("x", usage=Usage())]
    *frames, _ = await service.frames(CHAT, CHATTING | WITH_USAGE)
    assert all(frame["choices"] for frame in frames)


@BOTH
async def test_the_last_choice_has_oracs_figures_beside_it(service, path, asked):
    *frames, last, _ = await service.frames(path, asked)
    assert not any("orac" in frame for frame in frames)
    assert (last["orac"]["instance"], last["orac"]["finish_reason"]) == ("fake", "stop")
    assert last["orac"]["timings"]["ttft_ms"] > 0


async def test_calls_of_tools_come_in_pieces(service, backend):
    pieces = (
        CallPiece(0, "", "a", "weather"),
        CallPiece(0, "{}"),
        CallPiece(1, "{}", "b", "weather"),
    )
    calls = [Chunk("So:", calls=pieces[:1]), Chunk(calls=pieces[1:])]
    backend.scripts = [(*calls, Chunk(done=True, finish_reason="tool_calls"))]
    _, first, second, end = choices(await service.frames(CHAT, {**CHATTING, "tools": [WEATHER]}))
    begun = {"index": 0, "id": "a", "type": "function"}
    named = {"name": "weather", "arguments": ""}
    assert first["delta"] == {"content": "So:", "tool_calls": [{**begun, "function": named}]}
    assert second["delta"]["tool_calls"] == [
        {"index": 0, "function": {"arguments": "{}"}},
        {**begun, "index": 1, "id": "b", "function": {"name": "weather", "arguments": "{}"}},
    ]
    assert (end["delta"], end["finish_reason"]) == ({}, "tool_calls")


@pytest.fixture
def tokens(backend):
    """Lets the engine tell the tokens of its next answer."""
    chunks = [Chunk(text, tokens=(Token(text, -1.0),)) for text in ("ab", "c")]
    backend.scripts = [(*chunks, Chunk(done=True, finish_reason="stop"))]


async def test_logprobs_of_a_chat_come_with_their_text(service, tokens):
    frames = await service.frames(CHAT, {**CHATTING, "logprobs": True})
    told = [choice["logprobs"] and choice["logprobs"]["content"] for choice in choices(frames)]
    assert [it and it[0]["token"] for it in told] == [None, "ab", "c", None]
    assert content(frames) == "abc"


async def test_logprobs_of_a_completion_say_where_each_token_begins(service, tokens):
    frames = await service.frames(COMPLETIONS, {**COMPLETING, "logprobs": 0})
    told = [choice["logprobs"] for choice in choices(frames)]
    assert [it and it["text_offset"] for it in told] == [[0], [2], None]
    assert told[0] == {
        "tokens": ["ab"],
        "token_logprobs": [-1.0],
        "top_logprobs": [None],
        "text_offset": [0],
    }


@BOTH
async def test_p39_an_engine_that_dies_in_mid_stream_ends_it_with_an_error_and_no_done(
    service, backend, path, asked
):
    backend.failures["word 0"] = BackendUnavailable("the engine died")
    *_, chunk, last = await service.frames(path, asked)
    assert chunk["choices"]
    assert set(last) == {"error"}
    assert (last["error"]["code"], last["error"]["message"]) == (
        *("backend_unavailable", "the engine died"),
    )


@BOTH
async def test_what_fails_before_the_first_token_is_told_by_the_status(
    service, backend, path, asked
):
    backend.failures["first"] = BackendUnavailable("the engine died")
    reply = await service.post(path, {**asked, "stream": True})
    assert (reply.status, reply.error["code"]) == (503, "backend_unavailable")


async def test_a_full_queue_is_429(open_service, backend):
    service = await open_service(backend, limits=Limits(max_concurrency=1, max_queue=0))
    gate = backend.hold("first")
    running = asyncio.create_task(service.post(CHAT, CHATTING))
    await until(lambda: backend.generating == 1)
    reply = await service.post(CHAT, {**CHATTING, "stream": True})
    assert (reply.status, reply.error["type"]) == (429, "rate_limit_error")
    assert int(reply.headers["Retry-After"]) >= 1
    gate.set()
    assert (await running).status == 200


async def test_a_deadline_ends_the_stream_in_time_with_what_there_is(service, backend):
    backend.hold("word 0")
    asked = {**CHATTING, "orac": {"deadline_ms": 100}} | WITH_USAGE
    *_, end, done = await service.frames(CHAT, asked)
    assert end["choices"][0]["finish_reason"] == "length"
    assert (end["orac"]["finish_reason"], done) == ("deadline", "[DONE]")


@BOTH
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
async def test_p37_a_client_that_leaves_stops_the_engine(service, backend, path, asked, stream):
    backend.hold("word 0")
    asking = asyncio.create_task(service.post(path, {**asked, "stream": stream}))
    await until(backend.reached["word 0"].is_set)
    asking.cancel()
    await until(lambda: backend.generating == 0, within_s=2)
    assert backend.closed_early == 1


async def test_an_answer_without_a_word_is_a_role_and_an_end(service, backend):
    backend.scripts = [said()]
    *frames, done = await service.frames(CHAT, CHATTING)
    assert [choice["delta"] for choice in choices(frames)] == [
        {"role": "assistant", "content": ""},
        {},
    ]
    assert done == "[DONE]"
