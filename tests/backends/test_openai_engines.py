"""The kind ``openai`` against real servers: llama.cpp's own, and another ORAC."""

import json
from contextlib import ExitStack, aclosing

import pytest
from attrs import evolve

from orac_core import (
    BackendError,
    EmbedRequest,
    GenerateOptions,
    GenerateRequest,
    InvalidRequest,
    Message,
    ModelNotFound,
    ModelState,
    PromptTooLong,
    Tool,
    Toolbox,
)
from tests.backends.driving import ask, chat, idle_within, load, raw, told, words
from tests.backends.openai_server import llama_server, opened
from tests.processes import serving
from tests.tiny_models import write
from tests.tiny_specialists import write_caller

SCHEMA = {
    "type": "object",
    "properties": {"side": {"enum": ["left", "right"]}},
    "required": ["side"],
    "additionalProperties": False,
}
MOVE = Tool("move", "Drive so far.", SCHEMA)
DEMO = "orac-robot"


@pytest.fixture(scope="module")
def engines(tmp_path_factory):
    """A server with a model that calls tools, and one whose answer seems endless."""
    folder = tmp_path_factory.mktemp("engines")
    endless = write(folder, "tiny-qwen3-0.6b", stem="endless", context_length=1 << 20)
    with ExitStack() as stack:
        caller = stack.enter_context(llama_server(write_caller(folder)))
        yield caller, stack.enter_context(llama_server(endless, 1 << 16))


@pytest.fixture
async def llama(engines):
    async with opened(engines[1][0], key_env="HOSTED") as backend:
        yield backend


@pytest.fixture(scope="module")
def demo():
    with serving("--demo") as running:
        yield running.url


@pytest.fixture
async def orac(demo):
    async with opened(demo) as backend:
        yield backend


async def only(backend) -> str:
    (info,) = await backend.models()
    return info.id


async def test_llama_server_tells_what_it_serves(llama):
    (info,) = await llama.models()
    assert (info.state, info.remote, info.metered) == (ModelState.READY, True, False)
    assert info.context_length == 1 << 20
    assert info.parameters > 0
    health = await llama.health()
    assert health.usable
    assert llama.roster.dialect.raw_schema == "json_schema"


async def test_a_wrong_key_is_told_as_one_and_not_repeated(engines, tmp_path):
    (tmp_path / "key").write_text("sk-wrong-0123456789\n")
    async with opened(engines[1][0], key_file=tmp_path / "key") as backend:
        with pytest.raises(BackendError, match="check the key") as found:
            await ask(backend, chat("any"))
    assert "sk-wrong" not in str(found.value)


async def test_an_answer_has_the_engines_own_usage_and_speed(llama):
    model = await only(llama)
    chunks = await ask(llama, chat(model, max_tokens=8, temperature=0.0))
    assert words(chunks)
    assert chunks[-1].finish_reason == "length"
    assert chunks[-1].usage.completion_tokens == 8
    assert chunks[-1].rates.decode_tokens_per_second > 0


async def test_options_that_only_some_know_reach_one_that_knows_them(llama):
    model = await only(llama)

    async def answer(**options):
        return words(await ask(llama, raw(model, "the", max_tokens=12, seed=1, **options)))

    assert await answer(top_k=1, temperature=1.5) == await answer(temperature=0.0)


async def test_a_chat_and_a_text_are_held_to_a_schema(llama):
    model = await only(llama)
    for request in (chat, raw):
        asked = request(model, wanted=SCHEMA, max_tokens=40, temperature=0.0)
        assert json.loads(words(await ask(llama, asked))) in ({"side": "left"}, {"side": "right"})


async def test_a_tool_is_called(engines):
    async with opened(engines[0][0], key_env="HOSTED") as backend:
        model = await only(backend)
        box, options = Toolbox((MOVE,), "required"), GenerateOptions(max_tokens=300, temperature=0)
        told_ = (Message("user", "go left"),)
        request = GenerateRequest(model, told_, options=options, toolbox=box)
        chunks = await ask(backend, request)
    calls = [call for chunk in chunks for call in chunk.calls]
    assert calls[0].name == "move"
    assert json.loads("".join(call.arguments for call in calls))["side"] in {"left", "right"}
    assert chunks[-1].finish_reason == "tool_calls"


@pytest.mark.parametrize("request_", [chat, raw])
async def test_probabilities_are_told_and_limited(llama, request_):
    model = await only(llama)
    request = evolve(request_(model, max_tokens=4, temperature=0.0), top_logprobs=2)
    chunks = await ask(llama, request)
    tokens = [token for chunk in chunks for token in chunk.tokens]
    assert "".join(token.text for token in tokens) == words(chunks)
    assert all(len(token.top) == 2 and token.logprob <= 0 for token in tokens)


async def test_a_prompt_that_is_too_long_is_the_callers_mistake(llama):
    with pytest.raises(PromptTooLong):
        await ask(llama, chat(await only(llama), "hello " * 70_000))


async def test_closing_an_answer_stops_the_engine(llama, engines):
    request = raw(await only(llama), "the", temperature=0.0, max_tokens=60_000, ignore_eos=True)
    async with aclosing(llama.generate(request)) as chunks:
        for _ in range(3):
            await anext(chunks)
    assert await idle_within(engines[1][1], 2)


async def test_another_orac_tells_all_that_it_knows_of_a_model(orac):
    assert (await told(orac, DEMO)).state is ModelState.STOPPED
    await load(orac, DEMO)
    info = await told(orac, DEMO)
    assert info.state is ModelState.READY
    assert info.loaded.memory_bytes > 0
    assert (info.remote, info.metered, info.relayed) == (True, True, True)
    assert info.capabilities == ("completion", "chat", "embedding")
    assert info.architecture
    assert info.size_bytes > 0
    assert (await orac.health()).version == "0.1.0"


async def test_another_orac_answers_and_says_how_fast_it_was(orac):
    await orac.models()
    chunks = await ask(orac, chat(DEMO, "Move forward", max_tokens=16, top_k=1, min_p=0.0))
    assert words(chunks)
    assert chunks[-1].usage.completion_tokens > 0
    assert chunks[-1].rates.decode_tokens_per_second > 0


async def test_another_oracs_refusals_keep_their_meaning(orac):
    with pytest.raises(InvalidRequest):
        await ask(orac, raw(DEMO, wanted="json"))
    with pytest.raises(BackendError, match="not found"):
        await ask(orac, chat("nothing"))
    with pytest.raises(ModelNotFound):
        await load(orac, "nothing")


async def test_vectors_of_another_orac_have_the_length_that_is_asked_for(orac):
    whole = await orac.embed(EmbedRequest(DEMO, ("left", "right")))
    short = await orac.embed(EmbedRequest(DEMO, ("left",), dimensions=4))
    assert len(whole.vectors) == 2
    assert len(short.vectors[0]) == 4
    assert whole.usage.prompt_tokens > 0
