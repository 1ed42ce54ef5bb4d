"""From the folder to memory and back: failures, crashes, orphans, and code that must not run."""

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
from contextlib import aclosing
from pathlib import Path

import pytest

import orac_core
from orac_core import (
    BackendError,
    BackendUnavailable,
    InvalidRequest,
    LoadRequest,
    ModelFileInvalid,
    ModelNotFound,
    ModelState,
)
from orac_core.manifest import parse
from tests.backends.driving import (
    ask,
    chat,
    children,
    command_line,
    load,
    pid_of,
    raw,
    runs,
    told,
    until,
    words,
)
from tests.transformers.conftest import MODEL
from tests.transformers.making import change

PARENT = Path(__file__).with_name("parent.py")
EVIL = "from pathlib import Path\nPath({ran!r}).write_text('yes')\n"


@pytest.fixture
def copied(checkpoints, tmp_path):
    """Copies the checkpoint, to be spoilt."""

    def copying(name="other", **config):
        path = tmp_path / "checkpoints" / name
        shutil.copytree(checkpoints / MODEL, path)
        change(path, **config)
        return path

    return copying


def evil(path, ran):
    """Put code into a checkpoint wherever one may name some."""
    (path / "evil.py").write_text(EVIL.format(ran=str(ran)))
    (path / "custom_generate").mkdir()
    (path / "custom_generate" / "generate.py").write_text(EVIL.format(ran=str(ran)))
    names = ("AutoConfig", "AutoModelForCausalLM", "AutoTokenizer")
    told = path / "tokenizer_config.json"
    auto_map = {"AutoTokenizer": ["evil.Tokenizer", None]}
    told.write_text(json.dumps(json.loads(told.read_text()) | {"auto_map": auto_map}))
    return {"auto_map": {name: f"evil.{name}" for name in names}}


def told_of(pid, what, separator="\0"):
    """Return what the kernel tells of a process."""
    return set(Path(f"/proc/{pid}/{what}").read_text().split(separator))


async def test_it_loads_in_stages_says_what_it_uses_and_gives_the_memory_back(opened):
    backend = await opened()
    before = await told(backend, MODEL)
    assert (before.state, before.loaded) == (ModelState.STOPPED, None)
    stages = [progress.stage for progress in await load(backend, MODEL, context_length=64)]
    assert (stages[:2], stages[-1]) == (["validate", "read"], "start")
    assert await load(backend, MODEL) == []
    info, pid = await told(backend, MODEL), pid_of(backend, MODEL)
    assert (info.state, info.loaded.context_length) == (ModelState.READY, 64)
    assert command_line(pid).split()[1:] == ["-P", "-m", "orac_backends._transformers"]
    assert {"HF_HUB_OFFLINE=1", "TRANSFORMERS_OFFLINE=1"} <= told_of(pid, "environ")
    assert not any("aiohttp" in line for line in told_of(pid, "maps", "\n"))
    await backend.unload(MODEL)
    assert not runs(pid)
    assert children() == []
    assert (await told(backend, MODEL)).state is ModelState.STOPPED


async def test_closing_a_load_leaves_nothing_behind(opened):
    backend = await opened()
    async with aclosing(backend.load(LoadRequest(MODEL))) as stages:
        async for progress in stages:
            if progress.stage == "start":
                break
    assert children() == []
    assert (await told(backend, MODEL)).state is ModelState.STOPPED


async def test_a_crash_in_mid_stream_is_an_error_and_no_end_and_a_load_mends_it(opened):
    backend = await opened()
    await load(backend, MODEL)
    pieces = []
    with pytest.raises(BackendUnavailable, match="SIGKILL"):
        async with aclosing(backend.generate(raw(MODEL, temperature=0.0))) as stream:
            async for piece in stream:
                pieces.append(piece)
                if len(pieces) == 3:
                    os.kill(pid_of(backend, MODEL), signal.SIGKILL)
    assert not any(piece.done for piece in pieces)
    assert "SIGKILL" in (await told(backend, MODEL)).state_reason
    await load(backend, MODEL)
    assert (await ask(backend, chat(MODEL, max_tokens=2)))[-1].done


async def test_unloading_ends_answers_that_run_or_wait_with_an_error(opened):
    backend = await opened()
    await load(backend, MODEL)
    asking = [asyncio.create_task(ask(backend, raw(MODEL, temperature=0.0))) for _ in range(3)]
    await asyncio.wait(asking, timeout=0.1)
    await backend.unload(MODEL)
    for error in await asyncio.gather(*asking, return_exceptions=True):
        assert isinstance(error, BackendUnavailable)


async def test_code_that_a_checkpoint_brings_never_runs(opened, copied, tmp_path):
    ran = tmp_path / "ran"
    known, unknown = copied("known"), copied("unknown")
    change(known, **evil(known, ran))
    change(unknown, model_type="evil", **evil(unknown, ran))
    backend = await opened(known.parent)
    assert "never run" in (await told(backend, "known")).state_reason
    first, *_ = await load(backend, "known")
    assert "never run" in first.message
    assert (await told(backend, "known")).warning is None
    assert (await ask(backend, chat("known", max_tokens=1)))[-1].done
    await backend.unload("known")
    with pytest.raises(ModelFileInvalid, match="the code that it brings .auto_map. is never run"):
        await load(backend, "unknown")
    assert (await told(backend, "unknown")).state is ModelState.FAILED
    assert not ran.exists()


async def test_a_checkpoint_that_lacks_weights_is_refused_and_not_made_up(opened, copied):
    path = copied(num_hidden_layers=3)
    backend = await opened(path.parent)
    with pytest.raises(ModelFileInvalid, match="weights are missing, the first is model.layers.2"):
        await load(backend, "other")
    assert "weights are missing" in (await told(backend, "other")).state_reason


async def test_what_can_not_be_used_is_listed_with_its_reason_and_not_started(opened, copied):
    pickled, cut = copied("pickled"), copied("cut")
    (pickled / "model.safetensors").rename(pickled / "pytorch_model.bin")
    weights = cut / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-10])
    backend = await opened(pickled.parent)
    for name, reason in (("pickled", "pickled"), ("cut", "is cut")):
        info = await told(backend, name)
        assert info.state is ModelState.FAILED
        assert reason in info.state_reason
        with pytest.raises(ModelFileInvalid, match=reason):
            await load(backend, name)
    with pytest.raises(ModelNotFound):
        await load(backend, "../pickled")
    assert children() == []


async def test_options_of_a_load_are_checked(opened):
    backend = await opened()
    with pytest.raises(InvalidRequest, match="context_length"):
        await load(backend, MODEL, context_length=0)


async def test_a_device_that_is_not_there_is_said(opened):
    backend = await opened(device="cuda:7")
    with pytest.raises(orac_core.OracError, match=r"CUDA|cuda"):
        await load(backend, MODEL)
    assert children() == []


async def test_a_start_that_takes_too_long_is_given_up(opened):
    backend = await opened(start_timeout_s=0.05)
    with pytest.raises(BackendError, match="did not start with tiny within 0 s"):
        await load(backend, MODEL)
    assert children() == []


async def test_weights_may_be_turned_into_another_type(opened):
    backend = await opened(dtype="bfloat16")
    await load(backend, MODEL)
    assert len(words(await ask(backend, raw(MODEL, temperature=0.0, max_tokens=4)))) == 4


def test_no_worker_survives_when_orac_is_killed(checkpoints):
    argv = [sys.executable, PARENT, checkpoints, MODEL]
    environment = os.environ | {"PYTHONPATH": str(Path.cwd())}
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True, env=environment) as parent:
        worker = int(parent.stdout.readline())
        assert runs(worker)
        parent.kill()
    asyncio.run(until(lambda: not runs(worker), within=5))


async def test_the_manager_proves_a_load_and_loads_again_after_a_crash(checkpoints):
    slow = {"kind": "transformers", "paths": [str(checkpoints)], "device": "cpu", "threads": 1}
    manifest = {
        "models": {"canaries": False},
        "backends": {"slow": slow},
        "profiles": {"default": {"models": {"general": f"slow/{MODEL}"}}},
    }
    async with orac_core.open(parse(manifest, "a test"), environ={}) as manager:
        loaded = await manager.load(LoadRequest("general"))
        assert (loaded.instance, loaded.model) == ("slow", MODEL)
        assert loaded.needs_bytes > 0
        (worker,) = children()
        os.kill(worker, signal.SIGKILL)
        answer = await manager.answer(chat("general", max_tokens=3))
        assert (answer.role, answer.usage.completion_tokens) == ("general", 3)
        unloaded = await manager.unload("general")
        assert unloaded.freed_bytes > 100 << 20
        assert children() == []
