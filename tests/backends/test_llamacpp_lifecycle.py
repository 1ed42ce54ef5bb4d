"""From the file to memory and back: stages, failures, crashes, orphans, leaks."""

import asyncio
import os
import signal
import subprocess
import sys
import threading
from contextlib import aclosing
from itertools import pairwise
from pathlib import Path

import psutil
import pytest

from orac_backends import _reading as reading
from orac_backends.llamacpp import LlamaCppSettings
from orac_backends.llamacpp.backend import open_backend
from orac_core import (
    BackendError,
    BackendUnavailable,
    Host,
    InvalidRequest,
    LoadRequest,
    ModelFileInvalid,
    ModelFiles,
    ModelNotFound,
    ModelState,
)
from orac_core.files import Hashing, Place
from tests.backends.driving import (
    ask,
    chat,
    children,
    load,
    pid_of,
    raw,
    runs,
    told,
    until,
)
from tests.backends.parent import serving
from tests.tiny_models import Raw, write

PARENT = Path(__file__).with_name("parent.py")
MODEL = "tiny-qwen3-0.6b"


async def test_a_load_tells_its_stages_and_the_bytes_it_has_really_read(
    open_llamacpp, tmp_path, monkeypatch
):
    monkeypatch.setattr(reading, "_CHUNK", 100_000)
    write(tmp_path, "tiny-pythia", parts=2)
    llamacpp = await open_llamacpp(tmp_path)
    progress = await load(llamacpp, "tiny-pythia")
    size = sum(path.stat().st_size for path in tmp_path.glob("*.gguf"))

    assert [it.stage for it in progress][:2] == ["validate", "read"]
    assert progress[-1].stage == "start"
    read = [it for it in progress if it.stage == "read"]
    assert {it.total for it in read} == {size}
    assert [it.completed for it in read] == sorted({it.completed for it in read})
    assert (read[0].completed, read[-1].completed) == (0, size)
    assert max(b.completed - a.completed for a, b in pairwise(read)) <= 100_000


async def test_what_would_not_fit_into_the_page_cache_is_not_read_ahead(llamacpp, monkeypatch):
    monkeypatch.setattr(reading, "_available", lambda: 1000)
    progress = await load(llamacpp, MODEL)
    assert [(it.stage, it.completed) for it in progress if it.stage == "read"] == [("read", 0)]
    assert (await told(llamacpp, MODEL)).state is ModelState.READY


async def test_states_are_those_of_the_worker(llamacpp):
    assert (await told(llamacpp, MODEL)).state is ModelState.STOPPED
    async with aclosing(llamacpp.load(LoadRequest(MODEL))) as stages:
        async for _ in stages:
            assert (await told(llamacpp, MODEL)).state is ModelState.STARTING
    info = await told(llamacpp, MODEL)
    assert info.state is ModelState.READY
    assert info.capabilities == ("completion", "chat", "embedding")
    unloading = asyncio.create_task(llamacpp.unload(MODEL))
    await asyncio.sleep(0)
    await unloading
    assert (await told(llamacpp, MODEL)).loaded is None


async def test_health_says_whether_the_engine_of_the_last_worker_lists_a_gpu(llamacpp):
    assert "gpu" not in (await llamacpp.health()).details
    await load(llamacpp, MODEL)
    worker = llamacpp._workers[MODEL]
    assert worker.sees_gpu is ("worker: no GPU" not in str(worker._tail.lines))
    assert (await llamacpp.health()).details["gpu"] is worker.sees_gpu


async def test_loading_a_loaded_model_ends_at_once(llamacpp):
    await load(llamacpp, MODEL)
    pid = pid_of(llamacpp, MODEL)
    assert await load(llamacpp, MODEL) == []
    assert pid_of(llamacpp, MODEL) == pid


async def test_two_loads_at_once_start_one_worker(llamacpp):
    first, second = await asyncio.gather(load(llamacpp, MODEL), load(llamacpp, MODEL))
    assert first
    assert second == []
    assert len(children()) == 1


async def test_load_options_reach_the_engine(llamacpp):
    await load(llamacpp, "endless", context_length=2048, parallel=3)
    loaded = (await told(llamacpp, "endless")).loaded
    assert (loaded.context_length, loaded.parallel) == (2048, 3)


async def test_a_context_is_never_longer_than_what_the_model_was_trained_for(llamacpp):
    await load(llamacpp, MODEL, context_length=100_000)
    assert (await told(llamacpp, MODEL)).loaded.context_length == 512


@pytest.mark.parametrize(
    "options",
    [{"parallel": 0}, {"parallel": 65}, {"context_length": -1}, {"gpu_layers": True}],
)
async def test_load_options_out_of_range_are_refused(llamacpp, options):
    with pytest.raises(InvalidRequest, match=next(iter(options))):
        await load(llamacpp, MODEL, **options)
    assert children() == []


async def test_a_model_that_is_not_there_is_not_found(llamacpp):
    for name in ("missing", "../tiny-phi2", "/etc/passwd", ""):
        with pytest.raises(ModelNotFound):
            await load(llamacpp, name)
    await llamacpp.unload("missing")


async def test_a_broken_file_is_listed_as_failed_and_stops_no_other(open_llamacpp, tmp_path):
    whole = write(tmp_path, "tiny-phi2").read_bytes()
    (tmp_path / "cut.gguf").write_bytes(whole[: len(whole) // 2])
    llamacpp = await open_llamacpp(tmp_path)
    info = await told(llamacpp, "cut")
    assert info.state is ModelState.FAILED
    assert info.state_reason == info.file.problem
    with pytest.raises(ModelFileInvalid):
        await load(llamacpp, "cut")
    await load(llamacpp, "tiny-phi2")


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda file: file.replace(b"qwen3", b"qwenX"), "unknown model architecture: 'qwenX'"),
        (lambda file: file.replace(b"blk.0.attn_q.w", b"blk.0.attn_Q.w"), "attn_q.weight' not"),
    ],
)
async def test_what_only_the_engine_finds_wrong_is_said_in_its_words(
    open_llamacpp, tmp_path, spoil, reason
):
    path = write(tmp_path, MODEL)
    path.write_bytes(spoil(path.read_bytes()))
    llamacpp = await open_llamacpp(tmp_path)
    with pytest.raises(ModelFileInvalid, match=reason):
        await load(llamacpp, MODEL)
    info = await told(llamacpp, MODEL)
    assert info.state is ModelState.FAILED
    assert reason in info.state_reason
    assert children() == []
    await llamacpp.unload(MODEL)
    assert (await told(llamacpp, MODEL)).state is not ModelState.READY


async def test_a_template_that_the_engine_cannot_read_is_named(open_llamacpp, tmp_path):
    write(tmp_path, MODEL, chat_template="{% for x in %}")
    llamacpp = await open_llamacpp(tmp_path)
    with pytest.raises(ModelFileInvalid, match="template"):
        await load(llamacpp, MODEL)


async def test_a_start_that_takes_too_long_is_given_up(open_llamacpp):
    llamacpp = await open_llamacpp(start_timeout_s=0.001)
    with pytest.raises(BackendError, match="did not start with tiny-qwen3-0.6b within"):
        await load(llamacpp, MODEL)
    assert children() == []


async def test_giving_a_load_up_kills_its_worker_at_any_stage(llamacpp):
    for stages_seen in range(1, 5):
        async with aclosing(llamacpp.load(LoadRequest(MODEL))) as stages:
            for _ in range(stages_seen):
                await anext(stages)
        assert children() == []
        assert (await told(llamacpp, MODEL)).state is ModelState.STOPPED


async def test_a_load_that_is_cancelled_while_the_engine_starts_leaves_nothing(llamacpp):
    loading = asyncio.create_task(load(llamacpp, MODEL))
    await until(children)
    loading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await loading
    assert children() == []
    assert (await told(llamacpp, MODEL)).state is ModelState.STOPPED


async def test_unloading_ends_a_load_under_way(llamacpp):
    loading = asyncio.create_task(load(llamacpp, MODEL))
    await until(children)
    await llamacpp.unload(MODEL)
    assert children() == []
    with pytest.raises(BackendError, match="unloaded while it was loading"):
        await loading
    assert (await told(llamacpp, MODEL)).state is ModelState.STOPPED
    await load(llamacpp, MODEL)


async def test_unload_returns_when_the_process_is_gone_and_may_be_repeated(llamacpp):
    await load(llamacpp, MODEL)
    pid = pid_of(llamacpp, MODEL)
    await asyncio.gather(llamacpp.unload(MODEL), llamacpp.unload(MODEL))
    assert not psutil.pid_exists(pid)
    await llamacpp.unload(MODEL)
    assert list(llamacpp.folder.iterdir()) == []
    with pytest.raises(BackendUnavailable, match="not loaded"):
        await ask(llamacpp, chat(MODEL))


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV])
async def test_the_crash_of_an_idle_worker_is_noticed_and_a_load_mends_it(llamacpp, number):
    await load(llamacpp, MODEL)
    os.kill(pid_of(llamacpp, MODEL), number)
    await until(lambda: llamacpp._workers[MODEL].state is ModelState.FAILED, within=2)
    info = await told(llamacpp, MODEL)
    assert number.name in info.state_reason
    assert info.loaded is None
    with pytest.raises(BackendUnavailable, match=number.name):
        await ask(llamacpp, chat(MODEL))
    await load(llamacpp, MODEL)
    assert (await ask(llamacpp, chat(MODEL, max_tokens=2)))[-1].done


async def test_a_crash_in_mid_stream_is_an_error_and_no_end(llamacpp):
    await load(llamacpp, "endless", context_length=65536, parallel=1)
    chunks = []
    with pytest.raises(BackendUnavailable, match="SIGKILL"):
        async with aclosing(llamacpp.generate(raw("endless", "the", temperature=0.0))) as stream:
            async for chunk in stream:
                chunks.append(chunk)
                if len(chunks) == 3:
                    os.kill(pid_of(llamacpp, "endless"), signal.SIGKILL)
    assert not any(chunk.done for chunk in chunks)


async def test_unloading_ends_running_answers_with_an_error(llamacpp):
    await load(llamacpp, "endless", context_length=65536, parallel=1)
    async with aclosing(llamacpp.generate(raw("endless", "the", temperature=0.0))) as stream:
        await anext(stream)
        await llamacpp.unload("endless")
        with pytest.raises(BackendUnavailable, match="not loaded any more"):
            async for chunk in stream:
                assert not chunk.done


async def test_a_worker_whose_file_is_gone_is_still_listed_and_unloaded(open_llamacpp, tmp_path):
    path = write(tmp_path, MODEL)
    llamacpp = await open_llamacpp(tmp_path)
    await load(llamacpp, MODEL)
    path.unlink()
    assert (await told(llamacpp, MODEL)).state is ModelState.READY
    await llamacpp.unload(MODEL)
    assert await llamacpp.models() == []


async def test_an_embedding_model_does_not_claim_to_complete_text(open_llamacpp, tmp_path):
    (
        Raw()
        .text("general.architecture", "bert")
        .u32("bert.block_count", 1)
        .u32("bert.context_length", 512)
        .tensor("token_embd.weight", 32)
        .write(tmp_path / "embedder.gguf")
    )
    llamacpp = await open_llamacpp(tmp_path)
    assert (await told(llamacpp, "embedder")).capabilities == ("embedding",)


@pytest.mark.parametrize("binary", [False, True])
def test_no_worker_survives_when_orac_is_killed(models_folder, fake_server, binary):
    argv = [sys.executable, PARENT, models_folder, MODEL, fake_server if binary else ""]
    environment = os.environ | {"PYTHONPATH": str(Path.cwd())}
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True, env=environment) as parent:
        worker, folder = parent.stdout.readline().split()
        assert runs(int(worker))
        parent.kill()
    asyncio.run(until(lambda: not runs(int(worker)), within=5))
    assert Path(folder).exists()  # it could not be cleared away; the next ORAC does


async def test_leaving_the_backend_kills_all_workers_and_removes_the_folder(models_folder):
    async with serving(models_folder, MODEL) as backend:
        await load(backend, "tiny-phi2")
        assert len(children()) == 2
    assert children() == []
    assert not backend.folder.exists()


async def test_a_hundred_loads_and_unloads_leave_nothing_behind(llamacpp):
    me = psutil.Process()

    async def once():
        await load(llamacpp, MODEL)
        await ask(llamacpp, chat(MODEL, max_tokens=1))
        await llamacpp.unload(MODEL)

    for _ in range(5):
        await once()
    files, tasks, memory = me.num_fds(), len(asyncio.all_tasks()), me.memory_info().rss
    for _ in range(95):
        await once()
    assert me.num_fds() <= files
    assert len(asyncio.all_tasks()) <= tasks
    assert children() == []
    assert me.memory_info().rss - memory < 8 << 20


@pytest.fixture
def slow_hashing(monkeypatch):
    """Hashing that does not come to its end unless it is stopped; holds those that began."""
    begun: list[Hashing] = []

    def run(hashing):
        begun.append(hashing)
        hashing.completed = 1
        while not hashing._stopped:
            threading.Event().wait(0.001)

    monkeypatch.setattr(Hashing, "run", run)
    return begun


async def test_a_load_says_how_far_its_checksum_is_and_reads_no_more_when_given_up(
    models_folder, slow_hashing
):
    places = (Place(models_folder, "a test"),)
    files = ModelFiles(places, {"tiny-phi2": "sha256:" + "0" * 64})
    async with open_backend(LlamaCppSettings(), Host(files)) as llamacpp:
        async with aclosing(llamacpp.load(LoadRequest("tiny-phi2"))) as stages:
            first, second = await anext(stages), await anext(stages)
            size = (models_folder / "tiny-phi2.gguf").stat().st_size
            assert (first.stage, second.stage) == ("validate", "validate")
            assert (first.completed, second.completed, second.total) == (0, 1, size)
            (hashing,) = slow_hashing
            assert not hashing._stopped
        assert hashing._stopped
