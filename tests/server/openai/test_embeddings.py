"""Embeddings over HTTP, as lists of numbers and in base64."""

import base64
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orac_core import BackendError, ModelManager
from orac_server.openai.embeddings import in_base64
from tests.server.openai.asking import EMBEDDING, EMBEDDINGS


async def test_vectors_come_in_the_order_of_their_texts(service):
    body = (await service.post(EMBEDDINGS, {**EMBEDDING, "input": ["one two", "three"]})).body
    beside = body.pop("orac")
    assert body == {
        "object": "list",
        "data": [
            {"object": "embedding", "index": 0, "embedding": [7.0, 2.0]},
            {"object": "embedding", "index": 1, "embedding": [5.0, 1.0]},
        ],
        "model": "small",
        "usage": {"prompt_tokens": 3, "total_tokens": 3},
    }
    assert (beside["model"], beside["instance"], beside["role"]) == ("small", "fake", None)
    assert beside["elapsed_ms"] >= beside["timings"]["load_ms"] > 0


async def test_vectors_come_in_base64_on_request(service):
    body = (await service.post(EMBEDDINGS, {**EMBEDDING, "encoding_format": "base64"})).body
    (item,) = body["data"]
    assert base64.b64decode(item["embedding"]) == b"\0\0\xe0\x40\0\0\0\x40"


async def test_what_is_asked_reaches_the_engine(service, monkeypatch):
    asked = []

    async def embed(manager, request, *, deadline_s):
        asked.append((request, deadline_s))
        raise BackendError("enough")

    monkeypatch.setattr(ModelManager, "embed", embed)
    more = {"dimensions": 5, "keep_alive": "1m", "orac": {"deadline_ms": 1500}}
    await service.post(EMBEDDINGS, EMBEDDING | more)
    ((request, deadline_s),) = asked
    assert (request.texts, request.dimensions) == (("one two",), 5)
    assert (request.keep_alive_s, deadline_s) == (60, 1.5)


@pytest.mark.parametrize("encoding", ["float", "base64"])
async def test_a_backend_that_fails_is_told_by_the_status(service, backend, encoding):
    backend.failures["embed"] = BackendError("the engine stumbled")
    reply = await service.post(EMBEDDINGS, {**EMBEDDING, "encoding_format": encoding})
    assert (reply.status, reply.error["code"]) == (502, "backend_error")


@given(st.lists(st.floats(width=32, allow_nan=False)))
def test_numbers_of_32_bits_survive_base64(vector):
    raw = base64.b64decode(in_base64(vector))
    assert list(struct.unpack(f"<{len(vector)}f", raw)) == vector
