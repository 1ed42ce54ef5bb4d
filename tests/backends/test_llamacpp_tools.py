"""Tools, their calls and the probabilities of tokens; on the real engine."""

import json
import math

import pytest
from attrs import evolve

from orac_core import (
    CallPiece,
    Chunk,
    GenerateOptions,
    GenerateRequest,
    InvalidRequest,
    Message,
    Tool,
    Toolbox,
    ToolCall,
)
from tests.backends.driving import ask, chat, load, raw, told, words
from tests.tiny_models import write
from tests.tiny_specialists import TOOL_CHATML, write_caller

MODEL = "tiny-qwen3-0.6b"
MOVE = Tool(
    "move",
    "Drive so far.",
    {
        "type": "object",
        "properties": {"side": {"enum": ["left", "right"]}, "far": {"type": "integer"}},
        "required": ["side", "far"],
    },
)
STOP = Tool("stop")
CALLED = (
    Message("user", "go left"),
    Message("assistant", "", (ToolCall("call_1", "move", '{"side":"left","far":1}'),)),
    Message("tool", "done", tool_call_id="call_1"),
)


@pytest.fixture
async def caller(open_llamacpp, tmp_path):
    write_caller(tmp_path)
    llamacpp = await open_llamacpp(tmp_path)
    await load(llamacpp, "caller")
    return llamacpp


def offered(model, *tools, choice="required", messages=CALLED[:1], **more) -> GenerateRequest:
    box = Toolbox(tools, choice, more.pop("parallel", None))
    options = GenerateOptions(max_tokens=300, temperature=0.0)
    return GenerateRequest(model, messages, options=options, toolbox=box, **more)


def calls(chunks: list[Chunk]) -> list[tuple[str | None, str]]:
    """The calls as a whole: name and arguments."""
    pieces = [piece for chunk in chunks for piece in chunk.calls]
    indices = sorted({piece.index for piece in pieces})
    return [joined([piece for piece in pieces if piece.index == index]) for index in indices]


def joined(pieces: list[CallPiece]) -> tuple[str | None, str]:
    first, *others = pieces
    assert first.id
    assert not any(piece.id or piece.name for piece in others)
    return first.name, "".join(piece.arguments for piece in pieces)


async def test_a_required_tool_is_called_in_pieces_that_join_to_json(caller):
    answer = await ask(caller, offered("caller", MOVE))
    ((name, arguments),) = calls(answer)
    assert name == "move"
    assert json.loads(arguments)["side"] in {"left", "right"}
    assert answer[-1].finish_reason == "tool_calls"
    assert words(answer) == ""


async def test_the_tool_that_is_named_is_called(caller):
    answer = await ask(caller, offered("caller", MOVE, STOP, choice="stop"))
    assert calls(answer) == [("stop", "{}")]


async def test_tools_that_may_be_called_need_not_be(caller):
    for choice in ("auto", "none"):
        answer = await ask(caller, offered("caller", MOVE, choice=choice))
        assert (calls(answer), answer[-1].finish_reason) == ([], "stop")


async def test_tools_that_must_not_be_called_are_not_shown_to_the_model(caller):
    shown = (await ask(caller, offered("caller", MOVE, choice="auto")))[-1]
    hidden = (await ask(caller, offered("caller", MOVE, choice="none")))[-1]
    assert shown.usage.prompt_tokens > hidden.usage.prompt_tokens + 100


async def test_what_a_tool_said_is_part_of_the_conversation(caller):
    before = (await ask(caller, offered("caller", MOVE, choice="auto")))[-1]
    request = offered("caller", MOVE, choice="auto", messages=CALLED)
    assert (await ask(caller, request))[-1].usage.prompt_tokens > before.usage.prompt_tokens + 20


async def test_a_call_that_is_cut_says_so(caller):
    request = offered("caller", MOVE)
    short = evolve(request, options=GenerateOptions(max_tokens=30, temperature=0.0))
    answer = await ask(caller, short)
    assert answer[-1].finish_reason == "length"


async def test_a_schema_that_makes_no_sense_is_refused_with_the_engines_reason(caller):
    with pytest.raises(InvalidRequest, match="nonsense"):
        await ask(caller, offered("caller", Tool("x", "", {"type": "nonsense"})))


async def test_a_template_without_a_place_for_tools_gets_none(llamacpp):
    await load(llamacpp, MODEL)
    for request in (offered(MODEL, MOVE, choice="auto"), GenerateRequest(MODEL, CALLED)):
        with pytest.raises(InvalidRequest, match="no place for tools"):
            await ask(llamacpp, request)
    assert calls(await ask(llamacpp, offered(MODEL, MOVE, choice="none"))) == []


async def test_a_model_says_whether_it_knows_tools_before_and_after_it_is_loaded(
    open_llamacpp, tmp_path
):
    write_caller(tmp_path)
    write(tmp_path, MODEL, stem="talker", chat_template=f"{TOOL_CHATML[-80:]}{{# tools #}}")
    write(tmp_path, "tiny-pythia")
    llamacpp = await open_llamacpp(tmp_path)
    able = {it.id: "tools" in it.capabilities for it in await llamacpp.models()}
    assert able == {"caller": True, "talker": True, "tiny-pythia": False}
    await load(llamacpp, "caller")
    assert "tools" in (await told(llamacpp, "caller")).capabilities


@pytest.mark.parametrize("asked", [chat, raw])
async def test_the_tokens_of_a_chunk_are_its_text_and_likely(llamacpp, asked):
    await load(llamacpp, MODEL)
    for top in (0, 3):
        request = evolve(asked(MODEL, max_tokens=20, temperature=0.0), top_logprobs=top)
        chunks = await ask(llamacpp, request)
        for chunk in chunks[:-1]:
            raw_bytes = b"".join(token.raw or b"?" for token in chunk.tokens)
            assert raw_bytes.decode(errors="replace") == chunk.text
        found = [token for chunk in chunks for token in chunk.tokens]
        assert found
        assert all(0 < math.exp(token.logprob) <= 1 for token in found)
        assert all(len(token.top) == top for token in found)
        assert all(token.logprob == token.top[0].logprob for token in found if token.top)


async def test_nobody_is_told_probabilities_unasked(llamacpp):
    await load(llamacpp, MODEL)
    assert not any(chunk.tokens for chunk in await ask(llamacpp, chat(MODEL, max_tokens=5)))


async def test_penalties_change_what_is_said(llamacpp):
    await load(llamacpp, MODEL)
    plain = words(await ask(llamacpp, raw(MODEL, max_tokens=12, temperature=0.0)))
    for penalty in ("frequency_penalty", "presence_penalty"):
        request = raw(MODEL, max_tokens=12, temperature=0.0, **{penalty: 2.0})
        assert words(await ask(llamacpp, request)) != plain
