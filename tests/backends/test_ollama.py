"""The Ollama backend against a server that answers as recordings of a real one show."""

import asyncio
import hashlib
from contextlib import AsyncExitStack, aclosing

import pytest

from orac_backends._http import HttpClient
from orac_backends.ollama.api import OllamaApi
from orac_core import (
    BackendError,
    BackendUnavailable,
    EmbedRequest,
    InsufficientMemory,
    InvalidRequest,
    LoadRequest,
    ModelFileInvalid,
    ModelNotFound,
    ModelState,
    PromptTooLong,
    PullRequest,
    QueueFull,
)
from tests.backends.driving import ask, chat, load, raw, told, words
from tests.backends.ollama_backend import Memory, host_of, opened
from tests.fake_ollama import KILLED, FakeOllama
from tests.raw_gguf import Raw
from tests.tiny_models import write
from tests.waiting import until

MODEL = "tiny-qwen3-0.6b"


@pytest.fixture(params=["0.32.15", "0.24.0"])
def version(request):
    return request.param


@pytest.fixture
async def fake(version):
    registry = {"small": {"size": 1000, "context_length": 512}}
    async with FakeOllama(version, registry=registry).serving() as fake:
        fake.add_model("tiny:latest", size=500_000, context_length=8192)
        yield fake


@pytest.fixture
def folder(tmp_path):
    write(tmp_path, MODEL)
    return tmp_path


@pytest.fixture
async def open_ollama(fake):
    async with AsyncExitStack() as stack:

        async def open_it(folder=None, **settings):
            return await stack.enter_async_context(opened(fake.url, folder, **settings))

        yield open_it


@pytest.fixture
async def ollama(open_ollama):
    return await open_ollama()


def asked(fake, path):
    return [body for method, at, body in fake.requests if at == path and method == "POST"]


async def test_installed_models_are_listed_and_not_taken_for_loaded(ollama):
    info = await told(ollama, "tiny:latest")
    assert info.state is ModelState.STOPPED
    assert info.names == ("tiny",)
    assert info.context_length == 8192
    assert "chat" in info.capabilities


async def test_a_load_is_listed_with_what_was_allocated(ollama):
    await load(ollama, "tiny:latest", context_length=2048)
    info = await told(ollama, "tiny:latest")
    assert info.state is ModelState.READY
    assert info.loaded.context_length == 2048
    assert info.loaded.memory_bytes > 0
    assert info.expires_at is None


async def test_a_model_that_can_not_be_looked_at_does_not_hide_the_others(ollama, fake, version):
    fake.add_model("odd:latest", size=1000, context_length=512)
    fake.faults.paths = ("/api/show",)
    fake.faults.html = 500
    infos = await ollama.models()
    assert {info.id for info in infos} == {"tiny:latest", "odd:latest"}


async def test_an_answer_comes_in_pieces_and_ends_with_counts(ollama):
    await load(ollama, "tiny:latest")
    chunks = await ask(ollama, chat("tiny:latest", max_tokens=8, temperature=0))
    assert words(chunks)
    assert chunks[-1].done
    assert chunks[-1].finish_reason in ("stop", "length")
    assert chunks[-1].usage.completion_tokens > 0
    assert chunks[-1].rates.decode_tokens_per_second > 0


async def test_a_raw_prompt_is_answered_too(ollama):
    await load(ollama, "tiny:latest")
    assert words(await ask(ollama, raw("tiny:latest", "once upon", max_tokens=8)))


async def test_no_request_after_a_load_makes_ollama_load_it_anew(ollama, fake):
    await load(ollama, "tiny:latest", context_length=1024, gpu_layers=3)
    await ask(ollama, chat("tiny:latest", max_tokens=4, temperature=0.1, seed=3))
    await ask(ollama, raw("tiny:latest", "x", max_tokens=4))
    assert (fake.loads, fake.reloads) == (1, 0)


async def test_a_model_that_was_found_loaded_is_asked_without_loading_it_anew(open_ollama, fake):
    first = await open_ollama(context_length=1024)
    await load(first, "tiny:latest")
    second = await open_ollama()
    assert (await told(second, "tiny:latest")).state is ModelState.READY
    await ask(second, chat("tiny:latest", max_tokens=4))
    assert (fake.loads, fake.reloads) == (1, 0)


async def test_what_is_not_loaded_is_not_asked(ollama, fake):
    with pytest.raises(BackendUnavailable, match="is not loaded; load it first"):
        await ask(ollama, chat("tiny:latest"))
    assert not asked(fake, "/api/chat")


async def test_an_unknown_model_can_not_be_loaded(ollama):
    with pytest.raises(ModelNotFound):
        await load(ollama, "nope")


async def test_what_ollama_can_not_do_for_one_model_is_refused(ollama):
    with pytest.raises(InvalidRequest, match="OLLAMA_NUM_PARALLEL"):
        await load(ollama, "tiny:latest", parallel=2)


async def test_an_unload_waits_until_it_is_gone_and_never_deletes(open_ollama, fake):
    ollama = await open_ollama()
    await load(ollama, "tiny:latest")
    fake.faults.slow_unload = 5
    await ollama.unload("tiny:latest")
    assert fake.loaded == []
    assert fake.deletes == 0
    assert (await told(ollama, "tiny:latest")).state is ModelState.STOPPED


async def test_an_unload_of_what_is_not_loaded_or_not_known_is_no_error(ollama):
    await ollama.unload("tiny:latest")
    await ollama.unload("nope")


async def test_an_unload_waits_until_the_memory_is_back(open_ollama, fake):
    memory = Memory(4 << 30)
    ollama = await open_ollama(memory=memory)
    fake.add_model("big:latest", size=1 << 30, context_length=8192)
    await load(ollama, "big:latest")
    held = (await told(ollama, "big:latest")).loaded.memory_bytes
    unloading = asyncio.create_task(ollama.unload("big:latest"))
    await until(lambda: fake.loaded == [])
    memory.available += held
    await unloading
    assert (await ollama.health()).details["last_unload"]["returned_bytes"] == held


async def test_memory_that_does_not_come_back_is_told_and_holds_nobody_up(
    open_ollama, fake, caplog
):
    ollama = await open_ollama(memory=Memory(4 << 30))
    fake.add_model("big:latest", size=1 << 30, context_length=8192)
    await load(ollama, "big:latest")
    await ollama.unload("big:latest")
    assert (await ollama.health()).details["last_unload"]["returned_bytes"] == 0
    assert "MiB came back when big:latest was unloaded" in caplog.text


async def test_leaving_unloads_what_orac_loaded_and_nothing_else(fake):
    fake.add_model("other:latest", size=1000, context_length=2048)
    async with opened(fake.url) as somebody_else:
        await load(somebody_else, "other:latest", context_length=512)
        async with opened(fake.url) as ours:
            await load(ours, "tiny:latest")
            assert sorted(fake.loaded) == ["other:latest", "tiny:latest"]
        await until(lambda: fake.loaded == ["other:latest"])


async def test_health_is_the_servers_answer_and_not_its_list(ollama, fake, version):
    health = await ollama.health()
    assert (health.usable, health.version) == (True, version)
    await fake.stop()
    health = await ollama.health()
    assert not health.usable
    assert "cannot connect to Ollama at" in health.message


async def test_names_of_one_model_are_ready_and_gone_together(ollama, fake):
    await ollama.api.client.request(
        "POST", "/api/copy", json={"source": "tiny", "destination": "alias"}
    )
    await load(ollama, "alias:latest")
    assert (await told(ollama, "tiny:latest")).state is ModelState.READY
    await ask(ollama, chat("tiny:latest", max_tokens=2))
    await ollama.unload("tiny:latest")
    assert (await told(ollama, "alias:latest")).state is ModelState.STOPPED


# GGUF files that Ollama does not have yet


async def test_files_that_could_be_handed_over_are_listed_as_stopped(open_ollama, folder):
    info = await told(await open_ollama(folder), MODEL)
    assert info.state is ModelState.STOPPED
    assert info.architecture == "qwen3"
    assert info.file.path.endswith(f"{MODEL}.gguf")


async def test_a_file_is_hashed_uploaded_created_and_loaded(open_ollama, folder, fake):
    ollama = await open_ollama(folder)
    stages = await load(ollama, MODEL)
    assert [*dict.fromkeys(each.stage for each in stages)] == ["validate", "upload", "start"]
    assert (fake.uploads, fake.creates, fake.loads) == (1, 1, 1)
    info = await told(ollama, MODEL)
    assert info.state is ModelState.READY
    assert info.names[0].startswith(MODEL)
    assert words(await ask(ollama, chat(MODEL, max_tokens=4)))
    assert (fake.loads, fake.reloads) == (1, 0)


async def test_progress_reaches_the_size_of_the_file(open_ollama, folder):
    size = (folder / f"{MODEL}.gguf").stat().st_size
    stages = await load(await open_ollama(folder), MODEL)
    for stage, message in (("validate", "computing"), ("upload", "copying")):
        last = [it for it in stages if it.stage == stage and it.message.startswith(message)][-1]
        assert (last.completed, last.total) == (size, size)


async def test_a_file_that_ollama_has_is_neither_read_nor_sent_again(open_ollama, folder, fake):
    first = await open_ollama(folder)
    await load(first, MODEL)
    await first.unload(MODEL)
    second = await open_ollama(folder)
    stages = await load(second, MODEL)
    assert not any("sha256" in each.message for each in stages)
    assert (fake.uploads, fake.creates, fake.loads) == (1, 1, 2)


async def test_a_file_under_another_name_is_created_without_being_sent(open_ollama, folder, fake):
    ollama = await open_ollama(folder)
    await load(ollama, MODEL)
    (folder / "copy.gguf").write_bytes((folder / f"{MODEL}.gguf").read_bytes())
    await load(ollama, "copy")
    heads = [path for method, path, _ in fake.requests if method == "HEAD"]
    assert len(heads) == 2
    assert fake.creates == 2
    assert fake.bytes_uploaded == (folder / "copy.gguf").stat().st_size


async def test_a_file_that_was_replaced_is_another_model(open_ollama, folder, fake):
    ollama = await open_ollama(folder)
    await load(ollama, MODEL)
    await ollama.unload(MODEL)
    write(folder, "tiny-qwen3-1.7b", stem=MODEL)
    assert (await told(ollama, MODEL)).state is ModelState.STOPPED
    await load(ollama, MODEL)
    assert fake.creates == 2


async def test_a_broken_file_is_listed_with_its_reason_and_never_sent(open_ollama, folder, fake):
    (folder / "cut.gguf").write_bytes((folder / f"{MODEL}.gguf").read_bytes()[:-1])
    ollama = await open_ollama(folder)
    info = await told(ollama, "cut")
    assert info.state is ModelState.FAILED
    assert "truncated" in info.state_reason
    with pytest.raises(ModelFileInvalid, match="truncated"):
        await load(ollama, "cut")
    assert not any("/api/blobs" in path for _, path, _ in fake.requests)


async def test_a_checksum_of_the_manifest_is_demanded_and_not_computed_twice(fake, folder):
    content = (folder / f"{MODEL}.gguf").read_bytes()
    right = f"sha256:{hashlib.sha256(content).hexdigest()}"
    async with opened(fake.url, host=host_of(folder, **{MODEL: right})) as ollama:
        stages = await load(ollama, MODEL)
        assert not any(each.message.startswith("computing") for each in stages)
    async with opened(fake.url, host=host_of(folder, **{MODEL: f"sha256:{'0' * 64}"})) as ollama:
        with pytest.raises(ModelFileInvalid, match="checksum"):
            await load(ollama, MODEL)


async def test_too_little_disk_is_told_before_anything_is_read(
    open_ollama, folder, fake, monkeypatch
):
    ollama = await open_ollama(folder, store=folder)
    monkeypatch.setattr("shutil.disk_usage", lambda _: type("Usage", (), {"free": 1000}))
    with pytest.raises(BackendError, match="keeps its own copy.*MiB are free"):
        await load(ollama, MODEL)
    assert not any("/api/blobs" in path for _, path, _ in fake.requests)


async def test_an_upload_that_breaks_off_is_an_error_and_the_next_one_begins_anew(
    open_ollama, folder, fake
):
    ollama = await open_ollama(folder)
    fake.faults.upload_reset_after = 1000
    with pytest.raises(BackendUnavailable):
        await load(ollama, MODEL)
    fake.faults.upload_reset_after = None
    await load(ollama, MODEL)
    assert (fake.uploads, fake.creates) == (1, 1)


@pytest.mark.parametrize("fault", ["upload_full", "create_full"])
async def test_a_full_disk_says_to_free_some(open_ollama, folder, fake, fault):
    ollama = await open_ollama(folder)
    setattr(fake.faults, fault, True)
    with pytest.raises(BackendError, match="free some disk"):
        await load(ollama, MODEL)


async def test_a_server_that_takes_nothing_of_a_file_is_given_up(
    open_ollama, folder, fake, monkeypatch
):
    ollama = await open_ollama(folder)
    monkeypatch.setattr("orac_backends.ollama.importing._UPLOAD_IDLE_S", 0.2)
    write_large(folder)
    held = asyncio.Event()
    monkeypatch.setattr(type(fake.blobs), "receive", lambda *_: held.wait())
    with pytest.raises(BackendUnavailable, match="took nothing of large.gguf for 0.2 s"):
        await load(ollama, "large")
    held.set()


def write_large(folder):
    """Write a sound GGUF of 32 MiB, too large for what sockets hold."""
    raw_file = Raw().text("general.architecture", "llama").tensor("a", 8 << 20)
    header = raw_file.header()
    with (folder / "large.gguf").open("wb") as file:
        file.write(header)
        file.truncate(len(header) + 32 + (32 << 20))


async def test_a_load_that_is_given_up_stops_the_upload(open_ollama, folder, fake, monkeypatch):
    ollama = await open_ollama(folder)
    write_large(folder)
    receive, reached, goes_on = type(fake.blobs).receive, asyncio.Event(), asyncio.Event()
    ends = []

    async def slowly(store, digest, chunks):
        async def held():
            async for chunk in chunks:
                reached.set()
                yield chunk
                await goes_on.wait()

        try:
            await receive(store, digest, held())
        finally:
            ends.append(fake.uploads)

    monkeypatch.setattr(type(fake.blobs), "receive", slowly)
    loading = asyncio.create_task(load(ollama, "large"))
    await reached.wait()
    loading.cancel()
    await asyncio.wait([loading])
    goes_on.set()
    await until(lambda: bool(ends))
    assert (fake.uploads, fake.creates, list(fake.blobs.leftovers())) == (0, 0, [])


async def test_a_load_that_is_given_up_leaves_nothing_that_a_retry_would_trust(
    open_ollama, folder, fake
):
    ollama = await open_ollama(folder)
    async with aclosing(ollama.load(LoadRequest(MODEL))) as stages:
        async for stage in stages:
            if stage.stage == "upload":
                break
    assert fake.creates == 0
    stages = await load(ollama, MODEL)
    assert (fake.creates, fake.loads) == (1, 1)


async def test_a_load_that_is_given_up_while_ollama_loads_ends_there_too(ollama, fake):
    fake.faults.hold_load = asyncio.Event()
    loading = asyncio.create_task(load(ollama, "tiny:latest"))
    await until(lambda: fake.faults.hold_load._waiters)
    loading.cancel()
    await until(lambda: not fake.faults.hold_load._waiters)
    fake.faults.hold_load.set()
    assert (await told(ollama, "tiny:latest")).state is ModelState.STOPPED


# What goes wrong


async def test_want_of_memory_is_told_as_such_and_nothing_stays_loaded(ollama, fake):
    fake.faults.out_of_memory = True
    with pytest.raises(InsufficientMemory, match="unload another model"):
        await load(ollama, "tiny:latest")
    assert (await told(ollama, "tiny:latest")).state is ModelState.STOPPED


async def test_an_engine_killed_by_the_kernel_is_want_of_memory(ollama, fake):
    fake.faults.load_error = KILLED
    with pytest.raises(InsufficientMemory):
        await load(ollama, "tiny:latest")


@pytest.mark.parametrize("fault", ["end_after", "close_after", "reset_after", "error_after"])
async def test_a_stream_that_breaks_off_is_an_error_and_never_an_answer(ollama, fake, fault):
    await load(ollama, "tiny:latest")
    setattr(fake.faults, fault, 2)
    with pytest.raises(BackendError):
        async with aclosing(ollama.generate(chat("tiny:latest", max_tokens=20))) as chunks:
            async for chunk in chunks:
                assert not chunk.done


async def test_an_answer_that_arrives_byte_by_byte_is_the_same(ollama, fake):
    await load(ollama, "tiny:latest")
    request = chat("tiny:latest", max_tokens=8, temperature=0)
    whole = words(await ask(ollama, request))
    fake.faults.byte_at_a_time = True
    assert words(await ask(ollama, request)) == whole


async def test_silence_after_the_first_token_ends_at_the_limit(open_ollama, fake):
    ollama = await open_ollama(idle_timeout_s=0.2, first_token_timeout_s=30.0)
    await load(ollama, "tiny:latest")
    fake.faults.hold_tokens = asyncio.Event()
    with pytest.raises(BackendUnavailable, match="silent for 0.2 s"):
        await ask(ollama, chat("tiny:latest", max_tokens=20))
    fake.faults.hold_tokens.set()


async def test_a_slow_first_token_has_a_limit_of_its_own(open_ollama, fake):
    ollama = await open_ollama(idle_timeout_s=0.1, first_token_timeout_s=30.0)
    await load(ollama, "tiny:latest")
    fake.faults.first_delay_s = 0.4
    assert words(await ask(ollama, chat("tiny:latest", max_tokens=2)))


async def test_a_frozen_engine_is_given_up_although_the_list_looks_well(open_ollama, fake):
    ollama = await open_ollama(idle_timeout_s=0.1, first_token_timeout_s=0.2)
    await load(ollama, "tiny:latest")
    fake.faults.frozen = asyncio.Event()
    assert (await told(ollama, "tiny:latest")).state is ModelState.READY
    with pytest.raises(BackendUnavailable, match="silent"):
        await ask(ollama, chat("tiny:latest"))
    fake.faults.frozen.set()


async def test_leaving_an_answer_ends_it_at_the_server(ollama, fake):
    await load(ollama, "tiny:latest")
    fake.faults.token_delay_s = 0.01
    async with aclosing(ollama.generate(chat("tiny:latest", max_tokens=5000))) as chunks:
        await anext(chunks)
    await until(lambda: fake.streams_running == 0, within_s=2)


async def test_a_model_that_vanished_is_no_longer_taken_for_loaded(ollama, fake):
    await load(ollama, "tiny:latest")
    fake.faults.not_found = True
    with pytest.raises(BackendUnavailable, match="not found"):
        await ask(ollama, chat("tiny:latest"))
    with pytest.raises(BackendUnavailable, match="is not loaded; load it first"):
        await ask(ollama, chat("tiny:latest"))


async def test_a_busy_server_is_not_a_lost_model(ollama, fake):
    await load(ollama, "tiny:latest")
    fake.faults.busy = 1
    with pytest.raises(QueueFull, match="ask again in a moment"):
        await ask(ollama, chat("tiny:latest", max_tokens=2))
    assert words(await ask(ollama, chat("tiny:latest", max_tokens=2)))


async def test_a_restart_that_forgets_the_models_is_noticed(ollama, fake, caplog, monkeypatch):
    monkeypatch.setattr("orac_backends.ollama.backend._WATCH_S", 0.01)
    watching = asyncio.create_task(ollama.watch())
    await load(ollama, "tiny:latest")
    await fake.restart()
    await until(lambda: "no longer has tiny:latest in memory" in caplog.text)
    assert (await told(ollama, "tiny:latest")).state is ModelState.STOPPED
    watching.cancel()


async def test_a_redirect_is_refused(ollama, fake):
    fake.faults.redirect_to = "http://127.0.0.1:1"
    with pytest.raises(BackendError, match="a redirect, which ORAC never follows"):
        await ollama.models()


async def test_a_web_page_is_no_ollama(ollama, fake):
    fake.faults.html = 200
    with pytest.raises(BackendError, match="is it the server that it is meant to be"):
        await ollama.models()


async def test_a_foreign_name_of_the_host_is_explained(fake):
    client = HttpClient.open("Ollama at http://ollama", fake.url, headers={"host": "ollama:11434"})
    with pytest.raises(BackendError, match="refuses the name it is called by.*OLLAMA_HOST"):
        await OllamaApi(client).installed()
    await client.close()


async def test_a_prompt_that_is_too_long_is_refused_and_never_cut(open_ollama):
    ollama = await open_ollama(context_length=64)
    await load(ollama, "tiny:latest")
    with pytest.raises(PromptTooLong, match="exceeds"):
        await ask(ollama, chat("tiny:latest", "robot sees left " * 500))


async def test_a_format_binds_the_answer(ollama):
    await load(ollama, "tiny:latest")
    schema = {"type": "object", "properties": {"speed": {"type": "integer"}}, "required": ["speed"]}
    answer = words(await ask(ollama, chat("tiny:latest", wanted=schema, max_tokens=100)))
    assert '"speed"' in answer


async def test_a_thinking_model_answers_without_its_thoughts(ollama, fake):
    capabilities = ("completion", "thinking")
    fake.add_model("thinker:latest", size=1000, context_length=8192, capabilities=capabilities)
    await load(ollama, "thinker:latest")
    await ask(ollama, chat("thinker:latest", max_tokens=8))
    assert asked(fake, "/api/chat")[-1]["think"] is False


async def test_a_model_for_vectors_is_loaded_and_gives_vectors(ollama, fake):
    fake.add_model("embed:latest", size=1000, context_length=512, capabilities=("embedding",))
    await load(ollama, "embed:latest")
    found = await ollama.embed(EmbedRequest("embed:latest", ("a", "b")))
    assert len(found.vectors) == 2
    assert len(found.vectors[0]) > 0


async def test_a_pull_tells_how_far_it_is_and_ends_with_the_model(ollama):
    async with aclosing(ollama.pull(PullRequest("small"))) as stages:
        progress = [each async for each in stages]
    assert progress[-1].message == "success"
    assert (await told(ollama, "small:latest")).state is ModelState.STOPPED


async def pull(ollama, *request, **options):
    async with aclosing(ollama.pull(PullRequest(*request, **options))) as stages:
        return [each async for each in stages]


async def test_a_pull_says_what_came_and_one_more_that_it_is_there(ollama):
    last = (await pull(ollama, "small"))[-1]
    assert (last.action, last.fetched_bytes) == ("pulled", last.total)
    again = await pull(ollama, "small")
    assert [each.action for each in again] == ["present"]
    assert len(again) == 1


async def test_a_pull_that_is_forced_asks_the_registry_again(ollama):
    await pull(ollama, "small")
    assert len(await pull(ollama, "small", force=True)) > 1


async def test_a_pull_of_a_file_s_name_hands_the_file_over(open_ollama, folder):
    ollama = await open_ollama(folder)
    assert (await pull(ollama, MODEL))[-1].action == "imported"
    assert (await pull(ollama, MODEL))[-1].action == "present"


async def test_a_pull_from_a_source_fetches_the_file_and_hands_it_over(open_ollama, folder):
    (folder / "searched").mkdir()
    ollama = await open_ollama(folder / "searched")
    assert (await pull(ollama, "other", str(folder / f"{MODEL}.gguf")))[-1].action == "imported"
    assert (folder / "searched" / "other.gguf").samefile(folder / f"{MODEL}.gguf")


async def test_a_source_is_refused_where_ollama_is_given_no_files(open_ollama):
    ollama = await open_ollama(import_files=False)
    with pytest.raises(InvalidRequest, match="import_files"):
        await pull(ollama, "other", "/any.gguf")


async def test_a_pull_that_fails_is_an_error(ollama):
    with pytest.raises((BackendError, ModelNotFound)):
        async with aclosing(ollama.pull(PullRequest("127.0.0.1:1/library/x"))) as stages:
            async for _ in stages:
                pass


async def test_partly_on_the_cpu_is_a_warning_where_a_gpu_is_expected(open_ollama, fake):
    fake.faults.vram_share = 0.4
    ollama = await open_ollama(expect_gpu=True)
    await load(ollama, "tiny:latest")
    info = await told(ollama, "tiny:latest")
    assert info.loaded.on_gpu_ratio == pytest.approx(0.4, abs=0.01)
    assert "are on the GPU" in info.warning
