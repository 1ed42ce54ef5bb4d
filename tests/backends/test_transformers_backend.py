"""The kind `transformers` where torch is not installed, and its decisions, which need none."""

from pathlib import Path

import pytest

import orac_core
from orac_backends.transformers import TransformersSettings, engine
from orac_backends.transformers.backend import open_backend
from orac_backends.transformers.checkpoint import checkpoint
from orac_backends.transformers.failures import failed_start
from orac_backends.transformers.plan import plan, usual
from orac_core import (
    BackendError,
    BackendUnavailable,
    ConfigurationError,
    LoadRequest,
    ModelFileInvalid,
    ModelState,
)
from orac_core.manifest import parse
from tests.backends.driving import chat, load, told
from tests.tiny_checkpoints import split, write


@pytest.fixture
def bare(monkeypatch):
    """A machine on which neither torch nor transformers is installed."""
    monkeypatch.setattr(engine, "find_spec", lambda _: None)


@pytest.fixture
async def backend(tmp_path):
    write(tmp_path)
    async with open_backend(TransformersSettings((tmp_path,))) as opened:
        yield opened


async def test_without_the_extra_health_says_what_to_install(bare, backend):
    health = await backend.health()
    assert not health.usable
    assert health.message == (
        "torch and transformers are not installed; `pip install 'orac[transformers]'` where ORAC "
        "is installed"
    )
    with pytest.raises(BackendUnavailable, match=r"orac\[transformers\]"):
        await load(backend, "tiny")


async def test_without_the_extra_everything_else_goes_on(bare, tmp_path):
    write(tmp_path)
    manifest = {
        "backends": {
            "local": {"kind": "llamacpp"},
            "slow": {"kind": "transformers", "paths": [str(tmp_path)]},
        }
    }
    async with orac_core.open(parse(manifest, "a test"), environ={}) as manager:
        health = await manager.health()
        assert health.instances["local"].usable
        assert not health.instances["slow"].usable
        assert "tiny" in {it.info.id for it in await manager.models()}
        with pytest.raises(BackendUnavailable, match=r"orac\[transformers\]"):
            await manager.answer(chat("slow/tiny"))


async def test_what_is_on_the_disk_is_listed_without_torch(bare, backend, tmp_path):
    split(tmp_path)
    write(tmp_path, "broken", files={"model.safetensors": b"no"})
    info, parts, broken = [await told(backend, it) for it in ("tiny", "split", "broken")]
    assert (info.state, info.capabilities) == (ModelState.STOPPED, ("completion", "chat"))
    assert (info.quantization, info.context_length) == ("BF16", 512)
    assert Path(info.file.path).name == "model.safetensors"
    assert Path(parts.file.path).name == "split"
    assert (broken.state, broken.capabilities) == (ModelState.FAILED, ())
    assert broken.state_reason == broken.file.problem
    assert "model.safetensors" in broken.state_reason


async def test_folders_that_are_not_there_are_said(tmp_path, monkeypatch):
    monkeypatch.setattr(engine, "find_spec", lambda _: object())
    async with open_backend(TransformersSettings((tmp_path / "nothing",))) as backend:
        assert "nothing is no folder" in (await backend.health()).warnings[0]
        assert await backend.models() == []
    async with open_backend(TransformersSettings()) as backend:
        assert "set `paths`" in (await backend.health()).warnings[0]


@pytest.mark.parametrize(
    "wrong", [{"device": "gpu"}, {"dtype": "int4"}, {"threads": 0}, {"context_length": 0}]
)
async def test_settings_that_make_no_sense_are_refused(wrong):
    manifest = {"backends": {"slow": {"kind": "transformers"} | wrong}}
    with pytest.raises(ConfigurationError, match=next(iter(wrong))):
        async with orac_core.open(parse(manifest, "a test"), environ={}):
            pass


def planned(path, request=None, **settings):
    chosen = TransformersSettings(**settings)
    return plan(checkpoint("tiny", path), request or LoadRequest("tiny"), chosen, 3)


def test_a_context_is_never_longer_than_the_model_was_trained_for(tmp_path):
    path = write(tmp_path)
    asked = LoadRequest("tiny", context_length=100_000)
    assert planned(path, asked).context_length == 512
    assert planned(path, context_length=64).context_length == 64
    assert planned(path, LoadRequest("tiny", 32), context_length=64).context_length == 32
    long = write(tmp_path, "long", max_position_embeddings=1 << 20)
    assert planned(long).context_length == 4096
    assert (planned(path).threads, planned(path, threads=2).threads) == (3, 2)


def test_what_a_load_would_use_is_one_answer_at_a_time(tmp_path):
    found = checkpoint("tiny", write(tmp_path))
    assert usual(found, TransformersSettings()).parallel == 1
    assert usual(found, TransformersSettings(device="cpu")).gpu_layers == 0
    assert usual(found, TransformersSettings(device="cuda")).gpu_layers is None


@pytest.mark.parametrize(
    ("line", "kind", "reason"),
    [
        ("worker: ValueError: no such thing", ModelFileInvalid, "cannot load it: no such thing"),
        ("worker: ValueError: set trust_remote_code=True", ModelFileInvalid, "is never run"),
        ("worker: ValueError: has model type `frob` but", ModelFileInvalid, "model_type 'frob'"),
        ("worker: AssertionError: Torch not compiled with CUDA enabled", BackendError, '"auto"'),
        ("worker: RuntimeError: Found no NVIDIA driver on your system", BackendError, '"auto"'),
        ("worker: ImportError: no libtorch", BackendUnavailable, "no libtorch"),
        ("worker: RuntimeError: can't allocate memory", BackendError, "not enough memory"),
        ("worker: OutOfMemoryError: CUDA out of memory", BackendError, "not enough memory"),
        ("Fatal Python error", BackendError, "exit code 1"),
    ],
)
def test_the_reason_of_a_failed_start_is_what_the_worker_wrote(line, kind, reason):
    error = failed_start("tiny", Path("/a/tiny"), (line,), "exit code 1")
    assert type(error) is kind
    assert reason in str(error)
    assert type(failed_start("tiny", Path("/a/tiny"), (), "exit code 1")) is BackendError


def test_no_secret_of_orac_reaches_a_worker(tmp_path, monkeypatch):
    for name in ("HF_TOKEN", "ORAC_ADMIN_TOKEN", "OPENAI_API_KEY"):
        monkeypatch.setenv(name, "a-secret")
    launch = engine.launch(planned(write(tmp_path)), "the-key", tmp_path / "1.sock")
    assert "a-secret" not in str(launch.environment)
    assert "the-key" not in " ".join(launch.argv)
    assert launch.environment["HF_HOME"] == str(tmp_path)
