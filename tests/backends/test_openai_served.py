"""Models of the kind ``openai`` behind the manager: roles, losses, and what is not asked."""

from contextlib import AsyncExitStack

import pytest

from orac_core import (
    BackendError,
    BackendUnavailable,
    LoadRequest,
    ModelNotFound,
    ModelState,
    QueueFull,
)
from orac_core.manifest import BackendEntry, Manifest, parse
from orac_core.serving import open_manager
from tests.backends.driving import chat
from tests.backends.openai_server import KEY, Scripted, refusing, saying
from tests.scripted import NoSensors


@pytest.fixture
async def server():
    async with Scripted().serving() as scripted:
        yield scripted


@pytest.fixture
async def managed(server):
    async with AsyncExitStack() as stack:

        async def opened(**settings):
            table = {"kind": "openai", "url": server.url, **settings}
            roles = {"general": {"name": "small", "provider": "hosted"}}
            told = {"backends": {"hosted": table}, "profiles": {"default": {"models": roles}}}
            opening = open_manager(parse(told, "a test"), environ={}, sensors=NoSensors())
            return await stack.enter_async_context(opening)

        yield opened


async def test_a_role_may_mean_a_model_elsewhere_and_is_not_told_to_it(server, managed):
    manager = await managed()
    server.answers = [saying()]
    answer = await manager.answer(chat("general"))
    assert (answer.text, answer.role, answer.instance) == ("Hello you", "general", "hosted")
    assert server.asked("/completions")[0].body["model"] == "small"


async def test_a_model_elsewhere_needs_no_load_and_no_memory(server, managed):
    manager = await managed()
    loaded = await manager.load(LoadRequest("small"))
    assert (loaded.already_loaded, loaded.needs_bytes) == (True, 0)
    await manager.unload("small")
    assert (await manager.find("small")).info.state is ModelState.READY


@pytest.mark.parametrize("metered", [True, False])
async def test_a_model_that_may_cost_is_asked_nothing_of_its_own_accord(server, managed, metered):
    manager = await managed(metered=metered)
    proof = [] if metered else [saying()]
    server.answers = [refusing(503, "gone"), *proof, saying()]
    assert (await manager.answer(chat("small"))).text == "Hello you"
    assert len(server.asked("/completions")) == 2 + len(proof)
    assert bool(manager.watch.canaries._jobs) is not metered


async def test_a_model_that_is_no_longer_there_is_not_found(server, managed):
    manager = await managed()
    await manager.models()
    server.models = [{"id": "other"}]
    with pytest.raises((ModelNotFound, BackendUnavailable), match="not"):
        await manager.answer(chat("small"))
    with pytest.raises(ModelNotFound):
        await manager.answer(chat("small"))


async def test_a_server_that_is_busy_is_asked_once_and_stays_ready(server, managed):
    manager = await managed()
    server.answers = [refusing(429, "slow down", **{"Retry-After": "9"}), saying()]
    with pytest.raises(QueueFull) as found:
        await manager.answer(chat("small"))
    assert found.value.retry_after_s == 9.0
    assert len(server.answers) == 1
    assert (await manager.find("small")).info.state is ModelState.READY


async def test_a_wrong_key_makes_the_backend_unusable_and_stands_nowhere(server, tmp_path, managed):
    (tmp_path / "key").write_text(KEY)
    server.always = refusing(401, f"wrong key {KEY}")
    manager = await managed(key_file=str(tmp_path / "key"))
    health = await manager.health()
    assert not health.instances["hosted"].usable
    told = health.instances["hosted"].message
    assert "wrong key ***; check the key that key_file, or key_env, names" in told
    with pytest.raises(BackendError, match=r"wrong key \*\*\*") as found:
        await manager.answer(chat("small"))
    assert KEY not in f"{found.value!r} {found.value.__cause__!r} {health} {manager.backends}"


async def test_one_backend_without_its_key_stops_no_other(server):
    entries = {
        "hosted": BackendEntry("openai", {"url": server.url, "key_env": "ABSENT"}),
        "near": BackendEntry("openai", {"url": server.url}),
    }
    opening = open_manager(Manifest(backends=entries), environ={}, sensors=NoSensors())
    async with opening as manager:
        assert [it.instance for it in await manager.models()] == ["near"]
        assert "there is no key" in (await manager.health()).instances["hosted"].message
