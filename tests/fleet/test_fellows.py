"""An ORAC that has another one among its backends: its models are listed, loaded and unloaded."""

import asyncio
from contextlib import AsyncExitStack, aclosing, asynccontextmanager

import aiohttp
import pytest

import orac_core
from orac_core import (
    BackendError,
    BackendUnavailable,
    InsufficientMemory,
    InvalidRequest,
    LoadRequest,
    ModelNotFound,
    ModelState,
    StateConflict,
)
from orac_core.manifest import parse
from orac_core.testing import BackendContract, Subject
from tests.backends.driving import ask, chat, load, told, words
from tests.backends.openai_server import opened
from tests.boxes import ADMIN, ROOT, TOKENS, USER, Box, front, python_models, running
from tests.scripted import NoSensors
from tests.server.serving import service

HUGE_BYTES = 1 << 43


@pytest.fixture(scope="module")
def gate(tmp_path_factory):
    """A file; as long as it is there, a load of `gated` goes on."""
    return tmp_path_factory.mktemp("gate") / "gate"


@pytest.fixture(scope="module")
def box(tmp_path_factory, gate):
    folder = tmp_path_factory.mktemp("box")
    with (folder / "huge").open("wb") as file:
        file.truncate(HUGE_BYTES)
    models = python_models(
        words={},
        slow={"kwargs": {"count": 500, "word_s": 0.02}},
        gated={"kwargs": {"gate": str(gate)}},
        huge={"path": str(folder / "huge")},
        vectors={"loader": "tests.slow_words:Vectors", "capabilities": ["embedding"]},
    )
    models["backends"]["local"] = {"kind": "llamacpp", "threads": 1}
    models["models"] = {"paths": [str(ROOT / "orac_server/demo")]}
    made = Box(folder, models, TOKENS)
    asyncio.run(made.start())
    yield made
    asyncio.run(made.stop())


@pytest.fixture
def keys(tmp_path):
    """Settings with both keys, each in a file."""
    (tmp_path / "user").write_text(USER)
    (tmp_path / "admin").write_text(ADMIN)
    return {"key_file": tmp_path / "user", "admin_key_file": tmp_path / "admin"}


@pytest.fixture
async def admin(box, keys):
    async with opened(box.url, **keys) as backend:
        yield backend
        for info in await backend.models():
            await backend.unload(info.id)


@pytest.fixture
async def user(admin, box, keys):
    async with opened(box.url, key_file=keys["key_file"]) as backend:
        yield backend


@pytest.fixture
async def managed():
    """Opens managers that have boxes for backends."""
    async with AsyncExitStack() as stack:

        async def open_with(*boxes, **settings):
            data = front(*boxes, **{name: str(value) for name, value in settings.items()})
            opening = orac_core.open(parse(data, "a test"), environ={}, sensors=NoSensors())
            return await stack.enter_async_context(opening)

        yield open_with


async def test_what_does_not_fit_there_is_told_with_the_numbers(box, keys, managed):
    manager = await managed(box, **keys)
    with pytest.raises(InsufficientMemory, match="GiB") as found:
        await manager.load(LoadRequest("huge"))
    assert found.value.needed_bytes >= HUGE_BYTES > found.value.available_bytes > 0
    assert manager.breaker("box1").failures == 0
    async with service(manager) as served:
        refused = await served.post("/v1/prompt", {"model": "box1/huge", "prompt": "hello"})
        assert (refused.status, refused.error["code"]) == (503, "insufficient_memory")
        assert refused.error["needed_bytes"] == found.value.needed_bytes


async def test_an_error_names_the_box_that_was_meant_whichever_else_is_down(
    box, keys, managed, tmp_path
):
    down = Box(tmp_path / "down")
    manager = await managed(down, box, **keys)
    with pytest.raises(ModelNotFound, match="^model 'box2/none' not found; box2 has no such model"):
        await manager.load(LoadRequest("box2/none"))
    unknown = f"^'box1/words' is not known, but box1 might have it and does not .*{down.port}"
    with pytest.raises(BackendUnavailable, match=unknown):
        await manager.load(LoadRequest("box1/words"))
    manager = await managed(down, Box(tmp_path / "other"))
    with pytest.raises(BackendUnavailable, match="^'box2/none' is not known, but box2 might"):
        await manager.load(LoadRequest("box2/none"))


async def test_the_models_of_another_orac_are_listed_as_they_stand_there(admin):
    assert (await told(admin, "words")).state is ModelState.STOPPED
    stages = [each.stage for each in await load(admin, "words")]
    assert {"validate", "start", "verify"} <= set(stages)
    info = await told(admin, "words")
    assert (info.state, info.remote, info.relayed) == (ModelState.READY, True, True)
    assert info.loaded is not None
    assert words(await ask(admin, chat("words"))) == "0 1 2 3 4 "
    await admin.unload("words")
    info = await told(admin, "words")
    assert (info.state, info.loaded) == (ModelState.STOPPED, None)


async def test_as_many_answers_at_once_are_asked_for_as_the_model_there_gives(box, keys, managed):
    manager = await managed(box, **keys)
    assert (await manager.find("slow")).at_once == 8
    await manager.load(LoadRequest("slow"))
    assert (await manager.find("slow")).at_once == 64
    async with AsyncExitStack() as stack:
        for _ in range(12):
            answer = manager.generate(chat("slow"), deadline_s=5)
            pieces = await stack.enter_async_context(aclosing(answer))
            assert (await anext(pieces)).text
        assert (await manager.find("slow")).active == 12
    await manager.unload("slow", force=True)


async def test_a_load_under_way_there_is_seen_and_giving_it_up_gives_it_up_there(admin, gate):
    gate.touch()
    try:
        async with aclosing(admin.load(LoadRequest("gated"))) as stages:
            async for stage in stages:
                if stage.stage == "start":
                    break
            admin.roster.forget()
            assert (await told(admin, "gated")).state is ModelState.STARTING
    finally:
        gate.unlink()
    await admin.unload("gated")
    assert (await told(admin, "gated")).state is ModelState.STOPPED


async def test_a_load_that_others_there_wait_for_goes_on_when_it_is_given_up_here(admin, box, gate):
    gate.touch()
    headers = {"Authorization": f"Bearer {ADMIN}"}
    async with aiohttp.ClientSession(box.url, headers=headers) as there:
        async with aclosing(admin.load(LoadRequest("gated"))) as stages:
            async for stage in stages:
                if stage.stage == "start":
                    break
            asked = {"model": "gated", "stream": True}
            other = await there.post("/v1/models/load", json=asked)
            await other.content.readuntil(b"\n\n")
        gate.unlink()
        async with other:
            assert b"event: done" in await other.read()
        await admin.unload("gated")
    assert (await told(admin, "gated")).state is ModelState.READY


async def test_errors_of_another_orac_keep_their_meaning(admin):
    with pytest.raises(ModelNotFound, match="nothing"):
        await load(admin, "nothing")
    with pytest.raises(InvalidRequest, match="context_length"):
        await load(admin, "words", context_length=64)
    await load(admin, "orac-robot", context_length=256)
    with pytest.raises(StateConflict, match="256"):
        await load(admin, "orac-robot", context_length=128)


async def test_a_load_that_is_refused_while_it_answers_takes_nothing_from_the_next_unload(admin):
    await load(admin, "orac-robot", context_length=256)
    async with aclosing(admin.generate(chat("orac-robot"))) as answer:
        await anext(answer)
        with pytest.raises(StateConflict, match="256"):
            await load(admin, "orac-robot", context_length=128)
    await admin.unload("orac-robot")
    assert (await told(admin, "orac-robot")).state is ModelState.STOPPED


async def test_what_is_cleared_away_after_a_refused_load_stays_with_those_who_loaded_it(admin):
    await load(admin, "orac-robot", context_length=256)
    with pytest.raises(StateConflict, match="256"):
        await load(admin, "orac-robot", context_length=128)
    await admin.unload("orac-robot")
    assert (await told(admin, "orac-robot")).state is ModelState.READY


async def test_without_the_key_of_an_administrator_a_first_word_loads_the_model(user):
    stages = await load(user, "words")
    assert "for which it loads the model" in stages[-1].message
    assert (await told(user, "words")).state is ModelState.READY
    await load(user, "vectors")
    assert (await told(user, "vectors")).state is ModelState.READY


async def test_without_that_key_what_only_an_administrator_may_is_an_error_that_says_so(user):
    await load(user, "words")
    with pytest.raises(BackendError, match="or its variable in admin_key_env$") as found:
        await user.unload("words")
    with pytest.raises(BackendError, match="admin_key_file"):
        await load(user, "gated", context_length=64)
    assert USER not in str(found.value)


async def test_a_wrong_key_of_an_administrator_is_told_and_not_repeated(box, keys):
    keys["admin_key_file"].write_text("not-that-of-the-administrator")
    async with opened(box.url, **keys) as backend:
        with pytest.raises(BackendError, match="correct it") as found:
            await load(backend, "words")
    assert "not-that" not in str(found.value)


async def test_what_others_ask_there_is_told_without_ones_own(admin, user, box):
    for each in (admin, user):
        await load(each, "slow")
    async with aclosing(user.generate(chat("slow"))) as others:
        await anext(others)
        async with aclosing(admin.generate(chat("slow"))) as own:
            await anext(own)
            admin.roster.forget()
            assert (await told(admin, "slow")).others == 1
            user.roster.forget()
            assert (await told(user, "slow")).others == 1


async def test_over_http_the_front_loads_lists_and_unloads(box, keys, managed):
    manager = await managed(box, **keys)
    async with service(manager) as served:
        listed = {each["id"]: each for each in (await served.get("/v1/models")).body["data"]}
        words_ = listed["words"]
        assert (words_["instance"], words_["state"]) == ("box1", "stopped")
        events = await served.events("/v1/models/box1/words/load", {})
        assert {"validate", "start"} <= {data.get("stage") for _, data in events}
        assert events[-1][0] == "done"
        assert (await served.get("/v1/models/box1/words")).body["state"] == "ready"
        done = await served.post("/v1/models/box1/words/unload")
        assert (done.status, done.body["state"]) == (200, "stopped")
        assert (await served.get("/v1/models/box1/words")).body["state"] == "stopped"


async def test_an_unload_that_is_not_allowed_leaves_the_model_ready(box, keys, managed):
    manager = await managed(box, key_file=keys["key_file"])
    await manager.load(LoadRequest("words"))
    with pytest.raises(BackendError, match="admin_key_file"):
        await manager.unload("words")
    assert (await manager.find("words")).info.state is ModelState.READY
    assert (await manager.answer(chat("words"))).text
    managing = await managed(box, **keys)
    await managing.unload("words")


async def test_a_prompt_has_a_model_loaded_there_and_nothing_is_asked_beside_it(box, keys, managed):
    manager = await managed(box, **keys)
    assert (await manager.answer(chat("words"))).text == "0 1 2 3 4 "
    assert not manager.watch.canaries._jobs
    assert (await manager.find("words")).needs_bytes == 0
    await manager.unload("words")


async def test_two_that_stand_behind_each_other_list_and_answer_only_what_they_have(tmp_path):
    first, second = (Box(tmp_path / it, python_models(words={})) for it in ("first", "second"))
    for one, other in ((first, second), (second, first)):
        fellow = {"kind": "openai", "url": other.url}
        one.manifest["backends"] = {"fellow": fellow, **one.manifest["backends"]}
        one.manifest["models"] = {"aliases": {"round": "fellow/round"}}
    async with running(first, second), asyncio.timeout(20):
        sessions = [aiohttp.ClientSession(each.url) for each in (first, second)]
        async with sessions[0] as here, sessions[1] as there:
            both = await asyncio.gather(*(_listed(each) for each in (here, there) * 4))
            assert all(set(each) <= {"fellow/words", "mine/words"} for each in both)
            for each in (here, there):
                await until_listed(each, {"fellow/words", "mine/words"})
            for each in (here, there):
                async with each.get("/v1/health") as answer:
                    told_of = (await answer.json())["versions"]["backends"]
                assert told_of["fellow"] == "0.1.0"
            for name, status in (("fellow/words", 200), ("words", 200), ("round", 404)):
                body = {"model": name, "prompt": "hello"}
                async with here.post("/v1/prompt", json=body) as answer:
                    assert answer.status == status, await answer.text()
            headers = {"X-Orac-Relayed": "1"}
            asked = {"model": "fellow/words", "messages": [{"role": "user", "content": "hello"}]}
            for path in ("/v1/chat/completions", "/v1/models/load", "/v1/models/unload"):
                sent = asked if "chat" in path else {"model": "fellow/words"}
                async with there.post(path, json=sent, headers=headers) as answer:
                    assert answer.status == 409, await answer.text()


async def _listed(session) -> list[str]:
    async with session.get("/v1/models") as answer:
        body = await answer.json()
    return [f"{each['instance']}/{each['id']}" for each in body["data"]]


async def until_listed(session, names) -> None:
    async with asyncio.timeout(10):
        while set(await _listed(session)) != names:
            await asyncio.sleep(0.05)


class TestAnotherOrac(BackendContract):
    @pytest.fixture
    def make_backend(self, box, keys):
        @asynccontextmanager
        async def make():
            async with opened(box.url, **keys) as backend:
                yield Subject(backend, "words", embedding_model="vectors")

        return make
