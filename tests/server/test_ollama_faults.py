"""The whole way to an Ollama that misbehaves: what a client of the service sees."""

import asyncio
from time import monotonic

import psutil
import pytest

import orac_core
from orac_core import Manifest, ModelNotFound
from orac_core.manifest import parse
from tests.fake_ollama import FakeOllama
from tests.server.serving import events, service
from tests.tiny_models import write
from tests.waiting import until

MODEL = "tiny-qwen3-0.6b"
PROMPT = {"model": "tiny", "prompt": "robot", "options": {"max_tokens": 8, "temperature": 0}}


@pytest.fixture
async def fake():
    async with FakeOllama().serving() as fake:
        fake.add_model("tiny:latest", size=500_000, context_length=8192)
        yield fake


@pytest.fixture
def settings():
    """Settings of the backend that a test wants, beyond its address."""
    return {}


@pytest.fixture
def server():
    """The table ``[server]`` that a test wants."""
    return {}


@pytest.fixture
async def served(fake, tmp_path, settings, server):
    """The service in front of the fake, with one GGUF file in its folder."""
    write(tmp_path, MODEL)
    backends = {"ollama": {"kind": "ollama", "url": fake.url, **settings}}
    manifest = parse({"backends": backends, "server": server}, "a test")
    async with (
        orac_core.open(manifest, models_dir=tmp_path, environ={}) as manager,
        service(manager) as served,
    ):
        yield served


async def state(served, model="tiny:latest"):
    return (await served.get(f"/v1/models/{model}")).body["state"]


async def test_a_file_in_the_folder_is_served_by_ollama_alone(served, fake):
    reply = await served.post("/v1/prompt", PROMPT | {"model": MODEL})
    assert reply.status == 200
    assert reply.body["instance"] == "ollama"
    assert fake.uploads == 1


async def test_without_a_manifest_an_ollama_that_answers_is_served_beside_the_files(fake, tmp_path):
    write(tmp_path, MODEL)
    environ = {"OLLAMA_HOST": fake.url}
    async with orac_core.open(Manifest(), models_dir=tmp_path, environ=environ) as manager:
        listed = {(each.instance, each.info.id) for each in await manager.models()}
        assert listed == {("local", MODEL), ("ollama", "tiny:latest")}
        await fake.stop()
        assert {each.instance for each in await manager.models()} == {"local"}
        health = await manager.health()
        assert (health.status, set(health.instances)) == ("healthy", {"local"})
        with pytest.raises(ModelNotFound):
            await manager.find("nope")


async def test_an_answer_says_what_ollama_counted(served):
    body = (await served.post("/v1/prompt", PROMPT)).body
    assert body["usage"]["completion_tokens"] > 0
    assert body["timings"]["decode_tokens_per_second"] > 0
    assert body["finish_reason"] in ("stop", "length")


async def test_p37_a_client_that_leaves_ends_the_request_at_ollama(served, fake):
    fake.faults.token_delay_s = 0.01
    body = {**PROMPT, "options": {"max_tokens": 5000}, "stream": True}
    async with served.session.post("/v1/prompt", json=body) as response:
        await response.content.readline()
        assert fake.streams_running == 1
    await until(lambda: fake.streams_running == 0, within_s=2)
    fake.faults.token_delay_s = 0
    assert (await served.post("/v1/prompt", PROMPT)).status == 200


async def test_p38_an_ollama_that_is_not_there_is_a_quick_error_and_lists_go_on(served, fake):
    await fake.stop()
    started = monotonic()
    refused = await served.post("/v1/prompt", PROMPT)
    assert monotonic() - started < 5
    assert refused.status == 503
    assert refused.error["code"] == "backend_unavailable"
    assert "Retry-After" in refused.headers
    assert (await served.get("/v1/models")).status == 200
    health = await served.get("/v1/health")
    assert health.status == 503
    assert "cannot connect to Ollama" in health.body["errors"]["ollama"]


async def test_p39_an_ollama_that_dies_in_mid_stream_ends_it_with_an_error(served, fake):
    await served.post("/v1/models/tiny/load")
    fake.faults.token_delay_s = 0.01
    body = {**PROMPT, "options": {"max_tokens": 5000}, "stream": True}
    async with served.session.post("/v1/prompt", json=body) as response:
        begun = await response.content.readline()
        await fake.stop()
        found = events(begun + await response.read())
    assert [name for name, _ in found if name != "chunk"] == ["error"]
    assert found[-1][1]["error"]["code"] in ("backend_unavailable", "backend_error")


@pytest.mark.parametrize("settings", [{"idle_timeout_s": 0.5}])
async def test_p40_silence_in_an_answer_ends_it_at_the_limit(served, fake):
    await served.post("/v1/models/tiny/load")
    fake.faults.hold_tokens = asyncio.Event()
    started = monotonic()
    found = await served.events("/v1/prompt", PROMPT)
    assert 0.4 < monotonic() - started < 1.5
    assert "silent for 0.5 s" in found[-1][1]["error"]["message"]
    fake.faults.hold_tokens.set()


@pytest.mark.parametrize("settings", [{"idle_timeout_s": 0.2, "first_token_timeout_s": 60.0}])
async def test_p41_a_slow_first_token_is_waited_for(served, fake):
    await served.post("/v1/models/tiny/load")
    fake.faults.first_delay_s = 0.6
    assert (await served.post("/v1/prompt", PROMPT)).status == 200


async def test_p42_a_model_that_vanished_is_503_once_and_its_state_is_corrected(served, fake):
    await served.post("/v1/models/tiny/load")
    fake.remove_model("tiny:latest")
    fake.runners.clear()
    refused = await served.post("/v1/prompt", PROMPT)
    assert refused.status in (404, 503)
    assert (await served.post("/v1/prompt", PROMPT)).status == 404


async def test_p42_a_model_that_was_driven_out_is_loaded_once_more(served, fake):
    await served.post("/v1/models/tiny/load")
    await fake.restart()
    await served.get("/v1/models")
    reply = await served.post("/v1/prompt", PROMPT)
    assert reply.status == 200
    assert reply.body["timings"]["load_ms"] > 0
    assert fake.loads == 2


async def test_p43_want_of_memory_at_a_load_has_a_code_and_a_hint(served, fake):
    fake.faults.out_of_memory = True
    refused = await served.post("/v1/models/tiny/load")
    assert refused.status == 503
    assert refused.error["code"] == "insufficient_memory"
    assert "unload another model" in refused.error["message"]
    assert await state(served) == "failed"
    assert fake.loaded == []
    fake.faults.out_of_memory = False
    assert (await served.post("/v1/models/tiny/load")).status == 200


async def test_p44_a_poor_network_changes_no_letter_of_an_answer(served, fake):
    whole = (await served.post("/v1/prompt", PROMPT)).body["response"]
    fake.faults.byte_at_a_time = True
    assert (await served.post("/v1/prompt", PROMPT)).body["response"] == whole
    fake.faults.byte_at_a_time = False
    fake.faults.bytes_per_s = 10_000
    assert (await served.post("/v1/prompt", PROMPT)).body["response"] == whole
    fake.faults.bytes_per_s = None
    fake.faults.first_delay_s = 0.5
    assert (await served.post("/v1/prompt", PROMPT)).body["response"] == whole


@pytest.mark.parametrize("fault", ["reset_after", "close_after", "end_after", "error_after"])
async def test_p44_a_broken_connection_is_an_error_and_never_an_answer(served, fake, fault):
    await served.post("/v1/models/tiny/load")
    fake.faults.paths = ("/api/chat",)
    setattr(fake.faults, fault, 2)
    found = await served.events("/v1/prompt", PROMPT)
    assert [name for name, _ in found if name != "chunk"] == ["error"]


@pytest.mark.parametrize("server", [{"breaker_pause": "300ms"}])
async def test_p45_an_ollama_that_fails_again_and_again_is_spared_and_comes_back(served, fake):
    await served.post("/v1/models/tiny/load")
    fake.faults.drop = True
    for _ in range(5):
        assert (await served.post("/v1/prompt", PROMPT)).status == 503
    seen = len(fake.requests)
    started = monotonic()
    refused = await served.post("/v1/prompt", PROMPT)
    assert monotonic() - started < 0.3
    assert "in a row and is given a pause" in refused.error["message"]
    assert int(refused.headers["Retry-After"]) >= 1
    assert len(fake.requests) == seen
    fake.faults.drop = False
    async with asyncio.timeout(30):
        while (await served.post("/v1/prompt", PROMPT)).status != 200:
            await asyncio.sleep(0.01)


async def test_p46_a_restart_that_forgets_the_models_shows_in_the_list(served, fake):
    await served.post("/v1/models/tiny/load")
    assert await state(served) == "ready"
    await fake.restart()
    assert await state(served) == "stopped"


async def test_p69_twenty_loads_at_once_are_one_upload_one_create_and_one_load(served, fake):
    replies = await asyncio.gather(*(served.post(f"/v1/models/{MODEL}/load") for _ in range(20)))
    assert {reply.status for reply in replies} == {200}
    assert (fake.uploads, fake.creates, fake.loads) == (1, 1, 1)


async def test_p70_loading_and_unloading_again_change_nothing(served, fake):
    assert (await served.post("/v1/models/tiny/load")).body["already_loaded"] is False
    assert (await served.post("/v1/models/tiny/load")).body["already_loaded"] is True
    assert (await served.post("/v1/models/tiny/unload")).status == 200
    assert (await served.post("/v1/models/tiny/unload")).status == 200
    assert (await served.post("/v1/models/nope/unload")).status == 404
    assert (fake.loads, fake.deletes) == (1, 0)


async def test_p71_a_thousand_prompts_leave_nothing_behind(served, fake):
    process = psutil.Process()

    async def some(count):
        replies = await asyncio.gather(*(served.post("/v1/prompt", PROMPT) for _ in range(count)))
        assert {reply.status for reply in replies} == {200}

    for _ in range(10):
        await some(20)
    fake.requests.clear()
    tasks, files, memory = len(asyncio.all_tasks()), process.num_fds(), process.memory_info().rss
    for _ in range(50):
        await some(20)
        fake.requests.clear()
    assert process.memory_info().rss - memory < 30 << 20
    await until(lambda: len(asyncio.all_tasks()) <= tasks)
    assert process.num_fds() <= files + 5


@pytest.mark.parametrize("settings", [{"expect_gpu": True}])
async def test_p74_a_model_that_spills_to_the_cpu_is_listed_and_warned_about(served, fake):
    fake.faults.vram_share = 0.4
    loaded = (await served.post("/v1/models/tiny/load")).body
    assert loaded["memory"]["on_gpu_ratio"] == pytest.approx(0.4, abs=0.01)
    assert "are on the GPU" in loaded["warning"]
    listed = (await served.get("/v1/models/tiny:latest")).body
    assert listed["memory"]["on_gpu_ratio"] == pytest.approx(0.4, abs=0.01)
    assert "are on the GPU" in listed["warning"]
    health = (await served.get("/v1/health")).body
    assert health["status"] == "degraded"
    assert any("are on the GPU" in each["message"] for each in health["degradation"])
