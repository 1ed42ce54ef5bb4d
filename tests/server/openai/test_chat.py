"""Whole answers of a chat: their shape, and what reaches the engine."""

import pytest

from orac_core import (
    CallPiece,
    Candidate,
    Chunk,
    Message,
    PromptTooLong,
    Token,
    Tool,
    Toolbox,
    ToolCall,
    Usage,
)
from tests.scripted import said
from tests.server.openai.asking import CHAT, CHATTING, TURN, WEATHER

SCHEMA = {"type": "object", "properties": {"go": {"type": "boolean"}}, "required": ["go"]}
CALL = {"id": "a", "type": "function", "function": {"name": "weather", "arguments": "{}"}}


def format_of(schema):
    return {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema}}


@pytest.fixture
def ask(service, backend):
    """Asks with further fields, and returns what reached the engine."""

    async def asked(**fields):
        reply = await service.post(CHAT, CHATTING | fields)
        assert reply.status == 200, reply.body
        return backend.asked[-1]

    return asked


async def test_a_whole_answer_has_openais_shape_and_oracs_figures_beside_it(service):
    reply = await service.post(CHAT, CHATTING)
    assert reply.status == 200
    assert reply.body.pop("id").startswith("chatcmpl-")
    assert reply.body.pop("created") > 1_700_000_000
    beside = reply.body.pop("orac")
    assert beside.pop("elapsed_ms") > 0
    assert beside.pop("timings")["ttft_ms"] > 0
    assert beside == {
        "model": "small",
        "instance": "fake",
        "role": None,
        "served_by_fallback": False,
        "finish_reason": "stop",
        "truncated_prompt": False,
        "format_valid": None,
        "repaired": False,
    }
    message = {"role": "assistant", "content": "one two three", "refusal": None}
    assert reply.body == {
        "object": "chat.completion",
        "model": "small",
        "system_fingerprint": None,
        "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}],
        "usage": {
            "prompt_tokens": 2,
            "completion_tokens": 3,
            "total_tokens": 5,
            "prompt_tokens_details": {"cached_tokens": 0},
        },
    }


async def test_each_option_reaches_the_engine(ask):
    wish = {"options": {"top_k": 5, "min_p": 0.1, "repeat_penalty": 1.2}}
    options = (
        await ask(
            temperature=1.5,
            top_p=0.5,
            frequency_penalty=-1,
            presence_penalty=2,
            seed=7,
            stop=["a", "b"],
            max_tokens=9,
            orac=wish,
        )
    ).options
    assert (options.temperature, options.top_p, options.top_k, options.min_p) == (1.5, 0.5, 5, 0.1)
    assert (options.frequency_penalty, options.presence_penalty) == (-1, 2)
    assert (options.repeat_penalty, options.seed, options.max_tokens) == (1.2, 7, 9)
    assert options.stop == ("a", "b")


async def test_what_is_not_asked_for_is_left_to_the_engine(ask):
    options = (await ask(stop=None, seed=None, temperature=None)).options
    assert {options.temperature, options.top_p, options.seed, options.max_tokens} == {None}
    assert options.stop == ()


async def test_of_two_longest_lengths_the_newer_field_counts(ask):
    assert (await ask(max_tokens=5, max_completion_tokens=6)).options.max_tokens == 6
    assert (await ask(max_completion_tokens=6)).options.max_tokens == 6


@pytest.mark.parametrize(
    ("seed", "taken"),
    [(-1, 4_294_967_294), (4_294_967_295, 0), (-(1 << 63), 2_147_483_647), (0, 0)],
)
async def test_a_seed_of_64_bits_is_brought_into_the_engines_range(ask, seed, taken):
    assert (await ask(seed=seed)).options.seed == taken


async def test_one_stop_may_stand_by_itself(ask):
    assert (await ask(stop="x")).options.stop == ("x",)


async def test_every_role_reaches_the_engine_and_developer_is_another_system(ask):
    turns = [
        {"role": "system", "content": "be brief"},
        {"role": "developer", "content": "really"},
        {"role": "user", "content": [{"type": "text", "text": t} for t in ("how", "is it?")]},
        {"role": "assistant", "content": None, "tool_calls": [CALL]},
        {"role": "tool", "content": "rain", "tool_call_id": "a"},
        {"role": "assistant", "content": "It rains.", "name": "me"},
        TURN,
    ]
    assert (await ask(messages=turns)).messages == (
        Message("system", "be brief"),
        Message("system", "really"),
        Message("user", "how\nis it?"),
        Message("assistant", "", (ToolCall("a", "weather", "{}"),)),
        Message("tool", "rain", (), "a"),
        Message("assistant", "It rains."),
        Message("user", "hi"),
    )


@pytest.mark.parametrize(
    ("choice", "taken"),
    [
        (None, "auto"),
        ("auto", "auto"),
        ("none", "none"),
        ("required", "required"),
        ({"type": "function", "function": {"name": "weather"}}, "weather"),
    ],
)
async def test_tools_and_their_choice_reach_the_engine(ask, choice, taken):
    asked = await ask(tools=[WEATHER], tool_choice=choice, parallel_tool_calls=False)
    function = WEATHER["function"]
    tool = Tool("weather", function["description"], function["parameters"])
    assert asked.toolbox == Toolbox((tool,), taken, parallel=False)


@pytest.mark.parametrize("fields", [{}, {"tools": []}, {"tool_choice": "none"}])
async def test_without_tools_there_is_no_toolbox(ask, fields):
    assert (await ask(**fields)).toolbox is None


async def test_calls_of_tools_are_part_of_the_message(service, backend):
    pieces = CallPiece(0, '{"pl', "a", "weather"), CallPiece(0, 'ace":1}')
    calls = [Chunk(calls=(piece,)) for piece in pieces]
    backend.scripts = [(*calls, Chunk(done=True, finish_reason="stop", usage=Usage(1, 2)))]
    (choice,) = (await service.post(CHAT, {**CHATTING, "tools": [WEATHER]})).body["choices"]
    assert choice["finish_reason"] == "tool_calls"
    assert choice["message"] == {
        "role": "assistant",
        "content": None,
        "refusal": None,
        "tool_calls": [
            {
                "id": "a",
                "type": "function",
                "function": {"name": "weather", "arguments": '{"place":1}'},
            }
        ],
    }


@pytest.mark.parametrize(
    ("wanted", "taken"),
    [({"type": "text"}, None), ({"type": "json_object"}, "json"), (format_of(SCHEMA), SCHEMA)],
)
async def test_a_format_reaches_the_engine(ask, wanted, taken):
    assert (await ask(response_format=wanted)).format == taken


@pytest.mark.parametrize(("text", "valid"), [('{"go":true}', True), ('{"go":1}', False)])
async def test_whether_the_answer_has_its_format_is_told(service, backend, text, valid):
    backend.scripts = [said(text)]
    reply = await service.post(CHAT, {**CHATTING, "response_format": format_of(SCHEMA)})
    assert reply.body["orac"]["format_valid"] is valid


async def test_an_answer_that_misses_its_format_is_asked_for_once_more_on_request(service, backend):
    backend.scripts = [said("no"), said('{"go":true}')]
    fields = {"response_format": format_of(SCHEMA), "orac": {"repair": True}}
    body = (await service.post(CHAT, CHATTING | fields)).body
    assert body["choices"][0]["message"]["content"] == '{"go":true}'
    assert (body["orac"]["repaired"], body["orac"]["format_valid"]) == (True, True)


@pytest.mark.parametrize(
    ("fields", "taken"),
    [
        ({}, None),
        ({"logprobs": False}, None),
        ({"logprobs": True}, 0),
        ({"logprobs": True, "top_logprobs": 20}, 20),
        ({"top_logprobs": 0}, None),
    ],
)
async def test_logprobs_are_asked_of_the_engine(ask, fields, taken):
    assert (await ask(**fields)).top_logprobs == taken


async def test_logprobs_are_told_for_each_token(service, backend):
    top = (Candidate("é", -0.5), Candidate("\ufffd", float("-inf")))
    token = Token("é", -0.5, None, top), Token("\ufffd", -1.0, b"\xc3")
    done = Chunk(done=True, finish_reason="stop")
    backend.scripts = [(Chunk("é\ufffd", tokens=token), done)]
    asked = {**CHATTING, "logprobs": True, "top_logprobs": 2}
    (choice,) = (await service.post(CHAT, asked)).body["choices"]
    likeliest = {"token": "é", "logprob": -0.5, "bytes": [195, 169]}
    unlikely = {"token": "\ufffd", "logprob": -9999.0, "bytes": None}
    assert choice["logprobs"] == {
        "content": [
            {**likeliest, "top_logprobs": [likeliest, unlikely]},
            {"token": "\ufffd", "logprob": -1.0, "bytes": [195], "top_logprobs": []},
        ],
        "refusal": None,
    }


async def test_tokens_that_the_engine_did_not_count_are_null(service, backend):
    backend.scripts = [said("x", usage=Usage()), said("x", usage=Usage(None, 3))]
    assert (await service.post(CHAT, CHATTING)).body["usage"] is None
    usage = (await service.post(CHAT, CHATTING)).body["usage"]
    assert usage == {"prompt_tokens": 0, "completion_tokens": 3, "total_tokens": 3}


async def test_a_deadline_ends_the_answer_in_time_with_what_there_is(service, backend):
    backend.hold("word 0")
    body = (await service.post(CHAT, {**CHATTING, "orac": {"deadline_ms": 100}})).body
    assert body["choices"][0]["message"]["content"] == "one "
    assert body["choices"][0]["finish_reason"] == "length"
    assert body["orac"]["finish_reason"] == "deadline"


async def test_a_deadline_before_the_first_token_is_504(service, backend):
    backend.hold("first")
    reply = await service.post(CHAT, {**CHATTING, "orac": {"deadline_ms": 30}})
    assert (reply.status, reply.error["code"]) == (504, "deadline_exceeded")


async def test_a_prompt_too_long_is_refused_with_openais_code(service, backend):
    backend.failures["first"] = PromptTooLong("5000 tokens exceed the context of 4096")
    reply = await service.post(CHAT, CHATTING)
    assert (reply.status, reply.error["code"]) == (400, "context_length_exceeded")


async def test_a_prompt_that_the_engine_cut_is_flagged(service, backend):
    backend.scripts = [said("x", truncated_prompt=True)]
    assert (await service.post(CHAT, CHATTING)).body["orac"]["truncated_prompt"]


async def test_keep_alive_holds_after_the_answer(ask):
    assert (await ask(keep_alive="5m")).keep_alive_s == 300
    assert (await ask(keep_alive=-1)).keep_alive_s == float("inf")


async def test_a_role_is_a_model_too(open_service, backend):
    manifest = {
        "backends": {"fake": {"kind": "scripted"}},
        "profiles": {"default": {"models": {"general": "small"}}},
    }
    service = await open_service(backend, manifest=manifest)
    body = (await service.post(CHAT, {**CHATTING, "model": "general"})).body
    assert (body["model"], body["orac"]["model"], body["orac"]["role"]) == (
        *("general", "small", "general"),
    )
    assert (await service.get("/v1/models/general")).body["id"] == "small"
