"""LangChain's client of OpenAI's API, against ORAC."""

from contextlib import aclosing

import openai
import pytest
from langchain_core.messages import HumanMessage, ToolMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI, OpenAIEmbeddings

from tests.clients.actor import STATUSES
from tests.clients.real import (
    BROKEN,
    CALLER,
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
    "title": "answer",
    "description": "whether to go",
    "type": "object",
    "properties": {"go": {"type": "boolean"}},
    "required": ["go"],
}


@tool
def weather(place: str) -> str:
    """The weather of a place."""
    return f"rain in {place}"


@tool
def home() -> str:
    """Goes home."""
    return "there"


@pytest.fixture
async def http():
    """Connections of this test alone: LangChain keeps its own for the loops of later ones."""
    async with openai.DefaultAsyncHttpxClient() as client:
        yield client


@pytest.fixture
def demo(real, http):
    """Makes clients of the service of the real engine."""

    def made(model=ROBOT, api_key=USER, **options):
        return ChatOpenAI(
            model=model,
            base_url=real.base_url,
            api_key=api_key,
            temperature=0,
            max_retries=0,
            http_async_client=http,
            **options,
        )

    return made


@pytest.fixture
def chat(base_url, http):
    return ChatOpenAI(
        model="small", base_url=base_url, api_key="none", max_retries=0, http_async_client=http
    )


async def test_it_chats(chat):
    answer = await chat.ainvoke("hi")
    assert answer.content == "one two three"
    assert answer.usage_metadata["total_tokens"] == 5
    assert answer.response_metadata["finish_reason"] == "stop"


async def test_it_streams_with_the_tokens_used_at_the_end(base_url, http):
    chat = ChatOpenAI(
        model="small", base_url=base_url, api_key="none", stream_usage=True, http_async_client=http
    )
    chunks = [chunk async for chunk in chat.astream("hi")]
    assert "".join(str(chunk.content) for chunk in chunks) == "one two three"
    assert (
        sum(chunk.usage_metadata["total_tokens"] for chunk in chunks if chunk.usage_metadata) == 5
    )


async def test_it_gets_json_of_a_schema(chat):
    structured = chat.with_structured_output(SCHEMA, method="json_schema")
    assert await structured.ainvoke("go?") == {"go": True}


async def test_it_calls_tools_and_tells_their_results(chat):
    answer = await chat.bind_tools([weather]).ainvoke("rain?")
    (call,) = answer.tool_calls
    assert (call["name"], call["args"]) == ("weather", {"place": "Rome"})
    result = ToolMessage(weather.invoke(call["args"]), tool_call_id=call["id"])
    answer = await chat.ainvoke([HumanMessage("rain?"), answer, result])
    assert answer.content == "one two three"


async def test_it_is_told_logprobs(chat):
    answer = await chat.bind(logprobs=True).ainvoke("hi")
    assert len(answer.response_metadata["logprobs"]["content"]) == 3


@pytest.mark.parametrize("code", STATUSES)
async def test_each_error_keeps_its_status_and_code(chat, code):
    with pytest.raises(openai.APIStatusError) as failed:
        await chat.ainvoke(f"fail {code}")
    assert (failed.value.status_code, failed.value.code) == (STATUSES[code], code)


async def test_an_error_in_mid_stream_is_raised(chat):
    with pytest.raises(openai.APIError, match="the engine died"):
        async for _ in chat.astream("break backend_unavailable"):
            pass


async def test_a_stream_that_is_left_stops_the_engine(chat, actor):
    async with aclosing(chat.astream("endless")) as stream:
        async for chunk in stream:
            if chunk.content:
                break
    await until(lambda: actor.generating == 0)
    assert actor.closed_early == 1


async def test_it_chats_with_the_real_engine(demo):
    answer = await demo().ainvoke("Move forward 1.5 meters")
    assert answer.content == MOVED
    assert answer.response_metadata["finish_reason"] == "stop"


async def test_it_streams_from_the_real_engine_with_the_tokens_used_at_the_end(demo):
    chunks = [chunk async for chunk in demo(stream_usage=True).astream("Move forward 1.5 meters")]
    assert "".join(str(chunk.content) for chunk in chunks) == MOVED
    (used,) = [chunk.usage_metadata for chunk in chunks if chunk.usage_metadata]
    assert used["output_tokens"] > 0


async def test_it_gets_json_of_a_schema_from_the_real_engine(demo):
    structured = demo(max_tokens=50).with_structured_output(SCHEMA, method="json_schema")
    assert isinstance((await structured.ainvoke("Stop!"))["go"], bool)


async def test_the_real_engine_calls_tools(demo):
    answer = await demo(CALLER).bind_tools([home], tool_choice="required").ainvoke("go home")
    assert answer.tool_calls[0]["name"] == "home"


@pytest.mark.parametrize("encoding", [{}, {"encoding_format": "float"}], ids=["base64", "float"])
async def test_it_embeds_when_it_sends_text_instead_of_tokens(real, http, encoding):
    embeddings = OpenAIEmbeddings(
        model=ROBOT,
        base_url=real.base_url,
        api_key=USER,
        check_embedding_ctx_length=False,
        model_kwargs=encoding,
        http_async_client=http,
    )
    first, second = await embeddings.aembed_documents(["go home", "stop"])
    assert (len(first), len(second)) == (WIDTH, WIDTH)
    assert await embeddings.aembed_query("go home") == pytest.approx(first, abs=1e-3)
    assert first != pytest.approx(second, abs=1e-3)


@pytest.mark.parametrize(
    ("kind", "options", "text"),
    [
        (openai.BadRequestError, {}, TOO_LONG),
        (openai.BadRequestError, {"top_p": 7}, "hi"),
        (openai.AuthenticationError, {"api_key": WRONG}, "hi"),
        (openai.PermissionDeniedError, {"default_headers": FOREIGN}, "hi"),
        (openai.NotFoundError, {"model": "absent"}, "hi"),
        (openai.UnprocessableEntityError, {"model": BROKEN}, "hi"),
    ],
    ids=["too long", "bad field", "wrong token", "foreign page", "absent", "broken"],
)
async def test_each_refusal_of_the_service_has_its_class(demo, kind, options, text):
    with pytest.raises(kind):
        await demo(**options).ainvoke(text)


async def test_a_body_too_large_is_413(demo):
    with pytest.raises(openai.APIStatusError) as refused:
        await demo().ainvoke(TOO_LARGE)
    assert refused.value.status_code == 413


async def test_a_stream_that_is_left_stops_the_real_engine(demo, real):
    before = real.cancelled()
    async with aclosing(demo(ENDLESS).astream("go")) as stream:
        async for chunk in stream:
            if chunk.content:
                break
    await real.stops(before)
