"""The official client for Python, against ORAC."""

import base64
import json
import math
import struct

import httpx
import openai
import pytest

from orac_core import ModelManager, QueueFull
from orac_server import sse
from tests.clients.actor import STATUSES
from tests.clients.real import (
    BROKEN,
    CALLER,
    COMMAND,
    ENDLESS,
    FOREIGN,
    MOVED,
    ROBOT,
    TOO_LARGE,
    TOO_LONG,
    USER,
    WIDTH,
    WRONG,
)
from tests.waiting import until

SCHEMA = {
    "type": "object",
    "properties": {"go": {"type": "boolean"}},
    "required": ["go"],
    "additionalProperties": False,
}
FORMAT = {"type": "json_schema", "json_schema": {"name": "answer", "schema": SCHEMA}}
WEATHER = {
    "type": "function",
    "function": {
        "name": "weather",
        "parameters": {"type": "object", "properties": {"place": {"type": "string"}}},
    },
}
KINDS = {
    400: openai.BadRequestError,
    404: openai.NotFoundError,
    409: openai.ConflictError,
    413: openai.APIStatusError,
    415: openai.APIStatusError,
    422: openai.UnprocessableEntityError,
    429: openai.RateLimitError,
    500: openai.InternalServerError,
    502: openai.InternalServerError,
    503: openai.InternalServerError,
    504: openai.InternalServerError,
}


def saying(text):
    return {"model": "small", "messages": [{"role": "user", "content": text}]}


@pytest.fixture(scope="module")
def demo(real):
    """The client of the service of the real engine, with the token of a user."""
    with openai.OpenAI(base_url=real.base_url, api_key=USER, max_retries=0) as opened:
        yield opened


@pytest.fixture
async def client(base_url):
    """The client of the service of the actor."""
    async with openai.AsyncOpenAI(base_url=base_url, api_key="none", max_retries=0) as opened:
        yield opened


def test_it_lists_models_of_the_real_engine(demo):
    (model,) = [each for each in demo.models.list() if each.id == ROBOT]
    assert (model.object, model.owned_by) == ("model", "local")
    assert model.created > 0
    assert model.model_extra["architecture"] == "llama"
    assert demo.models.retrieve(ROBOT).id == ROBOT


def test_it_chats_with_the_real_engine(demo):
    answer = demo.chat.completions.create(model=ROBOT, messages=COMMAND, temperature=0)
    assert answer.choices[0].message.content == MOVED
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens
    assert answer.model_extra["orac"]["timings"]["decode_tokens_per_second"] > 0


def test_it_streams_from_the_real_engine_with_the_tokens_used_at_the_end(demo):
    asked = {"model": ROBOT, "messages": COMMAND, "temperature": 0}
    stream = demo.chat.completions.create(
        **asked, stream=True, stream_options={"include_usage": True}
    )
    *chunks, last = list(stream)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == MOVED
    assert chunks[-1].choices[0].finish_reason == "stop"
    assert (last.choices, last.usage.completion_tokens > 0) == ([], True)


def test_it_gets_json_of_a_schema_from_the_real_engine(demo):
    answer = demo.chat.completions.create(
        model=ROBOT, messages=COMMAND, response_format=FORMAT, max_tokens=50
    )
    assert isinstance(json.loads(answer.choices[0].message.content)["go"], bool)
    assert answer.model_extra["orac"]["format_valid"]


def test_it_completes_text_with_the_real_engine(demo):
    answer = demo.completions.create(model=ROBOT, prompt="Move", max_tokens=1, temperature=0)
    assert answer.choices[0].text
    assert (answer.choices[0].finish_reason, answer.usage.completion_tokens) == ("length", 1)


@pytest.mark.parametrize("encoding", [openai.omit, "float", "base64"])
def test_embeddings_come_in_base64_by_default_and_as_numbers(demo, encoding):
    made = demo.embeddings.create(
        model=ROBOT, input=["go home", "stop", "go home"], encoding_format=encoding
    )
    vectors = [each.embedding for each in made.data]
    if encoding == "base64":
        vectors = [struct.unpack(f"<{WIDTH}f", base64.b64decode(each)) for each in vectors]
    assert [math.hypot(*vector) for vector in vectors] == pytest.approx([1.0] * 3, abs=1e-5)
    assert vectors[0] == pytest.approx(vectors[2], abs=1e-3)
    assert vectors[0] != pytest.approx(vectors[1], abs=1e-3)
    assert (made.model, made.usage.prompt_tokens > 3) == (ROBOT, True)


def test_tools_are_called_by_the_real_engine(demo):
    answer = demo.chat.completions.create(
        model=CALLER, messages=COMMAND, tools=[WEATHER], tool_choice="required", temperature=0
    )
    assert answer.choices[0].message.tool_calls[0].function.name == "weather"


def test_a_prompt_too_long_for_the_real_engine_has_openais_code(demo):
    with pytest.raises(openai.BadRequestError, match="context") as refused:
        demo.chat.completions.create(model=ROBOT, messages=[{"role": "user", "content": TOO_LONG}])
    assert refused.value.code == "context_length_exceeded"


def test_a_wrong_token_is_401(demo):
    with pytest.raises(openai.AuthenticationError) as refused:
        demo.with_options(api_key=WRONG).chat.completions.create(model=ROBOT, messages=COMMAND)
    assert refused.value.code == "unauthorized"
    assert "Bearer" in refused.value.response.headers["WWW-Authenticate"]


def test_a_user_who_would_load_a_model_is_403(demo):
    with pytest.raises(openai.PermissionDeniedError) as refused:
        demo.post("/models/load", body={"model": ROBOT}, cast_to=object)
    assert refused.value.code == "forbidden"


def test_a_page_of_elsewhere_is_403(demo):
    with pytest.raises(openai.PermissionDeniedError) as refused:
        demo.chat.completions.create(model=ROBOT, messages=COMMAND, extra_headers=FOREIGN)
    assert refused.value.code == "origin_not_allowed"


def test_a_body_too_large_is_413(demo):
    with pytest.raises(openai.APIStatusError) as refused:
        demo.chat.completions.create(model=ROBOT, messages=[{"role": "user", "content": TOO_LARGE}])
    assert (refused.value.status_code, refused.value.code) == (413, "body_too_large")


def test_a_broken_file_is_422(demo):
    with pytest.raises(openai.UnprocessableEntityError) as refused:
        demo.chat.completions.create(model=BROKEN, messages=COMMAND)
    assert refused.value.code == "model_file_invalid"


async def test_a_stream_that_is_left_stops_the_real_engine(demo, real):
    before = real.cancelled()
    with demo.chat.completions.create(
        model=ENDLESS, messages=COMMAND, temperature=0, stream=True
    ) as stream:
        assert next(chunk for chunk in stream if chunk.choices[0].delta.content)
    await real.stops(before)


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_a_model_that_there_is_not_is_not_found(demo, stream):
    with pytest.raises(openai.NotFoundError) as missing:
        demo.chat.completions.create(model="absent", messages=COMMAND, stream=stream)
    assert (missing.value.code, missing.value.param) == ("model_not_found", "model")
    with pytest.raises(openai.NotFoundError):
        demo.models.retrieve("absent")


async def test_a_role_is_a_model(client):
    answer = await client.chat.completions.create(**saying("hi") | {"model": "general"})
    assert (answer.model, answer.model_extra["orac"]["model"]) == ("general", "small")
    assert (await client.models.retrieve("general")).id == "small"


async def test_what_only_orac_has_goes_in_an_extra_body(client, actor):
    wish = {"keep_alive": "5m", "orac": {"options": {"top_k": 3}}}
    await client.chat.completions.create(**saying("hi"), extra_body=wish)
    assert (actor.asked[-1].keep_alive_s, actor.asked[-1].options.top_k) == (300, 3)


async def test_tools_are_called(client):
    answer = await client.chat.completions.create(**saying("rain?"), tools=[WEATHER])
    (choice,) = answer.choices
    (call,) = choice.message.tool_calls
    assert (choice.finish_reason, choice.message.content) == ("tool_calls", None)
    assert (call.id, call.function.name) == ("call_1", "weather")
    assert json.loads(call.function.arguments) == {"place": "Rome"}
    result = {"role": "tool", "tool_call_id": call.id, "content": "rain"}
    turns = [*saying("rain?")["messages"], choice.message, result]
    answer = await client.chat.completions.create(model="small", messages=turns)
    assert answer.choices[0].message.content == "one two three"


async def test_the_clients_own_helper_puts_streamed_calls_together(client):
    async with client.chat.completions.stream(**saying("rain?"), tools=[WEATHER]) as stream:
        answer = await stream.get_final_completion()
    (call,) = answer.choices[0].message.tool_calls
    assert (call.id, call.function.name, call.function.arguments) == (
        *("call_1", "weather", '{"place":"Rome"}'),
    )
    assert answer.choices[0].finish_reason == "tool_calls"


async def test_logprobs_are_told(client):
    answer = await client.chat.completions.create(**saying("hi"), logprobs=True, top_logprobs=2)
    told = answer.choices[0].logprobs.content
    assert [each.token for each in told] == ["one ", "two ", "three"]
    assert [len(each.top_logprobs) for each in told] == [2, 2, 2]
    assert math.isclose(told[0].logprob, -1.0)


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("code", STATUSES)
async def test_each_error_has_its_class_and_code(client, code, stream):
    with pytest.raises(KINDS[STATUSES[code]]) as failed:
        await client.chat.completions.create(**saying(f"fail {code}"), stream=stream)
    assert (failed.value.status_code, failed.value.code) == (STATUSES[code], code)
    assert failed.value.type in {"invalid_request_error", "rate_limit_error", "server_error"}


async def test_a_field_at_fault_is_named(client):
    with pytest.raises(openai.BadRequestError) as refused:
        await client.chat.completions.create(**saying("hi"), temperature=3)
    assert refused.value.param == "temperature"


async def test_a_stream_that_is_closed_stops_the_engine(client, actor):
    stream = await client.chat.completions.create(**saying("endless"), stream=True)
    async for chunk in stream:
        if chunk.choices[0].delta.content:
            break
    assert actor.generating == 1
    await stream.close()
    await until(lambda: actor.generating == 0)


async def test_a_comment_in_a_stream_is_passed_over(client, actor, monkeypatch):
    monkeypatch.setattr(sse, "SILENCE_S", 0.01)
    monkeypatch.setattr(sse, "KEEP_ALIVE_S", 0.01)
    gate = actor.hold("word 0")
    stream = await client.chat.completions.create(**saying("hi"), stream=True)
    chunks = []
    async for chunk in stream:
        chunks.append(chunk.choices[0].delta.content)
        gate.set()
    assert chunks == ["", "one ", "two ", "three", None]


async def test_an_error_in_mid_stream_keeps_its_code_type_and_message(client):
    stream = await client.chat.completions.create(
        **saying("break backend_unavailable"), stream=True
    )
    with pytest.raises(openai.APIError, match="the engine died") as failed:
        async for _ in stream:
            pass
    assert (failed.value.code, failed.value.type) == ("backend_unavailable", "server_error")


async def test_a_stream_that_ends_well_says_so_as_the_client_would_not_notice(service):
    async with httpx.AsyncClient() as raw:
        asked = {**saying("hi"), "stream": True}
        text = (await raw.post(f"{service.url}v1/chat/completions", json=asked)).text
        assert text.endswith("data: [DONE]\n\n")
        asked = {**saying("break backend_error"), "stream": True}
        text = (await raw.post(f"{service.url}v1/chat/completions", json=asked)).text
        assert "[DONE]" not in text


async def test_the_client_asks_again_by_itself_when_it_is_told_to(base_url, monkeypatch):
    answer, failures = ModelManager.answer, [QueueFull("too many wait", 0)]

    async def stumbling(*given, **options):
        if failures:
            raise failures.pop()
        return await answer(*given, **options)

    monkeypatch.setattr(ModelManager, "answer", stumbling)
    async with openai.AsyncOpenAI(base_url=base_url, api_key="none", max_retries=1) as client:
        told = await client.chat.completions.create(**saying("hi"))
    assert (told.choices[0].message.content, failures) == ("one two three", [])
