"""Bodies on OpenAI's routes: what is passed over, what is refused, and that nothing is a 500."""

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orac_core import EmbedRequest, GenerateRequest, InvalidRequest
from orac_server import schema
from orac_server.openai.chat import ChatBody
from orac_server.openai.completions import CompletionBody
from orac_server.openai.embeddings import EmbeddingsBody
from tests.server.openai.asking import (
    CHAT,
    CHATTING,
    COMPLETING,
    COMPLETIONS,
    EMBEDDING,
    EMBEDDINGS,
    TURN,
    WEATHER,
)

BODIES: dict[str, dict[str, Any]] = {CHAT: CHATTING, COMPLETIONS: COMPLETING, EMBEDDINGS: EMBEDDING}
TYPES = {ChatBody: CHATTING, CompletionBody: COMPLETING, EmbeddingsBody: EMBEDDING}

PASSED_OVER = {
    "user": "me",
    "metadata": {"a": "b"},
    "store": True,
    "service_tier": "auto",
    "reasoning_effort": "high",
    "verbosity": "low",
    "prompt_cache_key": "k",
    "safety_identifier": "s",
    "prediction": {"type": "content", "content": "x"},
    "of_next_year": [1, {"a": None}],
}

NAMED = {"type": "function", "function": {"name": "other"}}
UNWRITTEN = {"role": "user", "content": [{"type": "text"}]}
SPOKEN = {"role": "user", "content": [{"type": "input_audio"}]}
CALLING = {**TURN, "tool_calls": [{"id": "a", "function": {"name": "f"}}]}
SPACED = {"type": "function", "function": {"name": "a b"}}
UNFORMATTED = {"type": "json_schema"}
FORMATTED = {"type": "json_schema", "json_schema": {"name": "a b", "schema": {}}}
AUTO = {"type": "function", "function": {"name": "auto"}}

REFUSED = [
    (CHAT, {"n": 2}, "n"),
    (CHAT, {"n": 0}, "n"),
    (CHAT, {"logit_bias": {"5": 1}}, "logit_bias"),
    (CHAT, {"functions": [{}]}, "functions"),
    (CHAT, {"function_call": "auto"}, "function_call"),
    (CHAT, {"audio": {"voice": "a"}}, "audio"),
    (CHAT, {"modalities": ["text", "audio"]}, "modalities"),
    (CHAT, {"web_search_options": {"a": 1}}, "web_search_options"),
    (CHAT, {"temperature": 2.1}, "temperature"),
    (CHAT, {"temperature": "0"}, "temperature"),
    (CHAT, {"top_p": 1.1}, "top_p"),
    (CHAT, {"frequency_penalty": 2.5}, "frequency_penalty"),
    (CHAT, {"presence_penalty": -2.5}, "presence_penalty"),
    (CHAT, {"seed": 1 << 63}, "seed"),
    (CHAT, {"seed": 1.5}, "seed"),
    (CHAT, {"max_tokens": 0}, "max_tokens"),
    (CHAT, {"max_completion_tokens": 0}, "max_completion_tokens"),
    (CHAT, {"stop": ["x"] * 17}, "stop"),
    (CHAT, {"stop": [""]}, "stop.0"),
    (CHAT, {"stream": "yes"}, "stream"),
    (CHAT, {"stream_options": {"include_usage": 1}}, "stream_options.include_usage"),
    (CHAT, {"logprobs": 1}, "logprobs"),
    (CHAT, {"logprobs": True, "top_logprobs": 21}, "top_logprobs"),
    (CHAT, {"top_logprobs": 1}, "top_logprobs"),
    (CHAT, {"keep_alive": "soon"}, "keep_alive"),
    (CHAT, {"orac": {"deadline": 5}}, "orac.deadline"),
    (CHAT, {"orac": {"deadline_ms": 0}}, "orac.deadline_ms"),
    (CHAT, {"orac": {"options": {"temperature": 1}}}, "orac.options.temperature"),
    (CHAT, {"orac": {"repair": True}}, "orac.repair"),
    (CHAT, {"messages": []}, "messages"),
    (CHAT, {"messages": [{"role": "function", "content": "x"}]}, "messages.0.role"),
    (CHAT, {"messages": [TURN, {"role": "user"}]}, "messages.1.content"),
    (CHAT, {"messages": [{"role": "assistant"}]}, "messages.0.content"),
    (CHAT, {"messages": [{"role": "user", "content": 5}]}, "messages.0.content"),
    (CHAT, {"messages": [{"role": "tool", "content": "x"}]}, "messages.0.tool_call_id"),
    (CHAT, {"messages": [UNWRITTEN]}, "messages.0.content.0.text"),
    (CHAT, {"messages": [SPOKEN]}, "messages.0.content.0.type"),
    (CHAT, {"messages": [CALLING]}, "messages.0.tool_calls.0.function.arguments"),
    (CHAT, {"tools": [{"type": "custom", "function": {"name": "a"}}]}, "tools.0.type"),
    (CHAT, {"tools": [SPACED]}, "tools.0.function.name"),
    (CHAT, {"tools": [WEATHER, WEATHER]}, "tools.1.function.name"),
    (CHAT, {"tools": [WEATHER], "tool_choice": NAMED}, "tool_choice.function.name"),
    (CHAT, {"tools": [AUTO], "tool_choice": AUTO}, "tool_choice.function.name"),
    (CHAT, {"tools": [WEATHER], "tool_choice": "maybe"}, "tool_choice"),
    (CHAT, {"tool_choice": "required"}, "tool_choice"),
    (CHAT, {"response_format": {"type": "xml"}}, "response_format.type"),
    (CHAT, {"response_format": UNFORMATTED}, "response_format.json_schema"),
    (CHAT, {"response_format": FORMATTED}, "response_format.json_schema.name"),
    (COMPLETIONS, {"prompt": ""}, "prompt"),
    (COMPLETIONS, {"prompt": ["a", "b"]}, "prompt"),
    (COMPLETIONS, {"prompt": []}, "prompt"),
    (COMPLETIONS, {"prompt": [1, 2]}, "prompt"),
    (COMPLETIONS, {"prompt": [[1, 2]]}, "prompt"),
    (COMPLETIONS, {"echo": True}, "echo"),
    (COMPLETIONS, {"suffix": "x"}, "suffix"),
    (COMPLETIONS, {"best_of": 2}, "best_of"),
    (COMPLETIONS, {"n": 2}, "n"),
    (COMPLETIONS, {"logprobs": 21}, "logprobs"),
    (COMPLETIONS, {"orac": {"repair": True}}, "orac.repair"),
    (EMBEDDINGS, {"input": ""}, "input"),
    (EMBEDDINGS, {"input": []}, "input"),
    (EMBEDDINGS, {"input": ["a", ""]}, "input.1"),
    (EMBEDDINGS, {"input": ["a"] * 2049}, "input"),
    (EMBEDDINGS, {"input": ["a", 2]}, "input"),
    (EMBEDDINGS, {"input": [[1, 2]]}, "input"),
    (EMBEDDINGS, {"dimensions": 0}, "dimensions"),
    (EMBEDDINGS, {"encoding_format": "int8"}, "encoding_format"),
    (EMBEDDINGS, {"keep_alive": "soon"}, "keep_alive"),
    (EMBEDDINGS, {"orac": {"repair": True}}, "orac.repair"),
]


@pytest.mark.parametrize("path", BODIES)
async def test_what_is_of_no_consequence_or_not_known_is_passed_over(service, path):
    assert (await service.post(path, BODIES[path] | PASSED_OVER)).status == 200


@pytest.mark.parametrize("path", [CHAT, COMPLETIONS])
async def test_wishes_that_are_none_are_passed_over(service, path):
    none = {"n": 1, "logit_bias": {}, "functions": [], "suffix": None, "echo": False, "best_of": 1}
    assert (await service.post(path, BODIES[path] | none)).status == 200


@pytest.mark.parametrize(("path", "fields", "fault"), REFUSED, ids=str)
async def test_what_can_not_be_done_is_refused_and_named(service, backend, path, fields, fault):
    reply = await service.post(path, BODIES[path] | fields)
    assert fault in reply.faults
    assert (reply.error["type"], reply.error["param"]) == ("invalid_request_error", fault)
    assert backend.asked == []


@pytest.mark.parametrize("path", BODIES)
async def test_a_body_without_its_fields_is_refused_and_names_each(service, path):
    reply = await service.post(path, {})
    assert set(reply.faults) == set(BODIES[path])


async def test_every_fault_is_named_at_once(service):
    fields = {"n": 2, "logit_bias": {"1": 1}, "messages": [{"role": "user"}], "top_logprobs": 1}
    reply = await service.post(CHAT, CHATTING | fields)
    assert set(reply.faults) == {"n", "logit_bias", "messages.0.content", "top_logprobs"}


@pytest.mark.parametrize(
    ("path", "fields", "fault"),
    [
        (CHAT, {"seed": 1e18}, "seed"),
        (COMPLETIONS, {"prompt": [[1 << 63, 1e300]]}, "prompt.0.1"),
        (EMBEDDINGS, {"input": ["a", 1e30]}, "input.1"),
    ],
)
async def test_a_whole_number_that_can_not_be_read_exactly_is_refused(service, path, fields, fault):
    reply = await service.post(path, BODIES[path] | fields)
    assert reply.faults == {fault: schema.DIGITS}


async def test_a_stream_can_not_be_repaired(service):
    fields = {"response_format": {"type": "json_object"}, "orac": {"repair": True}, "stream": True}
    assert list((await service.post(CHAT, CHATTING | fields)).faults) == ["orac.repair"]


@pytest.mark.parametrize("path", BODIES)
async def test_a_model_that_there_is_not_is_404_before_any_stream(service, path):
    reply = await service.post(path, BODIES[path] | {"model": "absent", "stream": True})
    assert (reply.status, reply.error["code"], reply.error["param"]) == (
        *(404, "model_not_found", "model"),
    )


NUMBERS = st.integers() | st.floats(allow_nan=False) | st.integers(0, 1 << 80).map(float)
ANY = st.recursive(
    st.none() | st.booleans() | NUMBERS | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


def fields_of(cls):
    return list(schema.document(cls)["$defs"][cls.__name__]["properties"])


@pytest.mark.parametrize("cls", TYPES)
@given(data=st.data())
def test_any_json_is_a_request_or_refused(cls, data):
    named = st.dictionaries(st.sampled_from(fields_of(cls)), ANY, max_size=4)
    given_ = data.draw(ANY | named | named.map(TYPES[cls].__or__))
    with suppress(InvalidRequest):
        assert isinstance(schema.structure(given_, cls).request, GenerateRequest | EmbedRequest)
