"""Vectors of texts, on the real engine."""

import asyncio
import math
from contextlib import aclosing

import gguf
import pytest

from orac_core import (
    BackendUnavailable,
    EmbedRequest,
    InvalidRequest,
    LoadProgress,
    LoadRequest,
)
from orac_core import open as open_orac
from orac_core.manifest import parse
from tests.backends.driving import ask, chat, command_line, load, pid_of, raw, told
from tests.tiny_models import write
from tests.tiny_specialists import TinyBert, write_bert

MODEL = "tiny-qwen3-0.6b"
TEXTS = ("hello the world", "a robot", "hello", "hello the world")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("vectors")
    write_bert(folder)
    write_bert(folder, "ranker", TinyBert(pooling=gguf.PoolingType.RANK))
    write(folder, MODEL)
    write(folder, MODEL, stem="last", pooling=gguf.PoolingType.LAST)
    return folder


@pytest.fixture
async def bert(open_llamacpp, folder):
    llamacpp = await open_llamacpp(folder)
    await load(llamacpp, "tiny-bert", parallel=3)  # no divisor of the batch
    return llamacpp


async def vectors(backend, model, *texts, dimensions=None):
    return (await backend.embed(EmbedRequest(model, texts, dimensions))).vectors


async def test_the_same_text_has_the_same_vector_of_length_one(bert):
    found = await bert.embed(EmbedRequest("tiny-bert", TEXTS))
    assert [math.hypot(*vector) for vector in found.vectors] == pytest.approx([1.0] * 4, abs=1e-5)
    assert found.vectors[0] == pytest.approx(found.vectors[3], abs=1e-3)
    assert found.vectors[0] != pytest.approx(found.vectors[1], abs=0.05)
    assert found.usage.prompt_tokens == 5 + 4 + 3 + 5


async def test_many_texts_at_once_have_the_vectors_of_each_alone(bert):
    together = await vectors(bert, "tiny-bert", *TEXTS)
    for text, vector in zip(TEXTS, together, strict=True):
        (alone,) = await vectors(bert, "tiny-bert", text)
        assert alone == pytest.approx(vector, abs=1e-3)


async def test_a_vector_is_cut_only_where_that_is_asked_for(bert):
    (whole,) = await vectors(bert, "tiny-bert", "hello")
    (cut,) = await vectors(bert, "tiny-bert", "hello", dimensions=8)
    length = math.hypot(*whole[:8])
    assert cut == pytest.approx([number / length for number in whole[:8]], abs=1e-3)
    with pytest.raises(InvalidRequest, match="have 32 dimensions, not 33"):
        await vectors(bert, "tiny-bert", "hello", dimensions=33)


async def test_a_text_that_is_too_long_is_named_and_never_cut(bert):
    fits = "a " * 61  # 63 tokens with those around it: a batch holds as many texts as parallel
    assert len(await vectors(bert, "tiny-bert", fits)) == 1
    with pytest.raises(InvalidRequest, match="text 3 of 3 has 102 tokens, and .* 63 at a time"):
        await vectors(bert, "tiny-bert", "a", "b", "a " * 100)
    assert len(await vectors(bert, "tiny-bert", "a")) == 1


@pytest.mark.parametrize("texts", [(), ("a", " "), ("a",) * 2049])
async def test_texts_that_make_no_sense_are_refused(bert, texts):
    with pytest.raises(InvalidRequest):
        await vectors(bert, "tiny-bert", *texts)


async def test_a_model_for_vectors_says_so_and_answers_nothing(bert):
    assert (await told(bert, "tiny-bert")).capabilities == ("embedding",)
    with pytest.raises(InvalidRequest, match="makes vectors of texts, and continues none"):
        await ask(bert, chat("tiny-bert"))


async def test_a_long_text_fits_where_the_last_token_speaks_for_all(open_llamacpp, folder):
    llamacpp = await open_llamacpp(folder)
    await load(llamacpp, "last")
    (vector,) = await vectors(llamacpp, "last", "hello " * 200)
    assert math.hypot(*vector) == pytest.approx(1.0, abs=1e-5)
    with pytest.raises(InvalidRequest, match=r"text 1 of 1 has \d+ tokens, and .* 512"):
        await vectors(llamacpp, "last", "hello " * 600)


async def test_a_model_that_ranks_is_refused_with_the_reason(open_llamacpp, folder):
    llamacpp = await open_llamacpp(folder)
    assert (await told(llamacpp, "ranker")).capabilities == ()
    with pytest.raises(InvalidRequest, match="its pooling is rank"):
        await load(llamacpp, "ranker")


async def test_a_model_that_answers_makes_no_vectors_where_that_is_set(open_llamacpp, folder):
    llamacpp = await open_llamacpp(folder, embeddings=False)
    assert "embedding" not in (await told(llamacpp, MODEL)).capabilities
    await load(llamacpp, MODEL)
    with pytest.raises(InvalidRequest, match="embeddings = true"):
        await vectors(llamacpp, MODEL, "hello")
    with pytest.raises(BackendUnavailable, match="not loaded"):
        await vectors(llamacpp, "last", "hello")


@pytest.mark.parametrize("model", [MODEL, "last"])
async def test_texts_of_any_length_at_once_have_the_vectors_of_each_alone(
    open_llamacpp, folder, model
):
    llamacpp = await open_llamacpp(folder)
    await load(llamacpp, model, parallel=4)
    texts = [f"{'hello the world ' * it}a robot" for it in (0, 3, 1, 7, 0, 2)]
    alone = [(await vectors(llamacpp, model, text))[0] for text in texts]
    for _ in range(3):
        some, others = await asyncio.gather(
            vectors(llamacpp, model, *texts), vectors(llamacpp, model, *reversed(texts))
        )
        for found, expected in zip((*some, *reversed(others)), (*alone, *alone), strict=True):
            assert found == pytest.approx(expected, abs=1e-3)


@pytest.mark.parametrize("embeddings", [None, True], ids=["unasked", "asked"])
async def test_answers_and_vectors_of_one_model_come_side_by_side(
    open_llamacpp, folder, embeddings
):
    llamacpp = await open_llamacpp(folder, embeddings=embeddings)
    info = await told(llamacpp, MODEL)
    assert info.capabilities == ("completion", "chat", "embedding")
    assert info.shape.pooling == "mean"
    await load(llamacpp, MODEL)
    asked = [ask(llamacpp, raw(MODEL, f"hello {it}", max_tokens=100)) for it in range(6)]
    made = [vectors(llamacpp, MODEL, *TEXTS) for _ in range(3)]
    *answers, first, _, last = await asyncio.gather(*asked, *made)
    assert all(answer[-1].done for answer in answers)
    assert first[0] == pytest.approx(last[0], abs=1e-3)


async def test_vectors_need_not_wait_for_the_end_of_all_answers(open_llamacpp, models_folder):
    llamacpp = await open_llamacpp(models_folder, embeddings=True)
    await load(llamacpp, "endless", context_length=1 << 14, parallel=2)
    first = llamacpp.generate(raw("endless", "the", temperature=0.0, max_tokens=300))
    async with aclosing(first) as chunks:
        await anext(chunks)
        waiting = asyncio.create_task(vectors(llamacpp, "endless", "hello"))
        await asyncio.sleep(0)
        after = asyncio.create_task(ask(llamacpp, raw("endless", "the", max_tokens=9000)))
        async for _ in chunks:
            pass
        assert len(await waiting) == 1
        assert not after.done()
    after.cancel()
    await asyncio.gather(after, return_exceptions=True)


async def test_who_leaves_gives_the_turn_back(bert):
    leaving = [asyncio.create_task(vectors(bert, "tiny-bert", *["a b c"] * 500)) for _ in range(3)]
    await asyncio.wait(leaving, timeout=0.1)
    for task in leaving:
        task.cancel()
    await asyncio.gather(*leaving, return_exceptions=True)
    assert len(await vectors(bert, "tiny-bert", "a")) == 1


async def test_a_worker_that_dies_is_told(bert):
    asking = asyncio.create_task(vectors(bert, "tiny-bert", *["a b c"] * 2000))
    await asyncio.wait([asking], timeout=0.1)
    await bert.unload("tiny-bert")
    with pytest.raises(BackendUnavailable):
        await asking


async def test_a_llama_server_of_the_users_makes_vectors_too(open_llamacpp, folder, fake_server):
    llamacpp = await open_llamacpp(folder, server_binary=fake_server)
    await load(llamacpp, "tiny-bert")
    assert "--embeddings --pooling mean" in command_line(pid_of(llamacpp, "tiny-bert"))
    assert len(await vectors(llamacpp, "tiny-bert", "hello", "world")) == 2


async def test_a_llama_server_that_makes_no_vectors_says_so(open_llamacpp, folder, tmp_path):
    program = tmp_path / "llama-server"
    program.write_text("#!/bin/sh\necho 'version: 1'\n")
    program.chmod(0o755)
    llamacpp = await open_llamacpp(folder, server_binary=program)
    with pytest.raises(BackendUnavailable, match="does not know --embeddings, --pooling"):
        await load(llamacpp, "tiny-bert")


async def test_the_proof_of_a_load_is_one_vector(folder, tmp_path):
    manifest = parse({"backends": {"local": {"kind": "llamacpp", "threads": 1}}}, "a test")
    environ = {"ORAC_STATE_DIR": str(tmp_path)}
    async with open_orac(manifest, models_dir=folder, environ=environ) as orac:
        loaded = await orac.load(LoadRequest("tiny-bert"))
        assert loaded.applied.parallel == 2
        found = await orac.embed(EmbedRequest("tiny-bert", ("hello",)))
        assert math.hypot(*found.vectors[0]) == pytest.approx(1.0, abs=1e-5)


async def test_the_proof_of_a_load_of_a_model_that_answers_too_is_one_token(folder, tmp_path):
    manifest = parse({"backends": {"local": {"kind": "llamacpp", "threads": 1}}}, "a test")
    environ = {"ORAC_STATE_DIR": str(tmp_path)}
    async with open_orac(manifest, models_dir=folder, environ=environ) as orac:
        async with aclosing(orac.load_progress(LoadRequest(MODEL))) as stages:
            said = [it.message async for it in stages if isinstance(it, LoadProgress)]
        assert said[-1] == "asking for one token"
        found = await orac.embed(EmbedRequest(MODEL, ("hello",)))
        assert math.hypot(*found.vectors[0]) == pytest.approx(1.0, abs=1e-5)
