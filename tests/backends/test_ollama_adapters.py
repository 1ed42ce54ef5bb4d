"""LoRA adapters on an Ollama, which takes a model with one for another model."""

from contextlib import AsyncExitStack, asynccontextmanager
from hashlib import sha256

import pytest

import orac_core
from orac_backends.ollama.naming import dressed_name, is_dressed
from orac_core import (
    Adapter,
    BackendUnavailable,
    GenerateOptions,
    GenerateRequest,
    InvalidRequest,
    LoadRequest,
    Message,
    ModelFileInvalid,
    ModelState,
    StateConflict,
)
from orac_core.manifest import parse
from tests.backends.driving import ask, chat, load, told
from tests.backends.ollama_backend import Memory, opened
from tests.fake_ollama import FakeOllama
from tests.ollama_fake.client import client_of
from tests.tiny_adapters import write_adapter
from tests.tiny_models import write

MODEL = "tiny-qwen3-0.6b"
OWN = "tiny:latest"


@pytest.fixture(params=["0.32.15", "0.24.0"])
async def fake(request):
    async with FakeOllama(request.param).serving() as fake:
        fake.add_model(OWN, size=500_000, context_length=8192, family="qwen3")
        yield fake


@pytest.fixture
async def open_ollama(fake):
    async with AsyncExitStack() as stack:

        async def open_it(folder=None, **settings):
            settings = {"memory": Memory(), **settings}
            return await stack.enter_async_context(opened(fake.url, folder, **settings))

        yield open_it


def adapter_in(folder, **facts):
    path = write_adapter(folder / "lora.gguf", **facts)
    return Adapter(str(path), 1.0, sha256(path.read_bytes()).hexdigest(), path.stat().st_size)


def orders(fake):
    return [body for _, path, body in fake.requests if path == "/api/create"]


async def test_a_model_with_an_adapter_is_made_once_and_asked_in_its_place(
    open_ollama, fake, tmp_path
):
    ollama, worn = await open_ollama(), adapter_in(tmp_path)
    await load(ollama, OWN, adapters=(worn,))
    (order,) = orders(fake)
    assert (order["from"], order["adapters"]) == (OWN, {"adapter-1.gguf": f"sha256:{worn.sha256}"})
    assert fake.loaded == [order["model"]]
    info = await told(ollama, OWN)
    assert (info.state, info.loaded.adapters) == (ModelState.READY, (worn,))
    assert [it.id for it in await ollama.models()] == [OWN]

    assert (await ask(ollama, chat(OWN, max_tokens=4)))[-1].done
    assert fake.loaded == [order["model"]]
    await ollama.unload(OWN)
    assert (fake.loaded, (await told(ollama, OWN)).state) == ([], ModelState.STOPPED)
    assert fake.deletes == 0

    await load(ollama, OWN, adapters=(worn,))
    assert (len(orders(fake)), fake.uploads) == (1, 1)
    await ollama.unload(OWN)
    await load(ollama, OWN)
    assert fake.loaded == [OWN]
    assert (await told(ollama, OWN)).loaded.adapters == ()


async def test_a_file_that_was_handed_over_takes_an_adapter_too(open_ollama, fake, tmp_path):
    write(tmp_path, MODEL)
    ollama, worn = await open_ollama(tmp_path), adapter_in(tmp_path / "adapters")
    await load(ollama, MODEL, adapters=(worn,))
    first, second = orders(fake)
    assert second["from"] == first["model"]
    info = await told(ollama, MODEL)
    assert (info.state, info.loaded.adapters) == (ModelState.READY, (worn,))
    assert (await ask(ollama, chat(MODEL, max_tokens=4)))[-1].done


async def test_one_that_was_loaded_before_is_known_for_what_it_is(open_ollama, fake, tmp_path):
    first, worn = await open_ollama(), adapter_in(tmp_path)
    await load(first, OWN, adapters=(worn,))
    second = await open_ollama()
    info = await told(second, OWN)
    (loaded,) = info.loaded.adapters or ()
    assert (info.state, is_dressed(loaded.path)) == (ModelState.READY, True)
    assert (await ask(second, chat(OWN, max_tokens=4)))[-1].done
    await second.unload(OWN)
    assert fake.loaded == []


async def test_what_ollama_has_no_words_for_is_refused(open_ollama, tmp_path):
    ollama, worn = await open_ollama(), adapter_in(tmp_path)
    with pytest.raises(InvalidRequest, match="no scale"):
        await load(ollama, OWN, adapters=(Adapter(worn.path, 0.5, worn.sha256),))
    with pytest.raises(InvalidRequest, match="one adapter"):
        await load(ollama, OWN, adapters=(worn, worn))


async def test_a_file_that_ollama_refuses_as_an_adapter_is_named(open_ollama, tmp_path):
    ollama, other = await open_ollama(), adapter_in(tmp_path, general_type="model")
    with pytest.raises(ModelFileInvalid, match=r"lora\.gguf: Ollama can not use the adapter"):
        await load(ollama, OWN, adapters=(other,))
    with pytest.raises(BackendUnavailable, match="not loaded"):
        await ask(ollama, chat(OWN))


def test_the_name_tells_the_model_and_the_adapters():
    one, other = Adapter("/a/x.gguf", 1.0, "1" * 64), Adapter("/b/x.gguf", 1.0, "2" * 64)
    name = dressed_name("hf.co/me/some:Q4", "ab" * 32, [one])
    assert name.startswith("hf.co/me/some:orac-lora-abababababab-")
    assert name == dressed_name("hf.co/me/some:Q8", "ab" * 32, [Adapter("/else", 1.0, "1" * 64)])
    assert name != dressed_name("hf.co/me/some:Q4", "ab" * 32, [other])
    assert (is_dressed(name), is_dressed(name, "ab" * 32), is_dressed(name, "cd" * 32)) == (
        True,
        True,
        False,
    )
    assert not is_dressed("some:orac-0123456789ab")


@asynccontextmanager
async def managed(fake, adapter, folder):
    files = {OWN: {"adapters": [{"path": adapter}]}}
    data = {
        "models": {"paths": [str(folder)], "files": files, "canaries": False},
        "backends": {"ollama": {"kind": "ollama", "url": fake.url, "import_files": False}},
    }
    async with orac_core.open(parse(data, "test"), environ={}) as manager:
        yield manager


async def test_a_changed_adapter_makes_a_new_model_for_the_next_prompt(fake, tmp_path):
    write_adapter(tmp_path / "lora.gguf")
    async with managed(fake, "lora", tmp_path) as manager:
        await manager.load(LoadRequest(OWN))
        first = (await manager.find(OWN)).info
        assert [it.name for it in first.adapters] == ["lora.gguf"]
        write_adapter(tmp_path / "new.gguf", seed=3).replace(tmp_path / "lora.gguf")
        assert (await manager.answer(asking())).model == OWN
        second = (await manager.find(OWN)).info
        assert second.loaded.adapters[0].sha256 != first.loaded.adapters[0].sha256
        assert (len(orders(fake)), len(fake.loaded)) == (2, 1)


def asking(model=OWN):
    return GenerateRequest(
        model, messages=(Message("user", "hello"),), options=GenerateOptions(max_tokens=4)
    )


async def test_what_an_orac_left_that_was_killed_is_loaded_anew(fake, open_ollama, tmp_path):
    worn = adapter_in(tmp_path)
    left = await open_ollama()
    await load(left, OWN, adapters=(worn,))
    left._roster.clear()
    write_adapter(tmp_path / "lora.gguf", seed=3)
    async with managed(fake, "lora", tmp_path) as manager:
        assert (await manager.find(OWN)).info.state is ModelState.READY
        await manager.answer(asking())
        (now,) = (await manager.find(OWN)).info.loaded.adapters
        assert (now.sha256 not in {None, worn.sha256}, len(fake.loaded)) == (True, 1)


async def test_a_model_that_another_program_has_loaded_without_them_is_not_taken(fake, tmp_path):
    write_adapter(tmp_path / "lora.gguf")
    async with managed(fake, "lora", tmp_path) as manager, client_of(fake) as other:
        await other.load(OWN)
        with pytest.raises(StateConflict, match=r"with no adapters instead of .*lora"):
            await manager.answer(asking())


async def test_an_adapter_for_another_architecture_is_refused_before_ollama_sees_it(fake, tmp_path):
    write_adapter(tmp_path / "lora.gguf", architecture="llama")
    async with managed(fake, "lora", tmp_path) as manager:
        with pytest.raises(ModelFileInvalid, match="architecture 'llama'"):
            await manager.load(LoadRequest(OWN))
    assert (orders(fake), fake.uploads) == ([], 0)
