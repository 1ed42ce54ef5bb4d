"""LiteLLM, against ORAC."""

import base64
import json
import os
import struct

import pytest

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # else it asks the internet for prices

import litellm
import openai
from litellm.exceptions import BadRequestError, NotFoundError

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

SCHEMA = {"type": "object", "properties": {"go": {"type": "boolean"}}, "required": ["go"]}
FORMAT = {"type": "json_schema", "json_schema": {"name": "answer", "schema": SCHEMA}}
WEATHER = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}

pytestmark = pytest.mark.filterwarnings("default")


@pytest.fixture(autouse=True)
def nothing_kept(untidy):
    """No client of one test is there for the next one."""
    yield
    litellm.in_memory_llm_clients_cache.flush_cache()


@pytest.fixture
def demo(real):
    """Asks the service of the real engine."""

    async def asked(*, model=ROBOT, api_key=USER, **fields):
        wish = {"messages": COMMAND, "temperature": 0, "max_retries": 0, **fields}
        return await litellm.acompletion(
            model=f"openai/{model}", api_base=real.base_url, api_key=api_key, **wish
        )

    return asked


@pytest.fixture
def ask(base_url):
    """Asks the model ``small``, or another one, with further fields."""

    async def asked(text, *, model="small", **fields):
        return await litellm.acompletion(
            model=f"openai/{model}",
            messages=[{"role": "user", "content": text}],
            api_base=base_url,
            api_key="none",
            max_retries=0,
            **fields,
        )

    return asked


async def test_it_chats(ask):
    answer = await ask("hi")
    assert answer.choices[0].message.content == "one two three"
    assert answer.usage.total_tokens == 5


async def test_it_streams_with_the_tokens_used_at_the_end(ask):
    stream = await ask("hi", stream=True, stream_options={"include_usage": True})
    chunks = [chunk async for chunk in stream]
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == "one two three"
    (usage,) = [chunk.usage for chunk in chunks if getattr(chunk, "usage", None)]
    assert usage.total_tokens == 5


async def test_it_gets_json_of_a_schema(ask):
    answer = await ask("go?", response_format=FORMAT)
    assert json.loads(answer.choices[0].message.content) == {"go": True}


async def test_it_calls_tools(ask):
    (choice,) = (await ask("rain?", tools=[WEATHER])).choices
    assert choice.finish_reason == "tool_calls"
    assert choice.message.tool_calls[0].function.arguments == '{"place":"Rome"}'


@pytest.mark.parametrize("code", STATUSES)
async def test_each_error_keeps_its_status(ask, code):
    with pytest.raises(openai.OpenAIError) as failed:
        await ask(f"fail {code}")
    assert vars(failed.value)["status_code"] == STATUSES[code]


async def test_a_model_that_there_is_not_is_not_found(ask):
    with pytest.raises(NotFoundError):
        await ask("hi", model="absent", stream=True)


async def test_a_prompt_too_long_says_so_in_words_that_newer_releases_know(ask):
    with pytest.raises(BadRequestError, match="exceeds the available context size"):
        await ask("fail context_length_exceeded")


async def test_an_error_in_mid_stream_is_raised(ask):
    stream = await ask("break backend_error", stream=True)
    with pytest.raises(openai.OpenAIError, match="the engine stumbled"):
        async for _ in stream:
            pass


async def test_a_stream_that_is_left_stops_the_engine(ask, actor):
    stream = await ask("endless", stream=True)
    async for chunk in stream:
        if chunk.choices[0].delta.content:
            break
    await stream.aclose()
    await until(lambda: actor.generating == 0)


def test_it_lists_the_models_of_the_service(real):
    found = litellm.get_valid_models(
        check_provider_endpoint=True,
        custom_llm_provider="openai",
        api_base=real.base_url,
        api_key=USER,
    )
    assert {ROBOT, ENDLESS} <= {*found}


async def test_it_chats_with_the_real_engine(demo):
    answer = await demo()
    assert answer.choices[0].message.content == MOVED
    assert answer.choices[0].finish_reason == "stop"


async def test_it_streams_from_the_real_engine_with_the_tokens_used_at_the_end(demo):
    stream = await demo(stream=True, stream_options={"include_usage": True})
    chunks = [chunk async for chunk in stream]
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == MOVED
    (usage,) = [chunk.usage for chunk in chunks if getattr(chunk, "usage", None)]
    assert usage.completion_tokens > 0


async def test_it_gets_json_of_a_schema_from_the_real_engine(demo):
    answer = await demo(response_format=FORMAT, max_tokens=50)
    assert isinstance(json.loads(answer.choices[0].message.content)["go"], bool)


async def test_the_real_engine_calls_tools(demo):
    (choice,) = (await demo(model=CALLER, tools=[WEATHER], tool_choice="required")).choices
    assert choice.message.tool_calls[0].function.name == "weather"


@pytest.mark.parametrize("encoding", ["float", "base64"])
async def test_it_embeds(real, encoding):
    made = await litellm.aembedding(
        model=f"openai/{ROBOT}",
        input=["go home", "stop"],
        api_base=real.base_url,
        api_key=USER,
        encoding_format=encoding,
    )
    vectors = [each["embedding"] for each in made.data]
    if encoding == "base64":
        vectors = [struct.unpack(f"<{WIDTH}f", base64.b64decode(each)) for each in vectors]
    assert [len(each) for each in vectors] == [WIDTH, WIDTH]
    assert vectors[0] != pytest.approx(vectors[1], abs=1e-3)


@pytest.mark.parametrize(
    ("status", "fields"),
    [
        (400, {"messages": [{"role": "user", "content": TOO_LONG}]}),
        (400, {"top_p": 7}),
        (401, {"api_key": WRONG}),
        (403, {"extra_headers": FOREIGN}),
        (404, {"model": "absent"}),
        (413, {"messages": [{"role": "user", "content": TOO_LARGE}]}),
        (422, {"model": BROKEN}),
    ],
    ids=["too long", "bad field", "wrong token", "foreign page", "absent", "too large", "broken"],
)
async def test_each_refusal_of_the_service_keeps_its_status(demo, status, fields):
    with pytest.raises(openai.OpenAIError) as refused:
        await demo(**fields)
    assert vars(refused.value)["status_code"] == status


async def test_a_stream_that_is_left_stops_the_real_engine(demo, real):
    before = real.cancelled()
    stream = await demo(model=ENDLESS, stream=True)
    async for chunk in stream:
        if chunk.choices[0].delta.content:
            break
    await stream.aclose()
    await real.stops(before)
