"""Tools, probabilities and vectors of the real llama.cpp, through the official client."""

import json
import math

import openai
import pytest

from tests.tiny_models import write
from tests.tiny_specialists import write_bert, write_caller

SAID = [{"role": "user", "content": "go left"}]
MOVE = {
    "type": "function",
    "function": {
        "name": "move",
        "parameters": {
            "type": "object",
            "properties": {"side": {"enum": ["left", "right"]}, "far": {"type": "integer"}},
            "required": ["side", "far"],
        },
    },
}


@pytest.fixture
async def client(open_service, tmp_path):
    write_caller(tmp_path)
    write_bert(tmp_path)
    write(tmp_path, "tiny-qwen3-0.6b")
    service = await open_service(models_dir=tmp_path)
    url = f"{service.url}v1"
    async with openai.AsyncOpenAI(base_url=url, api_key="none", max_retries=0) as opened:
        yield opened


async def test_tools_are_called_whole_and_streamed_and_their_results_are_read(client):
    asked = {"model": "caller", "tools": [MOVE], "tool_choice": "required", "temperature": 0}
    whole = await client.chat.completions.create(messages=SAID, max_tokens=300, **asked)
    (choice,) = whole.choices
    (call, *_) = choice.message.tool_calls
    assert (choice.finish_reason, call.function.name) == ("tool_calls", "move")
    assert json.loads(call.function.arguments)["side"] in {"left", "right"}
    async with client.chat.completions.stream(messages=SAID, max_tokens=300, **asked) as stream:
        (streamed, *_) = (await stream.get_final_completion()).choices[0].message.tool_calls
    assert (streamed.function.name, streamed.function.arguments) == (
        *(call.function.name, call.function.arguments),
    )
    result = {"role": "tool", "tool_call_id": call.id, "content": "done"}
    turns = [*SAID, choice.message.to_dict(), result]
    answer = await client.chat.completions.create(model="caller", messages=turns, max_tokens=4)
    first = await client.chat.completions.create(model="caller", messages=SAID, max_tokens=4)
    assert answer.usage.prompt_tokens > first.usage.prompt_tokens


async def test_probabilities_are_those_of_the_answers_tokens(client):
    asked = {"model": "tiny-qwen3-0.6b", "messages": SAID, "max_tokens": 4, "temperature": 0}
    answer = await client.chat.completions.create(**asked, logprobs=True, top_logprobs=3)
    (choice,) = answer.choices
    assert 1 <= len(choice.logprobs.content) <= answer.usage.completion_tokens
    assert all(len(each.top_logprobs) == 3 for each in choice.logprobs.content)
    assert all(math.exp(each.logprob) <= 1 for each in choice.logprobs.content)
    raw = b"".join(bytes(each.bytes or ()) for each in choice.logprobs.content)
    assert choice.message.content in raw.decode(errors="replace")


async def test_vectors_are_of_length_one_in_either_encoding(client):
    texts = ["hello the world", "a robot"]
    made = await client.embeddings.create(model="tiny-bert", input=texts)
    told = await client.embeddings.create(model="tiny-bert", input=texts, encoding_format="float")
    for in_base64, in_numbers in zip(made.data, told.data, strict=True):
        assert math.hypot(*in_base64.embedding) == pytest.approx(1, abs=1e-4)
        assert in_base64.embedding == pytest.approx(in_numbers.embedding, abs=1e-6)
    assert made.usage.prompt_tokens == 5 + 4


async def test_a_text_too_long_for_a_vector_has_openais_code(client):
    with pytest.raises(openai.BadRequestError) as refused:
        await client.embeddings.create(model="tiny-bert", input="hello " * 5000)
    assert refused.value.code == "context_length_exceeded"
