"""A `llama-server` of the user's in place of the engine that comes with ORAC."""

import asyncio

import pytest

from orac_backends.llamacpp import backend_kinds
from orac_core import BackendError, BackendUnavailable, ModelFileInvalid, ModelState
from tests.backends.driving import (
    ask,
    chat,
    command_line,
    load,
    pid_of,
    runs,
    told,
    words,
)
from tests.tiny_models import write

MODEL = "tiny-qwen3-0.6b"


@pytest.mark.parametrize("sockets", [True, False])
async def test_a_llama_server_serves_a_model(open_llamacpp, fake_server, monkeypatch, sockets):
    if not sockets:
        monkeypatch.setenv("FAKE_WITHOUT_SOCKETS", "1")
    llamacpp = await open_llamacpp(server_binary=fake_server)
    await load(llamacpp, MODEL, gpu_layers=7)
    assert words(await ask(llamacpp, chat(MODEL, max_tokens=30, temperature=1.0, seed=1)))

    info = await told(llamacpp, MODEL)
    assert info.state is ModelState.READY
    assert info.loaded.gpu_layers == 2  # what its log says, not what was asked for
    assert (info.loaded.context_length, info.loaded.parallel) == (512, 2)

    pid = pid_of(llamacpp, MODEL)
    line = command_line(pid)
    worker = llamacpp._workers[MODEL]
    assert worker._client._session.headers["authorization"].split()[1] not in line
    assert (f"--host {worker.socket}" if sockets else "--host 127.0.0.1") in line
    assert "--n-gpu-layers 7" in line
    assert "--no-slots" not in line  # its help does not know it
    await llamacpp.unload(MODEL)
    assert not runs(pid)


async def test_a_llama_server_with_a_bad_model_says_why(open_llamacpp, fake_server, tmp_path):
    folder = tmp_path / "models"
    path = write(folder, MODEL)
    path.write_bytes(path.read_bytes().replace(b"qwen3", b"qwenX"))
    llamacpp = await open_llamacpp(folder, server_binary=fake_server)
    with pytest.raises(ModelFileInvalid, match="unknown model architecture"):
        await load(llamacpp, MODEL)


async def test_health_says_which_llama_server_there_is(open_llamacpp, fake_server):
    llamacpp = await open_llamacpp(server_binary=fake_server)
    health = await llamacpp.health()
    assert health.usable
    assert health.version == "llama-server 6789 (0123abc)"
    assert health.details == {"workers": 0}
    await load(llamacpp, MODEL)
    async with asyncio.timeout(10):  # the engine's words come by another way than its answers
        while "gpu" not in (details := (await llamacpp.health()).details):
            await asyncio.sleep(0.001)
    assert details == {"workers": 1, "gpu": True}


@pytest.mark.parametrize(
    ("content", "mode", "reason"),
    [
        (None, 0, "No such file"),
        ("#!/bin/sh\n", 0o644, "chmod"),
        ("not a program", 0o755, "Exec format error"),
        ("#!/bin/sh\necho out of luck >&2; exit 4\n", 0o755, "exit code 4: out of luck"),
    ],
)
async def test_a_program_that_is_none_is_unusable_and_says_why(
    open_llamacpp, tmp_path, content, mode, reason
):
    program = tmp_path / "llama-server"
    if content is not None:
        program.write_text(content)
        program.chmod(mode)
    llamacpp = await open_llamacpp(server_binary=program)
    health = await llamacpp.health()
    assert not health.usable
    assert reason in health.message
    with pytest.raises(BackendUnavailable, match=reason):
        await load(llamacpp, MODEL)
    assert (await told(llamacpp, MODEL)).state is ModelState.FAILED


async def test_a_program_that_is_exchanged_is_asked_again(open_llamacpp, fake_server):
    llamacpp = await open_llamacpp(server_binary=fake_server)
    assert (await llamacpp.health()).version == "llama-server 6789 (0123abc)"
    fake_server.write_text("#!/bin/sh\necho version: 7000\n")
    assert (await llamacpp.health()).version == "llama-server 7000"


async def test_a_server_that_ends_at_once_is_an_error_with_its_last_words(open_llamacpp, tmp_path):
    program = tmp_path / "llama-server"
    program.write_text(
        "#!/bin/sh\ncase $1 in --version|--help) echo version: 1;;\n"
        "*) printf 'bad \\033[31mluck\\n' >&2; exit 5;; esac\n"
    )
    program.chmod(0o755)
    llamacpp = await open_llamacpp(server_binary=program)
    with pytest.raises(BackendError, match=r"exit code 5; .*bad \\x1b\[31mluck"):
        await load(llamacpp, MODEL)


async def test_a_server_is_told_how_to_keep_its_cache(open_llamacpp, fake_server, tmp_path):
    wide = {"heads": 2, "kv_heads": 2, "head_width": 32, "width": 64}
    folder = write(tmp_path / "wide", MODEL, **wide).parent
    llamacpp = await open_llamacpp(folder, server_binary=fake_server, cache_type="q8_0")
    await load(llamacpp, MODEL)
    line = command_line(pid_of(llamacpp, MODEL))
    assert "--cache-type-k q8_0 --cache-type-v q8_0" in line


async def test_a_server_that_keeps_its_cache_in_one_way_only_is_refused_with_what_to_do(
    open_llamacpp, tmp_path
):
    program = tmp_path / "llama-server"
    program.write_text("#!/bin/sh\necho version: 1\n")
    program.chmod(0o755)
    llamacpp = await open_llamacpp(server_binary=program, cache_type="q8_0")
    with pytest.raises(BackendUnavailable, match="f16 only: it does not know --cache-type-k"):
        await load(llamacpp, MODEL)


async def test_the_engine_that_comes_with_orac_is_known_without_importing_it(llamacpp):
    (kind,) = backend_kinds()
    health = await llamacpp.health()
    assert health.usable
    assert health.version == kind.engine_version()
    assert health.version.startswith("xllamacpp 2")


async def test_a_missing_engine_is_unusable_and_says_what_to_do(llamacpp, monkeypatch):
    monkeypatch.setattr("orac_backends.llamacpp.launch.find_spec", lambda name: None)
    health = await llamacpp.health()
    assert not health.usable
    assert "server_binary" in health.message
