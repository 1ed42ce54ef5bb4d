"""What a request has to satisfy before any engine sees it."""

import json
import math

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from orac_backends._request import check, check_embed
from orac_backends._tools import callable_tools, functions
from orac_backends._vectors import shortened, too_long
from orac_core import (
    EmbedRequest,
    GenerateRequest,
    InvalidRequest,
    Message,
    Tool,
    Toolbox,
    ToolCall,
)

HELLO = (Message("user", "hello"),)
MOVE = Tool("move")
anything = st.one_of(st.none(), st.integers(), st.text(max_size=3), st.booleans())


def with_tools(*tools, choice="auto", **more) -> GenerateRequest:
    return GenerateRequest("m", HELLO, toolbox=Toolbox(tools, choice), **more)


def with_call(call) -> GenerateRequest:
    return GenerateRequest("m", (*HELLO, Message("assistant", "", (call,))))


CALL = ToolCall("call_1", "move", "{}")


@pytest.mark.parametrize(
    ("request_", "at"),
    [
        (GenerateRequest("m", (Message("tool", "done"),)), "messages.0.tool_call_id"),
        (GenerateRequest("m", (Message("user", "a", (), "call_1"),)), "messages.0.tool_call_id"),
        (GenerateRequest("m", (Message("user", "a", (CALL,)),)), "messages.0.tool_calls"),
        (GenerateRequest("m", (Message("user", None),)), "messages.0.content"),
        (with_call(evolve(CALL, id="")), "messages.1.tool_calls.0.id"),
        (with_call(evolve(CALL, name="a b")), "messages.1.tool_calls.0.name"),
        (with_call(evolve(CALL, arguments="{")), "messages.1.tool_calls.0.arguments"),
        (with_call(evolve(CALL, arguments="[]")), "messages.1.tool_calls.0.arguments"),
        (with_tools(MOVE, MOVE), "tools"),
        (with_tools(*[Tool(f"t{number}") for number in range(129)]), "tools"),
        (with_tools(*[Tool(f"t{it}", "x" * 9000) for it in range(40)]), "tools"),
        (with_tools(Tool("")), "tools.0.name"),
        (with_tools(Tool("é")), "tools.0.name"),
        (with_tools(Tool("x" * 65)), "tools.0.name"),
        (with_tools(Tool("x", 5)), "tools.0.description"),
        (with_tools(Tool("x", "", [])), "tools.0.parameters"),
        (with_tools(Tool("x", "", {"enum": ["x" * 300_000]})), "tools.0.parameters"),
        (with_tools(MOVE, choice="stop"), "tool_choice"),
        (with_tools(choice="required"), "tool_choice"),
        (with_tools(MOVE, format="json"), "tools"),
        (with_tools(MOVE, top_logprobs=1), "tools"),
        (GenerateRequest("m", prompt="a", toolbox=Toolbox((MOVE,))), "tools"),
        (GenerateRequest("m", HELLO, toolbox=Toolbox((MOVE,), parallel=1)), "parallel_tool_calls"),
        (GenerateRequest("m", HELLO, top_logprobs=21), "top_logprobs"),
        (GenerateRequest("m", HELLO, top_logprobs=True), "top_logprobs"),
    ],
)
def test_what_makes_no_sense_is_refused_by_name(request_, at):
    with pytest.raises(InvalidRequest) as refused:
        check(request_)
    assert at in refused.value.details


@pytest.mark.parametrize("choice", ["auto", "none", "required", "move"])
def test_tools_and_their_calls_that_make_sense_are_taken(choice):
    check(with_tools(MOVE, Tool("stop"), choice=choice))
    check(with_call(CALL))
    check(GenerateRequest("m", (*HELLO, Message("tool", "done", tool_call_id="call_1"))))


def test_a_format_goes_with_tools_that_must_not_be_called():
    check(with_tools(MOVE, choice="none", format="json"))


def test_the_tool_that_has_to_be_called_is_the_only_one():
    tools = (MOVE, Tool("stop"))
    names = {it: [tool.name for tool in callable_tools(with_tools(*tools, choice=it))]
             for it in ("auto", "none", "required", "stop")}  # fmt: skip
    assert names == {
        "auto": ["move", "stop"],
        "none": [],
        "required": ["move", "stop"],
        "stop": ["stop"],
    }


def test_a_tool_without_parameters_takes_none():
    (told,) = functions((MOVE,))
    assert told["function"] == {"name": "move", "parameters": {"type": "object", "properties": {}}}


@given(arguments=st.text(max_size=20) | st.dictionaries(st.text(max_size=3), anything).map(
    json.dumps))  # fmt: skip
def test_arguments_are_an_object_or_refused(arguments):
    try:
        check(with_call(evolve(CALL, arguments=arguments)))
    except InvalidRequest:
        with pytest.raises((ValueError, AssertionError)):
            assert isinstance(json.loads(arguments), dict)
            arguments.encode()
    else:
        assert isinstance(json.loads(arguments), dict)


@pytest.mark.parametrize(
    "request_",
    [
        EmbedRequest("m", ()),
        EmbedRequest("m", ("a", "")),
        EmbedRequest("m", ("a",), 0),
        EmbedRequest("m", ("a",), dimensions=True),
        EmbedRequest("m", ("a",) * 2049),
    ],
)
def test_texts_that_make_no_sense_are_refused(request_):
    with pytest.raises(InvalidRequest):
        check_embed(request_)


vectors = st.lists(
    st.floats(-1, 1, allow_nan=False).filter(lambda it: it == 0 or abs(it) > 1e-6),
    min_size=1,
    max_size=40,
).map(tuple)


@given(vector=vectors, dimensions=st.integers(1, 50))
def test_a_cut_vector_points_the_same_way_and_has_length_one(vector, dimensions):
    if dimensions > len(vector):
        with pytest.raises(InvalidRequest, match=f"have {len(vector)} dimensions"):
            shortened(vector, dimensions)
        return
    cut = shortened(vector, dimensions)
    assert len(cut) == dimensions
    if dimensions < len(vector) and any(cut):
        assert math.hypot(*cut) == pytest.approx(1.0)
        assert all(a * b >= 0 for a, b in zip(cut, vector, strict=False))
    if dimensions == len(vector):
        assert cut == vector


def test_a_text_that_is_too_long_is_told_with_what_is_known():
    assert str(too_long(0, 2, "input (9 tokens) is", 8)) == (
        "text 1 of 2 has 9 tokens, and the model takes 8 at a time: shorten or split it"
    )
    assert "is too long for the model" in str(too_long(0, 1, "exceeds", None))
