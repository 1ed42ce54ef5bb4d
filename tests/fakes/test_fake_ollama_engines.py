"""What is loaded, for how long and for whom, where one recorded request does not show it."""

import asyncio
import hashlib

import pytest

from tests.fake_ollama import FakeOllama, ManualClock
from tests.ollama_fake.client import client_of
from tests.ollama_fake.recorded import VERSIONS, case
from tests.tiny_models import write
from tests.waiting import until

EIGHT = 8


@pytest.fixture(params=VERSIONS)
async def fake(request):
    made = FakeOllama(request.param, clock=ManualClock())
    made.add_model("tiny", size=1000)
    made.add_model("large", size=9000, context_length=8192)
    async with made.serving():
        yield made


@pytest.fixture
async def client(fake):
    async with client_of(fake) as client:
        yield client


async def test_what_is_unloaded_is_listed_as_long_as_recorded(fake, client):
    await client.load("tiny")
    await client.load("tiny", keep_alive=0)
    recorded = case(fake.version, "251-ps-after-unload").observed[:2]
    for _, names in recorded:
        assert ("tiny:latest" in await client.names()) == ("tiny:latest" in names)
    assert fake.held_bytes == 0


async def test_what_is_unloaded_is_gone_soon_though_nobody_looks(fake, client):
    await client.load("tiny")
    await client.load("tiny", keep_alive=0)
    await until(lambda: fake.held_bytes == 0)


async def test_a_model_goes_when_its_time_is_over(fake, client):
    await client.load("tiny", keep_alive="90s")
    await client.load("large", keep_alive=-1)
    assert await client.names() == ["large:latest", "tiny:latest"]
    fake.clock.advance(89)
    assert len(await client.names()) == 2
    fake.clock.advance(2)
    await until(lambda: fake.loaded == ["large:latest"])


async def test_the_time_starts_anew_with_each_answer(fake, client):
    await client.load("tiny", keep_alive=60)
    fake.clock.advance(50)
    await client.load("tiny", keep_alive=60)
    fake.clock.advance(50)
    assert await client.names() == ["tiny:latest"]
    assert fake.loads == 1


@pytest.mark.parametrize("limit", [0, -1])
async def test_without_a_limit_an_answer_has_no_end_and_the_client_leaves(fake, client, limit):
    async with client.stream("tiny", options={"num_predict": limit}) as lines:
        for _ in range(200):
            assert (await lines.next())["done"] is False
        assert fake.streams_running == 1
    await until(lambda: fake.streams_running == 0)
    assert fake.streams_abandoned == 1
    assert (await client.post("/api/generate", model="tiny", prompt="x")).status_code == 200


async def test_a_client_that_leaves_during_a_load_leaves_nothing_loaded(fake, client):
    fake.faults.hold_load = asyncio.Event()
    loading = asyncio.create_task(client.load("tiny"))
    await until(lambda: len(fake.requests) == 1)
    assert await client.names() == []
    loading.cancel()
    await asyncio.gather(loading, return_exceptions=True)
    fake.faults.hold_load.set()
    await client.load("large")
    assert (await client.names(), fake.loads) == (["large:latest"], 1)


async def test_an_unload_waits_for_the_stream_that_runs(fake, client):
    fake.faults.hold_tokens = asyncio.Event()
    async with client.stream("tiny", options={"num_predict": 9}) as lines:
        await lines.next()
        unloaded = await client.post("/api/generate", model="tiny", keep_alive=0)
        assert unloaded.json()["done_reason"] == "unload"
        assert await client.names() == ["tiny:latest"]
        assert fake.held_bytes == 1000
        fake.faults.hold_tokens.set()
        last = (await lines.rest())[-1]
    assert (last["done_reason"], last["eval_count"]) == ("length", 9)
    await until(lambda: fake.held_bytes == 0)


async def test_requests_of_one_model_are_answered_one_after_the_other(fake, client):
    fake.faults.hold_tokens = asyncio.Event()
    async with client.stream("tiny") as first:
        await first.next()
        second = asyncio.create_task(client.post("/api/generate", model="tiny", prompt="y"))
        await until(lambda: len(fake.requests) == 2)
        other = await client.post("/api/generate", model="large", prompt="", stream=False)
        assert other.status_code == 200
        assert not second.done()
        fake.faults.hold_tokens.set()
        assert (await first.rest())[-1]["done"]
    assert (await second).status_code == 200


async def test_of_eight_requests_at_once_as_many_are_sent_away_as_recorded(fake, client):
    fake.answers.max_queue = 1
    fake.faults.hold_first = asyncio.Event()
    asked = [
        asyncio.create_task(client.post("/api/generate", model="tiny", prompt="x"))
        for _ in range(EIGHT)
    ]
    await until(lambda: sum(task.done() for task in asked) == EIGHT - 2)
    fake.faults.hold_first.set()
    statuses = [answered.status_code for answered in await asyncio.gather(*asked)]
    recorded = [row["status"] for row in case(fake.version, "345-queue-full").observed]
    assert sorted(statuses) == sorted(recorded)


async def test_another_window_reloads_a_model_without_a_word(fake, client):
    for window in (512, 512, 1024, None):
        await client.load("large", options={"num_ctx": window} if window else {})
    assert (fake.loads, fake.reloads) == (3, 2)
    (listed,) = await client.ps()
    assert listed["context_length"] == 4096


async def test_the_window_is_what_the_model_can_have(client):
    windows = []
    for asked in (10**9, -5):
        await client.load("large", options={"num_ctx": asked})
        windows.append((await client.ps())[0]["context_length"])
    assert windows == [8192, 4]


async def test_a_deleted_model_stays_loaded(fake, client):
    await client.load("tiny")
    await client.http.request("DELETE", "/api/delete", json={"model": "tiny"})
    assert await client.names() == ["tiny:latest"]


async def test_with_room_for_one_model_the_next_takes_its_place(fake, client):
    fake.runners.most = 1
    await client.load("tiny")
    await client.load("large")
    assert (fake.loaded, fake.held_bytes) == (["large:latest"], 9000)


async def test_a_model_whose_engine_died_is_listed_and_comes_back_by_itself(fake, client):
    fake.faults.hold_tokens = asyncio.Event()
    async with client.stream("tiny") as lines:
        await lines.next()
        fake.kill_runner("tiny")
        fake.faults.hold_tokens.set()
        (last,) = await lines.rest()
    recorded = case(fake.version, "280-runner-killed-midstream")
    assert last == recorded.last
    assert (await client.names(), fake.held_bytes) == (["tiny:latest"], 0)
    await client.load("tiny")
    assert (fake.loads, fake.reloads) == (2, 0)


async def test_an_engine_that_dies_before_it_says_anything_is_an_error_of_the_server(fake, client):
    fake.faults.hold_first = asyncio.Event()
    asked = asyncio.create_task(client.post("/api/generate", model="tiny", prompt="x"))
    await until(lambda: fake.loaded == ["tiny:latest"])
    fake.kill_runner("tiny")
    fake.faults.hold_first.set()
    answered = await asked
    assert (answered.status_code, list(answered.json())) == (500, ["error"])


async def test_a_restart_forgets_what_is_loaded_and_keeps_what_is_installed(fake, client):
    await client.load("tiny")
    await fake.restart()
    assert await client.names() == []
    assert len((await client.http.get("/api/tags")).json()["models"]) == 2


async def test_a_created_model_has_the_uploaded_file_where_the_version_keeps_it(
    fake, client, tmp_path
):
    path = write(tmp_path, "tiny-qwen3-0.6b")
    digest = f"sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}"
    await client.http.post(f"/api/blobs/{digest}", content=path.read_bytes())
    await client.post("/api/create", model="made", files={"a.gguf": digest})
    recorded = case(fake.version, "309-digest-of-created-blob").observed
    assert (fake.model("made").weights == digest) == recorded["same"]
    grown = recorded["sizes"][1] - recorded["sizes"][0]
    assert fake.model("made").size == path.stat().st_size + grown


async def test_an_upload_is_never_in_memory_as_a_whole(fake, client):
    content = bytes(4 << 20)
    digest = hashlib.sha256(content).hexdigest()
    await client.http.post(f"/api/blobs/sha256:{digest}", content=content)
    assert fake.bytes_uploaded == len(content)
    assert fake.largest_read <= 1 << 16
