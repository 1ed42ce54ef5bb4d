"""Answers in OpenAI's format: whole, or an error."""

from contextlib import aclosing, asynccontextmanager, suppress
from itertools import pairwise

import orjson
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from hypothesis import given
from hypothesis import strategies as st

from orac_backends._http import HttpClient
from orac_backends._openai import StreamedAnswer, stream_answer
from orac_core import (
    BackendError,
    BackendUnavailable,
    CallPiece,
    Candidate,
    Chunk,
    InvalidRequest,
    Rates,
    Token,
    Usage,
)

USAGE = {
    "prompt_tokens": 7,
    "completion_tokens": 3,
    "prompt_tokens_details": {"cached_tokens": 2},
}
TIMINGS = {"prompt_per_second": 50.5, "predicted_per_second": 20, "cache_n": 2}


def event(**frame) -> bytes:
    return b"data: " + orjson.dumps(frame) + b"\n\n"


def delta(content, reason=None) -> bytes:
    return event(choices=[{"index": 0, "delta": {"content": content}, "finish_reason": reason}])


def text(content, reason=None) -> bytes:
    return event(choices=[{"index": 0, "text": content, "finish_reason": reason}])


CHAT = (
    event(choices=[{"delta": {"role": "assistant", "content": None}, "finish_reason": None}])
    + b": ping\n\n"
    + event(choices=[{"delta": {"reasoning_content": "hm"}, "finish_reason": None}])
    + delta("Grüß ")
    + delta("dich 🤖")
    + event(choices=[{"delta": {}, "finish_reason": "stop"}])
    + event(choices=[], usage=USAGE, timings=TIMINGS)
    + b"data: [DONE]\n\n"
)
END = Chunk(done=True, finish_reason="stop", usage=Usage(7, 3, 2), rates=Rates(50.5, 20.0))


@given(places=st.lists(st.integers(0, len(CHAT)), max_size=12))
def test_any_cut_gives_the_same_answer(places):
    places = sorted({0, len(CHAT), *places})
    answer = StreamedAnswer("x")
    pieces = [answer.take(CHAT[a:b]) for a, b in pairwise(places)]
    assert "".join(piece.text for piece in pieces if piece) == "Grüß dich 🤖"
    assert answer.ended
    assert answer.last_chunk() == END


@given(
    frame=st.recursive(
        st.none()
        | st.booleans()
        | st.integers(-(2**63), 2**63 - 1)
        | st.floats(allow_nan=False)
        | st.text(max_size=9),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(
                    [
                        "choices",
                        "delta",
                        "text",
                        "content",
                        "usage",
                        "timings",
                        "error",
                        "prompt_tokens_details",
                        "finish_reason",
                        "code",
                        "message",
                    ]
                ),
                inner,
                max_size=4,
            )
        ),
        max_leaves=12,
    )
)
def test_whatever_a_server_sends_is_an_answer_or_an_error_of_oracs(frame):
    answer = StreamedAnswer("x")
    with suppress(BackendError, InvalidRequest):
        answer.take(b"data: " + orjson.dumps(frame) + b"\n\n")
        answer.last_chunk()


@asynccontextmanager
async def served(body: bytes, status: int = 200):
    async def answer(request):
        return web.Response(status=status, body=body, content_type="text/event-stream")

    app = web.Application()
    app.router.add_post("/v1/chat/completions", answer)
    async with TestServer(app) as server:
        client = HttpClient.open("a server", str(server.make_url("")))
        try:
            yield client
        finally:
            await client.close()


async def asked(body: bytes, status: int = 200) -> list[Chunk]:
    async with (
        served(body, status) as client,
        aclosing(stream_answer(client, "/v1/chat/completions", {}, idle_s=5)) as chunks,
    ):
        return [chunk async for chunk in chunks]


async def test_tokens_of_one_read_are_one_chunk_and_the_last_one_is_done():
    assert await asked(CHAT) == [Chunk("Grüß dich 🤖"), END]


async def test_a_text_completion_is_read_as_well():
    *pieces, last = await asked(text("a") + text("b") + text("", "length") + b"data: [DONE]\n\n")
    assert "".join(piece.text for piece in pieces) == "ab"
    assert last == Chunk(done=True, finish_reason="length")


async def test_an_answer_without_the_closing_mark_is_whole_when_it_has_a_reason():
    assert (await asked(delta("a", "stop")))[-1].done


@pytest.mark.parametrize("body", [b"", delta("a"), delta("a") + b"data: [DONE]\n\n", CHAT[:150]])
async def test_an_answer_that_breaks_off_is_an_error(body):
    with pytest.raises(BackendError, match="broke its answer off"):
        await asked(body)


async def test_an_error_in_mid_stream_is_one_with_its_message():
    body = delta("a") + event(error={"code": 500, "message": "the GPU fell off"})
    with pytest.raises(BackendError, match="the GPU fell off"):
        await asked(body)


@pytest.mark.parametrize(
    ("code", "error"),
    [(400, InvalidRequest), (401, BackendError), (503, BackendUnavailable), (None, BackendError)],
)
async def test_the_code_of_an_error_says_whose_fault_it_is(code, error):
    with pytest.raises(error, match="told so"):
        await asked(event(error={"code": code, "message": "told so"}))


@pytest.mark.parametrize(
    ("status", "body", "error"),
    [
        (400, b'{"error":{"code":400,"message":"told so"}}', InvalidRequest),
        (422, b'{"error":"told so"}', InvalidRequest),
        (401, b'{"error":{"message":"told so"}}', BackendError),
        (404, b'{"message":"told so"}', BackendUnavailable),
        (429, b"told so", BackendUnavailable),
        (500, b'"told so"', BackendError),
        (503, b'{"error":{"message":"told so"}}', BackendUnavailable),
    ],
)
async def test_a_refusal_before_the_stream_is_told_in_the_servers_words(status, body, error):
    with pytest.raises(error, match="a server: .*told so"):
        await asked(body, status)


@pytest.mark.parametrize(
    "body", [b"data: {\n\n", b"data: \xff\n\n", b"data: 5\n\n", b"data: [1]\n\n"]
)
async def test_what_is_no_answer_at_all_is_an_error(body):
    with pytest.raises(BackendError, match="not an answer"):
        await asked(body)


async def test_a_filtered_answer_is_not_passed_off_as_whole():
    with pytest.raises(BackendError, match="filter"):
        await asked(delta("a", "content_filter"))


@pytest.mark.parametrize("number", [-1, True, "7", 1.5, None])
async def test_counts_that_are_none_are_left_out(number):
    body = event(choices=[{"text": "", "finish_reason": "stop"}], usage={"prompt_tokens": number})
    assert (await asked(body))[-1].usage == Usage()


def called(index, **function) -> bytes:
    told = {"index": index, **function.pop("more", {}), "function": function}
    return event(choices=[{"delta": {"tool_calls": [told]}, "finish_reason": None}])


async def test_calls_of_tools_come_in_pieces():
    body = (
        called(0, more={"id": "a"}, name="move", arguments="{")
        + called(0, arguments="}")
        + called(1, more={"id": "b"}, name="stop")
        + event(choices=[{"delta": {}, "finish_reason": "tool_calls"}])
    )
    chunk, last = await asked(body)
    assert chunk.calls == (
        CallPiece(0, "{", "a", "move"),
        CallPiece(0, "}"),
        CallPiece(1, "", "b", "stop"),
    )
    assert last.finish_reason == "tool_calls"


async def test_calls_that_come_whole_need_no_place():
    function = {"name": "move", "arguments": "{}"}
    told = [{"id": name, "function": function} for name in "ab"]
    body = event(choices=[{"delta": {"tool_calls": told}, "finish_reason": "tool_calls"}])
    chunk, _ = await asked(body)
    assert [(it.index, it.id) for it in chunk.calls] == [(0, "a"), (1, "b")]


async def test_a_model_that_refuses_says_so_in_words():
    body = event(choices=[{"delta": {"refusal": "I will not"}, "finish_reason": "stop"}])
    assert (await asked(body))[0].text == "I will not"


@pytest.mark.parametrize(
    "piece", [{}, 5, {"index": "0"}, {"index": 0, "id": 5}, {"index": 0, "function": 5}]
)
async def test_a_call_that_is_none_is_an_error(piece):
    with pytest.raises(BackendError, match="not an answer"):
        await asked(event(choices=[{"delta": {"tool_calls": [piece]}, "finish_reason": "stop"}]))


@pytest.mark.parametrize("kind", ["text", "delta"])
async def test_tokens_come_with_their_probabilities(kind):
    one = {"token": "a", "bytes": [97], "logprob": -0.5}
    told = [{**one, "top_logprobs": [one]}, {"token": "", "bytes": [], "logprob": -1.0}]
    said = {"text": "a"} if kind == "text" else {"delta": {"content": "a"}}
    body = event(choices=[{**said, "logprobs": {"content": told}, "finish_reason": "stop"}])
    chunk, _ = await asked(body)
    assert chunk == Chunk("a", tokens=(Token("a", -0.5, b"a", (Candidate("a", -0.5),)),))


@pytest.mark.parametrize(
    "told", [5, {"content": 5}, {"content": [5]}, {"content": [{"token": "a"}]}]
)
async def test_probabilities_that_are_none_are_an_error(told):
    with pytest.raises(BackendError, match="not an answer"):
        await asked(event(choices=[{"text": "a", "logprobs": told, "finish_reason": "stop"}]))
