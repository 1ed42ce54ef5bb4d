"""Each fault does what it is named for, and is off until then."""

import asyncio

import httpx
import pytest

from tests.fake_ollama import KILLED, FakeOllama, Faults
from tests.ollama_fake.client import client_of
from tests.ollama_fake.recorded import VERSIONS, case
from tests.waiting import until


@pytest.fixture
async def fake():
    made = FakeOllama()
    made.add_model("tiny", size=1000)
    async with made.serving():
        yield made


@pytest.fixture
async def client(fake):
    async with client_of(fake) as client:
        yield client


async def test_a_stream_can_end_without_its_last_line(fake, client):
    fake.faults.end_after = 3
    async with client.stream("tiny") as lines:
        read = await lines.rest()
    assert [line["done"] for line in read] == [False] * 3
    assert fake.held_bytes == 1000


@pytest.mark.parametrize("fault", ["close_after", "reset_after"])
async def test_a_stream_can_break_off(fake, client, fault):
    setattr(fake.faults, fault, 3)
    async with client.stream("tiny") as lines:
        for _ in range(3):
            assert (await lines.next())["done"] is False
        with pytest.raises(httpx.TransportError):
            await lines.next()
    await until(lambda: fake.streams_abandoned == 1)


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("fault", ["close_after", "reset_after"])
async def test_the_connection_can_break_before_an_answer(fake, client, fault, stream):
    setattr(fake.faults, fault, 0)
    with pytest.raises(httpx.TransportError):
        await client.post("/api/generate", model="tiny", prompt="x", stream=stream)
    assert await client.ps() is not None


async def test_every_connection_can_be_refused_an_answer(fake, client):
    fake.faults.drop = True
    with pytest.raises(httpx.ReadError):
        await client.ps()


async def test_an_error_can_stand_in_place_of_the_rest(fake, client):
    fake.faults.error_after = 2
    async with client.stream("tiny") as lines:
        read = await lines.rest()
    assert len(read) == 3
    assert read[-1] == {"error": fake.faults.error_text}


async def test_a_page_can_stand_in_place_of_every_answer(fake, client):
    fake.faults.html = 502
    answered = await client.http.get("/api/tags")
    assert (answered.status_code, answered.headers["Content-Type"]) == (502, "text/html")


async def test_a_fault_of_the_wire_can_be_for_some_paths_only(fake, client):
    fake.faults.html, fake.faults.paths = 200, ("/api/tags",)
    assert (await client.http.get("/api/version")).json() == {"version": fake.version}
    assert "<html>" in (await client.http.get("/api/tags")).text


async def test_a_request_can_be_sent_elsewhere(fake, client):
    fake.faults.redirect_to = "http://elsewhere.example"
    answered = await client.http.get("/api/ps")
    assert answered.status_code == 307
    assert answered.headers["Location"] == "http://elsewhere.example/api/ps"


async def test_a_server_can_be_busy_for_some_requests(fake, client):
    fake.faults.busy = 2
    asked = [await client.post("/api/generate", model="tiny") for _ in range(3)]
    assert [answered.status_code for answered in asked] == [503, 503, 200]


@pytest.mark.parametrize("version", VERSIONS)
async def test_memory_can_be_short_in_the_words_of_the_version(version):
    fake = FakeOllama(version, faults=Faults(out_of_memory=True))
    fake.add_model("tiny")
    async with fake.serving(), client_of(fake) as client:
        answered = await client.post("/api/generate", model="tiny")
        assert answered.json() == case(version, "360-load-out-of-memory").last
        assert await client.ps() == []


async def test_the_kernel_can_have_killed_the_engine(fake, client):
    fake.faults.engine_error = KILLED
    answered = await client.post("/api/generate", model="tiny", prompt="x")
    assert (answered.status_code, answered.json()) == (500, {"error": KILLED})


@pytest.mark.parametrize(("share", "in_vram"), [(0.0, 0), (0.5, 500), (1.0, 1000)])
async def test_a_model_can_be_on_the_gpu_as_far_as_wanted(fake, client, share, in_vram):
    fake.faults.vram_share = share
    await client.load("tiny")
    assert (await client.ps())[0]["size_vram"] == in_vram


async def test_a_frozen_engine_answers_nothing_while_the_rest_goes_on(fake, client):
    await client.load("tiny")
    fake.faults.frozen = asyncio.Event()
    asked = asyncio.create_task(client.post("/api/generate", model="tiny", prompt="x"))
    await until(lambda: len(fake.requests) == 2)
    assert await client.names() == ["tiny:latest"]
    assert not asked.done()
    fake.faults.frozen.set()
    assert (await asked).status_code == 200


async def test_a_model_can_be_listed_and_not_found(fake, client):
    await client.load("tiny")
    fake.faults.not_found = True
    assert (await client.post("/api/generate", model="tiny", prompt="x")).status_code == 404
    assert await client.names() == ["tiny:latest"]


async def test_an_unload_can_take_some_polls(fake, client):
    fake.faults.slow_unload = 3
    await client.load("tiny")
    await client.load("tiny", keep_alive=0)
    assert [len(await client.ps()) for _ in range(4)] == [1, 1, 1, 0]


async def test_an_unload_can_take_for_ever(fake, client):
    fake.faults.slow_unload = -1
    await client.load("tiny")
    await client.load("tiny", keep_alive=0)
    assert [len(await client.ps()) for _ in range(5)] == [1] * 5
    assert fake.held_bytes == 1000


async def test_an_upload_can_break_off_and_leaves_nothing(fake, client):
    fake.faults.upload_reset_after = 1 << 16
    digest = f"sha256:{'0' * 64}"
    with pytest.raises(httpx.TransportError):
        await client.http.post(f"/api/blobs/{digest}", content=bytes(1 << 20))
    await until(lambda: list(fake.blobs.leftovers()) == [])
    assert (await client.http.head(f"/api/blobs/{digest}")).status_code == 404


async def test_the_disk_can_be_full(fake, client):
    fake.faults.upload_full = fake.faults.create_full = True
    uploaded = await client.http.post(f"/api/blobs/sha256:{'0' * 64}", content=b"x")
    created = await client.post("/api/create", model="b", files={"a": "b"}, stream=False)
    for answered in (uploaded, created):
        assert answered.status_code == 500
        assert answered.json()["error"].endswith("no space left on device")


@pytest.mark.parametrize("fault", [{"byte_at_a_time": True}, {"bytes_per_s": 100_000}])
async def test_an_answer_in_slices_is_the_same_answer(fake, client, fault):
    async with client.stream("tiny", options={"num_predict": 3}) as lines:
        whole = await lines.rest()
    for name, value in fault.items():
        setattr(fake.faults, name, value)
    async with client.stream("tiny", options={"num_predict": 3}) as lines:
        sliced = await lines.rest()
    assert [line["response"] for line in sliced] == [line["response"] for line in whole]
    assert await client.names() == ["tiny:latest"]


async def test_a_release_can_leave_out_how_long_a_repeated_prompt_was(fake, client):
    fake.faults.hides_cached = True
    counted = []
    for prompt in ("x", "x", "y"):
        answered = await client.post("/api/generate", model="tiny", prompt=prompt, stream=False)
        counted.append("prompt_eval_count" in answered.json())
    assert counted == [True, False, True]


async def test_a_pull_can_fail_half_way():
    fake = FakeOllama(registry={"small": {}}, faults=Faults(pull_error_after=2))
    async with fake.serving(), client_of(fake) as client:
        pulled = await client.post("/api/pull", model="small")
        assert pulled.text.splitlines()[-1].startswith('{"error"')
        assert (await client.http.get("/api/tags")).json()["models"] == []


async def test_tokens_can_be_held_up_from_any_on(fake, client):
    fake.faults.hold_tokens, fake.faults.hold_from = asyncio.Event(), 3
    async with client.stream("tiny", options={"num_predict": 5}) as lines:
        for _ in range(3):
            await lines.next()
        fake.faults.hold_tokens.set()
        assert len(await lines.rest()) == 3


async def test_a_server_that_stops_drops_its_streams_and_starts_on_the_same_port(fake, client):
    fake.faults.hold_tokens = asyncio.Event()
    async with client.stream("tiny") as lines:
        await lines.next()
        await fake.stop()
        with pytest.raises(httpx.RemoteProtocolError):
            await lines.next()
    with pytest.raises(httpx.ConnectError):
        await client.ps()
    await fake.start()
    assert await client.ps() == []
