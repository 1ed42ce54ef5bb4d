"""What is changed on the cluster while it answers on."""

import asyncio
from contextlib import AsyncExitStack

import pytest

import orac_core
from orac_core import GenerateOptions, GenerateRequest, LoadRequest, Message
from orac_core.manifest import parse
from tests.scripted import NoSensors
from tests.tiny_adapters import write_adapter
from tests.tiny_models import write

MODEL = "tiny-qwen3-0.6b"


PREFIX = "changes"


@pytest.fixture
async def opened(nodes, tmp_path):
    """Return what opens an ORAC on the shared cluster; its model is taken off at the end."""
    write(tmp_path, MODEL)
    async with AsyncExitStack() as stack:

        async def open_with(*adapters, **more):
            model = {
                "kind": "llamacpp",
                "num_cpus": 0.1,
                "paths": [str(tmp_path)],
                "settings": {"threads": 1, "context_length": 256},
            }
            files = {MODEL: {"adapters": list(adapters)}} if adapters else {}
            cluster = {"kind": "ray", "address": nodes.address, "prefix": PREFIX}
            data = {
                "models": {"adapters": str(tmp_path), "files": files, "canaries": False},
                "backends": {"cluster": cluster | {"models": {MODEL: model | more}}},
            }
            opening = orac_core.open(parse(data, "test"), environ={}, sensors=NoSensors())
            manager = await stack.enter_async_context(opening)
            stack.push_async_callback(manager.unload, MODEL)
            return manager

        yield open_with


async def said(manager, tokens=8):
    options = GenerateOptions(max_tokens=tokens, temperature=0.0)
    request = GenerateRequest(MODEL, messages=(Message("user", "hello"),), options=options)
    return (await manager.answer(request)).text


async def replicas(manager):
    told = await manager.backends.open["cluster"].health()
    return told.details["replicas"].get(f"{PREFIX}-{MODEL}", {})


def replaced(path, **facts):
    write_adapter(path.with_suffix(".new"), **facts).replace(path)


async def test_a_changed_adapter_rolls_through_the_replicas_and_no_request_fails(opened, tmp_path):
    adapter = write_adapter(tmp_path / "lora.gguf")
    manager = await opened({"path": "lora.gguf"}, replicas=2)
    await manager.load(LoadRequest(MODEL))
    before = await said(manager)
    replaced(adapter, seed=7)
    answers, least = [], 2

    async def all_new():
        nonlocal least
        answers.extend(await asyncio.gather(*[said(manager) for _ in range(4)]))
        running = (await replicas(manager)).get("RUNNING", 0)
        least = min(least, running)
        return running == 2 and len({*answers[-4:]}) == 1 and answers[-1] != before

    async with asyncio.timeout(120):
        while not await all_new():
            pass
    assert set(answers) == {before, answers[-1]}
    assert least >= 1
