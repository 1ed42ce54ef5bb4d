"""Tools, probabilities and vectors, as an Ollama gives them."""

import json
import math

import pytest

from orac_backends.ollama import question
from orac_backends.ollama.answer import StreamedAnswer
from orac_backends.ollama.question import Loading
from orac_core import (
    BackendError,
    EmbedRequest,
    GenerateRequest,
    InvalidRequest,
    Message,
    Tool,
    Toolbox,
    ToolCall,
)
from tests.backends.driving import ask, chat, load, raw
from tests.backends.ollama_backend import opened
from tests.fake_ollama import FakeOllama
from tests.ollama_fake.recorded import VERSIONS, case

MOVE = Tool("move", "Drive.", {"type": "object", "properties": {"far": {"type": "integer"}}})
STOP = Tool("stop")
CALLED = (
    Message("user", "go"),
    Message("assistant", "", (ToolCall("call_1", "move", '{"far":1}'),)),
    Message("tool", "done", tool_call_id="call_1"),
)
ABLE = ("completion", "chat", "tools")


@pytest.fixture
async def fake():
    async with FakeOllama().serving() as fake:
        fake.add_model("able:latest", capabilities=("completion", "tools"))
        fake.add_model("plain:latest")
        fake.add_model("embed:latest", context_length=32, capabilities=("embedding",))
        yield fake


@pytest.fixture
async def ollama(fake):
    async with opened(fake.url) as ollama:
        yield ollama


def offered(model, *tools, choice="auto", parallel=None, messages=CALLED[:1]) -> GenerateRequest:
    return GenerateRequest(model, messages, toolbox=Toolbox(tools, choice, parallel))


def posted(request, capabilities=ABLE):
    return question.question(request, Loading("able", 4096), capabilities)[1]


async def test_calls_come_whole_with_ids_and_end_the_answer(ollama):
    await load(ollama, "able:latest")
    *chunks, last = await ask(ollama, offered("able:latest", MOVE, STOP))
    pieces = [piece for chunk in chunks for piece in chunk.calls]
    assert [(it.index, it.name) for it in pieces] == [(0, "move"), (1, "stop")]
    assert all(it.id and isinstance(json.loads(it.arguments), dict) for it in pieces)
    assert last.finish_reason == "tool_calls"


async def test_one_call_is_all_there_is_where_only_one_is_wanted(ollama):
    await load(ollama, "able:latest")
    chunks = await ask(ollama, offered("able:latest", MOVE, STOP, parallel=False))
    assert [piece.name for chunk in chunks for piece in chunk.calls] == ["move"]


async def test_a_model_without_a_place_for_tools_gets_none(ollama, fake):
    await load(ollama, "plain:latest")
    for request in (offered("plain:latest", MOVE), GenerateRequest("plain:latest", CALLED)):
        with pytest.raises(InvalidRequest, match="capability `tools`"):
            await ask(ollama, request)
    assert (await ask(ollama, offered("plain:latest", MOVE, choice="none")))[-1].done


def test_what_ollama_can_not_be_told_is_refused():
    for choice in ("required", "move"):
        with pytest.raises(InvalidRequest, match="can not be made to call"):
            posted(offered("able", MOVE, choice=choice))


def test_tools_that_must_not_be_called_are_left_out():
    assert "tools" not in posted(offered("able", MOVE, choice="none"))
    assert posted(offered("able", MOVE))["tools"][0]["function"]["name"] == "move"


def test_an_old_server_that_tells_no_capabilities_decides_for_itself():
    assert posted(offered("able", MOVE), ())["tools"]


def test_a_conversation_with_calls_is_written_as_ollama_writes_it():
    _, call, result = posted(GenerateRequest("able", CALLED))["messages"]
    function = {"name": "move", "arguments": {"far": 1}}
    assert call["tool_calls"] == [{"id": "call_1", "function": function}]
    assert (result["role"], result["tool_name"], result["tool_call_id"]) == (
        "tool",
        "move",
        "call_1",
    )


def test_a_call_without_an_id_gets_one():
    call = {"function": {"name": "move", "arguments": {"far": 2}}}
    line = {"message": {"content": "", "tool_calls": [call, call]}}
    first, second = StreamedAnswer("Ollama").take([line]).calls
    assert first.id.startswith("call_")
    assert first.id != second.id
    assert (first.arguments, second.index) == ('{"far":2}', 1)


@pytest.mark.parametrize("call", [None, {}, {"function": 5}, {"function": {"arguments": {}}}])
def test_a_call_that_is_none_is_an_error(call):
    with pytest.raises(BackendError, match="call of a tool"):
        StreamedAnswer("Ollama").take([{"message": {"content": "", "tool_calls": [call]}}])


@pytest.mark.parametrize("version", VERSIONS)
def test_recorded_probabilities_are_tokens_with_their_bytes(version):
    body = case(version, "131-generate-logprobs").answered["body"]
    chunk = StreamedAnswer("Ollama", top_logprobs=1).take([body])
    assert "".join(token.text for token in chunk.tokens) == chunk.text == 'O"T'
    assert [token.raw for token in chunk.tokens] == [b"O", b'"', b"T"]
    assert all(len(token.top) == 1 and 0 < math.exp(token.logprob) <= 1 for token in chunk.tokens)


@pytest.mark.parametrize("told", [5, [{}], [{"token": "a", "logprob": "b"}]])
def test_probabilities_that_are_none_are_an_error(told):
    with pytest.raises(BackendError, match="probabilities that are none"):
        StreamedAnswer("Ollama").take([{"response": "a", "logprobs": told}])


@pytest.mark.parametrize("asked", [chat, raw])
async def test_the_tokens_of_a_chunk_are_its_text(ollama, asked):
    await load(ollama, "able:latest")
    request = asked("able:latest", max_tokens=6)
    request = GenerateRequest(
        request.model, request.messages, request.prompt, options=request.options, top_logprobs=2
    )
    for chunk in (await ask(ollama, request))[:-1]:
        assert "".join(token.text for token in chunk.tokens) == chunk.text
        assert all(len(token.top) == 2 for token in chunk.tokens)


async def test_vectors_come_in_the_order_of_the_texts_and_are_cut_where_asked(ollama):
    await load(ollama, "embed:latest")
    together = await ollama.embed(EmbedRequest("embed:latest", ("a", "b", "a")))
    alone = await ollama.embed(EmbedRequest("embed:latest", ("b",)))
    assert together.vectors[1] == alone.vectors[0]
    assert together.vectors[0] == together.vectors[2]
    assert together.usage.prompt_tokens > alone.usage.prompt_tokens
    (cut,) = (await ollama.embed(EmbedRequest("embed:latest", ("b",), 8))).vectors
    assert len(cut) == 8
    assert math.hypot(*cut) == pytest.approx(1.0)
    with pytest.raises(InvalidRequest, match="have 64 dimensions, not 65"):
        await ollama.embed(EmbedRequest("embed:latest", ("b",), 65))


async def test_the_text_that_is_too_long_is_named(ollama):
    await load(ollama, "embed:latest")
    texts = ("a", "b " * 40, "c")
    with pytest.raises(InvalidRequest, match="text 2 of 3 is too long, and the model takes 32"):
        await ollama.embed(EmbedRequest("embed:latest", texts))
