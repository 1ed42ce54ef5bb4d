"""The official client is content with the imitation."""

import hashlib

import ollama
import pytest

from tests.fake_ollama import FakeOllama, Faults
from tests.ollama_fake.recorded import VERSIONS
from tests.tiny_models import write

MESSAGES = [{"role": "user", "content": "the robot"}]
SPEED = {"type": "object", "properties": {"speed": {"type": "integer", "minimum": 3}}}


@pytest.fixture(params=VERSIONS)
async def fake(request, tmp_path):
    registry = {"small": {"size": 4_000, "context_length": 512}}
    made = FakeOllama(request.param, tmp_path / "store", registry=registry)
    made.add_model("tiny", size=1_000_000)
    made.add_model("thinker", capabilities=("completion", "thinking", "tools"))
    made.add_model("embedder", capabilities=("embedding",), embedding_length=8)
    async with made.serving():
        yield made


@pytest.fixture
async def client(fake):
    async with ollama.AsyncClient(fake.url) as client:
        yield client


async def test_the_client_lists_what_is_installed(client):
    listed = await client.list()
    assert {model.model for model in listed.models} == {
        "embedder:latest",
        "thinker:latest",
        "tiny:latest",
    }


async def test_the_client_shows_a_model(client):
    shown = await client.show("tiny")
    assert shown.modelinfo["llama.context_length"] == 2048
    assert shown.capabilities == ["completion"]


async def test_the_client_loads_a_model_sees_it_and_unloads_it(client, fake):
    loaded = await client.generate("tiny", keep_alive=-1)
    assert loaded.done_reason == "load"
    (listed,) = (await client.ps()).models
    assert (listed.model, listed.size, listed.size_vram) == ("tiny:latest", 1_000_000, 0)
    assert listed.expires_at.year > 2300
    assert (await client.generate("tiny", keep_alive=0)).done_reason == "unload"
    await client.ps()
    assert (await client.ps()).models == []
    assert fake.held_bytes == 0


async def test_the_client_streams_what_it_gets_in_one_piece_too(client):
    options = {"num_predict": 5}
    whole = await client.generate("tiny", "the robot", options=options)
    lines = [part async for part in await client.generate("tiny", "the robot", stream=True)]
    assert whole.response == "".join(part.response for part in lines[:5])
    assert (whole.done_reason, whole.eval_count) == ("length", 5)
    assert (lines[-1].done, lines[-1].done_reason) == (True, "stop")


async def test_the_client_chats(client):
    whole = await client.chat("tiny", MESSAGES)
    streamed = [part async for part in await client.chat("tiny", MESSAGES, stream=True)]
    assert whole.message.content == "".join(part.message.content for part in streamed)


async def test_the_client_gets_json_after_a_schema(client):
    answered = await client.chat("tiny", MESSAGES, format=SPEED)
    assert answered.message.content == '{"speed": 3}'


async def test_the_client_gets_thoughts_first_and_none_when_it_wants_none(client):
    streamed = [part async for part in await client.chat("thinker", MESSAGES, stream=True)]
    thinking = [bool(part.message.thinking) for part in streamed[:-1]]
    assert thinking == sorted(thinking, reverse=True)
    assert thinking[0]
    answered = await client.generate("thinker", "the robot", think=False)
    assert answered.thinking is None


async def test_the_client_gets_calls_of_tools(client):
    tool = {"type": "function", "function": {"name": "turn", "parameters": SPEED}}
    answered = await client.chat("thinker", MESSAGES, tools=[tool])
    (call,) = answered.message.tool_calls
    assert (call.function.name, call.function.arguments) == ("turn", {"speed": 0})


async def test_the_client_embeds(client):
    embedded = await client.embed("embedder", ["a", "b"])
    assert [len(vector) for vector in embedded.embeddings] == [8, 8]
    assert (await client.embed("embedder", [])).embeddings == []
    with pytest.raises(ollama.ResponseError, match='"embedder" does not support generate') as met:
        await client.generate("embedder", "x")
    assert met.value.status_code == 400


async def test_the_client_uploads_a_file_and_makes_a_model_of_it(client, fake, tmp_path):
    path = write(tmp_path, "tiny-qwen3-0.6b")
    digest = await client.create_blob(path)
    assert digest == f"sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}"
    told = [
        line.status async for line in await client.create("q", files={"q": digest}, stream=True)
    ]
    assert (told[0], told[-1]) == ("parsing GGUF", "success")
    shown = await client.show("q")
    assert shown.modelinfo["qwen3.context_length"] == 512
    assert (fake.uploads, fake.creates, fake.bytes_uploaded) == (1, 1, path.stat().st_size)


async def test_the_client_makes_a_model_of_another_copies_and_deletes_it(client, fake):
    await client.create("warm", from_="tiny", parameters={"temperature": 1.5})
    await client.copy("warm", "warmer")
    await client.delete("warm")
    names = {model.model for model in (await client.list()).models}
    assert "warmer:latest" in names
    assert "warm:latest" not in names
    assert fake.deletes == 1


async def test_the_client_pulls_what_the_registry_has(client):
    lines = [line async for line in await client.pull("small", stream=True)]
    assert [line.completed for line in lines if line.completed] == [1000, 2000, 3000, 4000]
    assert lines[-1].status == "success"
    assert (await client.generate("small", "x")).done
    with pytest.raises(ollama.ResponseError, match="file does not exist"):
        await client.pull("large")


@pytest.mark.parametrize(
    ("faults", "status"),
    [
        (Faults(busy=1), 503),
        (Faults(out_of_memory=True), 500),
        (Faults(not_found=True), 404),
        (Faults(engine_error="llama-server process has terminated: signal: killed"), 500),
    ],
)
async def test_the_client_meets_errors_with_their_status(faults, status):
    fake = FakeOllama(faults=faults)
    fake.add_model("tiny")
    async with fake.serving(), ollama.AsyncClient(fake.url) as client:
        with pytest.raises(ollama.ResponseError) as met:
            await client.generate("tiny", "x")
        assert met.value.status_code == status
