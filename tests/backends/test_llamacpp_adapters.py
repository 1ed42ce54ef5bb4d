"""LoRA adapters on the real engine."""

import asyncio
import os
from contextlib import AsyncExitStack

import pytest

import orac_core
from orac_core import (
    GenerateOptions,
    GenerateRequest,
    LoadRequest,
    Message,
    ModelFileInvalid,
    ModelState,
    StateConflict,
)
from orac_core.manifest import parse
from tests.backends.driving import children
from tests.tiny_adapters import write_adapter
from tests.tiny_models import write

MODEL = "tiny-qwen3-0.6b"


@pytest.fixture
def folder(tmp_path):
    write(tmp_path, MODEL)
    return tmp_path


@pytest.fixture
async def opened(folder):
    async with AsyncExitStack() as stack:

        async def open_with(*adapters, roles=None, settings=None, **models):
            files = {MODEL: {"adapters": list(adapters)}} if adapters else {}
            data = {
                "models": {"paths": [str(folder)], "files": files, "canaries": False, **models},
                "backends": {"local": {"kind": "llamacpp", "threads": 1, **(settings or {})}},
                "profiles": {"default": {"models": roles or {}}},
            }
            opening = orac_core.open(parse(data, "test"), environ={})
            return await stack.enter_async_context(opening)

        yield open_with
    assert children() == []


async def said(manager, model=MODEL, tokens=8):
    options = GenerateOptions(max_tokens=tokens, temperature=0.0)
    request = GenerateRequest(model, messages=(Message("user", "hello"),), options=options)
    return (await manager.answer(request)).text


async def info(manager):
    return (await manager.find(MODEL)).info


def replaced(path, **facts):
    """Put another adapter in the place of one, in one step as tools do."""
    write_adapter(path.with_suffix(".new"), **facts).replace(path)


async def test_an_adapter_changes_answers_and_a_scale_of_0_is_none(opened, folder):
    adapter = write_adapter(folder / "lora.gguf")
    plain = await said(await opened())
    worn = await opened({"path": str(adapter)})
    changed = await said(worn)
    none = await said(await opened({"path": str(adapter), "scale": 0.0}))
    assert (plain == none, plain == changed) == (True, False)
    loaded = (await info(worn)).loaded
    assert [(it.path, it.scale) for it in loaded.adapters] == [(str(adapter), 1.0)]
    (shown,) = (await info(worn)).adapters
    assert (shown.name, shown.scale, len(shown.sha256), shown.problem) == ("lora.gguf", 1, 64, None)


@pytest.mark.parametrize("old", [False, True])
async def test_a_llama_server_of_the_users_is_told_of_adapters(
    opened, folder, fake_server, monkeypatch, old
):
    if old:
        monkeypatch.setenv("FAKE_WITHOUT_SOCKETS", "1")
    adapter = write_adapter(folder / "lora.gguf")
    plain = await said(await opened())
    manager = await opened({"path": "lora"}, settings={"server_binary": str(fake_server)})
    assert await said(manager) != plain
    (loaded,) = (await info(manager)).loaded.adapters
    assert loaded.path == str(adapter)


async def test_the_next_prompt_after_a_change_is_answered_with_the_new_adapter(opened, folder):
    adapter = write_adapter(folder / "lora.gguf")
    manager = await opened({"path": "lora.gguf"})
    await manager.load(LoadRequest(MODEL, context_length=256, keep_alive_s=600, pinned=True))
    before = await said(manager)
    first = (await info(manager)).loaded.adapters[0].sha256
    os.utime(adapter)
    assert await said(manager) == before
    assert (await info(manager)).loaded.adapters[0].sha256 == first
    replaced(adapter, seed=7)
    assert await said(manager) != before
    found = await manager.find(MODEL)
    assert found.info.loaded.adapters[0].sha256 != first
    assert (found.info.loaded.context_length, found.pinned) == (256, True)


async def test_no_prompt_fails_and_none_is_cut_while_adapters_change(opened, folder):
    adapter = write_adapter(folder / "lora.gguf")
    manager = await opened({"path": "lora.gguf"})
    answers = [await said(manager)]
    for seed in (1, 2):
        under_way = [asyncio.create_task(said(manager, tokens=40)) for _ in range(6)]
        replaced(adapter, seed=seed)
        more = [asyncio.create_task(said(manager, tokens=8)) for _ in range(12)]
        await asyncio.gather(*under_way)
        assert len({*await asyncio.gather(*more)}) <= 2
        answers.append(await said(manager))
    assert len({*answers}) == 3


async def test_a_broken_adapter_is_not_taken_and_the_model_answers_on(opened, folder):
    adapter = write_adapter(folder / "lora.gguf")
    manager = await opened({"path": "lora.gguf"})
    before = await said(manager)
    adapter.write_bytes(adapter.read_bytes()[:700])
    assert await said(manager) == before
    found = await info(manager)
    assert "lora.gguf: truncated" in found.warning
    assert "truncated" in found.adapters[0].problem
    health = await manager.health()
    assert any("truncated" in str(it) for it in health.degradation)
    await manager.unload(MODEL)
    found = await info(manager)
    assert (found.state, "truncated" in found.state_reason) == (ModelState.FAILED, True)
    with pytest.raises(ModelFileInvalid, match=r"lora\.gguf: truncated"):
        await said(manager)
    replaced(adapter)
    assert (await info(manager)).state is ModelState.STOPPED
    assert await said(manager) == before
    assert (await info(manager)).warning is None


@pytest.mark.parametrize(
    ("facts", "problem"),
    [
        ({"architecture": "llama"}, "of the architecture 'llama', and this one is of 'qwen3'"),
        ({"tensors": {"blk.0.attn_output.weight": (32, 32)}}, "do not fit that of this model"),
        ({"tensors": {"blk.9.attn_output.weight": (64, 32)}}, "which this model has not"),
        ({"general_type": "model"}, "it is no adapter"),
        ({"adapter_type": "loha"}, "only lora can be used"),
    ],
)
async def test_an_adapter_of_another_kind_is_refused_by_name(opened, folder, facts, problem):
    write_adapter(folder / "lora.gguf", **facts)
    manager = await opened({"path": "lora.gguf"})
    with pytest.raises(ModelFileInvalid, match=f"lora.gguf: .*{problem}"):
        await manager.load(LoadRequest(MODEL))
    assert problem in (await info(manager)).adapters[0].problem


async def test_an_adapter_that_hashes_to_something_else_is_refused(opened, folder):
    write_adapter(folder / "lora.gguf")
    manager = await opened({"path": "lora.gguf", "checksum": f"sha256:{'0' * 64}"})
    with pytest.raises(ModelFileInvalid, match=r"lora\.gguf: checksum sha256: expected 00000000"):
        await manager.load(LoadRequest(MODEL))
    assert (await info(manager)).state is ModelState.FAILED


async def test_a_role_is_answered_with_its_own_adapters_or_not_at_all(opened, folder):
    write_adapter(folder / "one.gguf", seed=1)
    write_adapter(folder / "two.gguf", seed=2)
    roles = {
        "one": {"name": MODEL, "adapters": [{"path": "one.gguf"}]},
        "two": {"name": MODEL, "adapters": [{"path": "two.gguf", "scale": 0.5}]},
        "bare": MODEL,
    }
    manager = await opened(roles=roles)
    first = await said(manager, "one")
    assert await said(manager) == first
    with pytest.raises(
        StateConflict, match=r"one\.gguf \(scale 1\) instead of .*two\.gguf \(scale 0.5"
    ):
        await said(manager, "two")
    with pytest.raises(StateConflict, match=r"one\.gguf \(scale 1\) instead of no adapters"):
        await said(manager, "bare")
    with pytest.raises(StateConflict, match=r"instead of the adapters two\.gguf"):
        await manager.load(LoadRequest("two"))
    await manager.unload(MODEL)
    assert await said(manager, "two") != first
    await manager.unload(MODEL)
    assert await said(manager, "bare") != first


async def test_adapters_beside_models_are_no_broken_models(opened, folder):
    write_adapter(folder / "lora.gguf")
    manager = await opened({"path": "lora.gguf"})
    assert [it.info.id for it in await manager.models()] == [MODEL]
