"""Completions: text to go on with, as it is."""

import pytest

from orac_core import Candidate, Chunk, Token
from tests.server.openai.asking import COMPLETING, COMPLETIONS


async def test_a_whole_completion_has_openais_shape(service):
    body = (await service.post(COMPLETIONS, COMPLETING)).body
    assert body.pop("id").startswith("cmpl-")
    assert (body["object"], body["model"]) == ("text_completion", "small")
    assert body["choices"] == [
        {"index": 0, "text": "one two three", "logprobs": None, "finish_reason": "stop"}
    ]
    assert body["usage"]["total_tokens"] == 5
    assert body["orac"]["instance"] == "fake"


@pytest.mark.parametrize("prompt", ["once", ["once"]])
async def test_the_prompt_reaches_the_engine_as_it_is(service, backend, prompt):
    body = {**COMPLETING, "prompt": prompt, "max_tokens": 3, "logprobs": 4, "keep_alive": 60}
    await service.post(COMPLETIONS, body)
    (asked,) = backend.asked
    assert (asked.prompt, asked.messages, asked.keep_alive_s) == ("once", (), 60)
    assert (asked.options.max_tokens, asked.top_logprobs) == (3, 4)


async def test_logprobs_have_the_shape_of_completions(service, backend):
    token = Token("ab", -1.0, top=(Candidate("ab", -1.0), Candidate("x", -2.0)))
    tokens = token, Token("c", float("-inf"))
    backend.scripts = [(Chunk("abc", tokens=tokens), Chunk(done=True, finish_reason="length"))]
    (choice,) = (await service.post(COMPLETIONS, {**COMPLETING, "logprobs": 2})).body["choices"]
    assert choice["finish_reason"] == "length"
    assert choice["logprobs"] == {
        "tokens": ["ab", "c"],
        "token_logprobs": [-1.0, -9999.0],
        "top_logprobs": [{"ab": -1.0, "x": -2.0}, None],
        "text_offset": [0, 2],
    }
