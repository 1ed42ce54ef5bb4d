import asyncio
from contextlib import AsyncExitStack, aclosing

import pytest
from attrs import evolve

import orac_core
from orac_core import (
    Answer,
    BackendError,
    BackendUnavailable,
    ConfigurationError,
    DeadlineExceeded,
    GenerateOptions,
    GenerateRequest,
    InvalidRequest,
    Limits,
    Loaded,
    LoadedInfo,
    LoadRequest,
    Message,
    ModelManager,
    ModelNotFound,
    ModelState,
    OracError,
    Plugins,
    QueueFull,
    ShuttingDown,
    StateConflict,
)
from orac_core.manifest import parse
from tests.scripted import ScriptedBackend, plugins
from tests.waiting import until

QUICK = Limits(drain_s=0.05, list_s=1, verify_s=1, unload_s=1)


@pytest.fixture
async def opened():
    async with AsyncExitStack() as stack:

        async def open_with(*backends: ScriptedBackend, limits=QUICK, **manifest) -> ModelManager:
            names = ("here", "there")[: len(backends)]
            data = {"backends": {name: {"kind": "scripted"} for name in names}, **manifest}
            opening = orac_core.open(
                parse(data, "test"),
                plugins=plugins(*backends),
                limits=limits,
                environ={},
            )
            return await stack.enter_async_context(opening)

        yield open_with


def ask(model: str = "small", **rest) -> GenerateRequest:
    return GenerateRequest(model, messages=(Message("user", "count"),), **rest)


async def states(manager: ModelManager) -> dict[str, str]:
    return {f"{each.instance}/{each.info.id}": each.info.state for each in await manager.models()}


async def test_a_load_ends_when_the_model_has_answered_one_token(opened):
    backend = ScriptedBackend()
    manager = await opened(backend)
    loaded = await manager.load(LoadRequest("small", context_length=256))
    assert backend.calls == [("load", "small"), ("canary", "small")]
    assert (loaded.model, loaded.instance, loaded.already_loaded) == ("small", "here", False)
    assert loaded.applied == LoadedInfo(256, 0, 1, 1000)
    assert await states(manager) == {"here/small": "ready", "here/large": "stopped"}


async def test_a_load_says_how_far_it_is_and_ends_with_the_result(opened):
    manager = await opened(ScriptedBackend())
    stages = [stage async for stage in manager.load_progress(LoadRequest("small"))]
    assert [stage.stage for stage in stages[:-1]][-1] == "verify"
    assert isinstance(stages[-1], Loaded)


async def test_loading_a_loaded_model_does_nothing_and_says_so(opened):
    backend = ScriptedBackend()
    manager = await opened(backend)
    await manager.load(LoadRequest("small"))
    again = await manager.load(LoadRequest("small"))
    assert again.already_loaded
    assert backend.count("load") == 1


async def test_a_loaded_model_is_not_passed_off_as_one_loaded_otherwise(opened):
    manager = await opened(ScriptedBackend())
    await manager.load(LoadRequest("small", context_length=256))
    with pytest.raises(StateConflict, match="context_length 256 instead of 512; unload it first"):
        await manager.load(LoadRequest("small", context_length=512))


async def test_who_asks_the_same_again_gets_the_same_though_the_engine_gave_less(opened):
    class Frugal(ScriptedBackend):
        def _info(self, name):
            info = super()._info(name)
            return (
                evolve(info, loaded=evolve(info.loaded, context_length=64)) if info.loaded else info
            )

    manager = await opened(Frugal())
    for _ in range(2):
        loaded = await manager.load(LoadRequest("small", context_length=8192))
        assert loaded.applied.context_length == 64
    with pytest.raises(StateConflict, match="context_length 64 instead of 4096"):
        await manager.load(LoadRequest("small", context_length=4096))


async def test_twenty_who_want_the_same_model_share_one_load(opened):
    backend = ScriptedBackend()
    gate = backend.hold("load")
    manager = await opened(backend)
    loads = [asyncio.create_task(manager.load(LoadRequest("small"))) for _ in range(10)]
    prompts = [asyncio.create_task(manager.answer(ask())) for _ in range(10)]
    await backend.reached["load"].wait()
    gate.set()
    await asyncio.gather(*loads, *prompts)
    assert backend.count("load") == 1


async def test_a_load_goes_on_while_one_of_two_who_wait_leaves(opened):
    backend = ScriptedBackend()
    gate = backend.hold("load")
    manager = await opened(backend)
    leaver, stayer = (asyncio.create_task(manager.load(LoadRequest("small"))) for _ in range(2))
    await backend.reached["load"].wait()
    leaver.cancel()
    await asyncio.wait([leaver])
    gate.set()
    assert (await stayer).model == "small"


async def test_a_load_nobody_waits_for_is_given_up_and_leaves_nothing_behind(opened):
    backend = ScriptedBackend()
    backend.hold("load")
    manager = await opened(backend)
    load = asyncio.create_task(manager.load(LoadRequest("small")))
    await backend.reached["load"].wait()
    load.cancel()
    await asyncio.wait([load])
    await until(lambda: backend.count("unload") == 1)
    assert (await states(manager))["here/small"] == "stopped"


async def test_a_load_that_is_given_up_twice_still_leaves_nothing_behind(opened):
    backend = ScriptedBackend()
    backend.hold("load")
    freed = backend.hold("unload")
    manager = await opened(backend)
    load = asyncio.create_task(manager.load(LoadRequest("small")))
    await backend.reached["load"].wait()
    load.cancel()
    await backend.reached["unload"].wait()
    unload = asyncio.create_task(manager.unload("small"))
    await until(lambda: manager._fleet.slots["here", "small"]._unloading is not None)
    await asyncio.sleep(0)
    freed.set()
    await unload
    backend.gates.clear()
    assert (await states(manager))["here/small"] == "stopped"
    assert (await manager.load(LoadRequest("small"))).model == "small"


async def test_who_comes_after_a_load_was_given_up_starts_another(opened):
    backend = ScriptedBackend()
    gate = backend.hold("load")
    manager = await opened(backend)
    load = asyncio.create_task(manager.load(LoadRequest("small")))
    await backend.reached["load"].wait()
    load.cancel()
    gate.set()
    assert (await manager.load(LoadRequest("small"))).model == "small"
    assert backend.count("load") == 2


async def test_a_failed_load_is_remembered_with_its_reason_until_the_next(opened):
    backend = ScriptedBackend(failures={"load": BackendError("out of memory")})
    manager = await opened(backend)
    with pytest.raises(BackendError, match="out of memory"):
        await manager.load(LoadRequest("small"))
    info = (await manager.find("small")).info
    assert (info.state, info.state_reason) == (ModelState.FAILED, "out of memory")
    backend.failures.clear()
    await manager.load(LoadRequest("small"))
    assert (await manager.find("small")).info.state is ModelState.READY


async def test_a_model_that_loads_but_can_not_answer_is_not_loaded(opened):
    backend = ScriptedBackend(failures={"canary": BackendError("garbage")})
    manager = await opened(backend)
    with pytest.raises(BackendError, match="garbage"):
        await manager.load(LoadRequest("small"))
    assert backend.loaded == {}


async def test_a_model_whose_first_token_never_comes_is_not_loaded(opened):
    backend = ScriptedBackend()
    backend.hold("canary")
    manager = await opened(backend, limits=Limits(verify_s=0.01, drain_s=0))
    with pytest.raises(BackendError, match="gave no answer within 0.01 s"):
        await manager.load(LoadRequest("small"))
    assert backend.loaded == {}


async def test_an_answer_is_pieces_of_text_and_then_the_whole_once(opened):
    manager = await opened(ScriptedBackend())
    pieces = [piece async for piece in manager.generate(ask())]
    answer = pieces.pop()
    assert [piece.text for piece in pieces] == ["one ", "two ", "three"]
    assert not any(piece.done for piece in pieces)
    assert isinstance(answer, Answer)
    assert (answer.text, answer.finish_reason) == ("one two three", "stop")
    assert (answer.model, answer.instance, answer.role) == ("small", "here", None)
    assert answer.usage.completion_tokens == 3
    assert answer.ttft_s is not None
    assert 0 <= answer.queue_s + answer.load_s <= answer.ttft_s <= answer.elapsed_s


async def test_a_prompt_loads_its_model_first(opened):
    backend = ScriptedBackend()
    manager = await opened(backend)
    await manager.answer(ask())
    assert [step for step, _ in backend.calls] == ["load", "canary", "generate"]


async def test_a_role_is_answered_by_its_model_and_named(opened):
    manager = await opened(
        ScriptedBackend(),
        profiles={"default": {"models": {"general": "large"}}},
    )
    answer = await manager.answer(ask("general"))
    assert (answer.model, answer.role) == ("large", "general")
    assert (await manager.find("large")).roles == ("general",)


async def test_the_manifests_context_length_holds_where_the_caller_names_none(opened):
    backend = ScriptedBackend()
    manager = await opened(backend, models={"files": {"small.gguf": {"context_length": 128}}})
    await manager.answer(ask())
    assert backend.loaded["small"].context_length == 128


async def test_leaving_in_mid_answer_stops_the_engine(opened):
    backend = ScriptedBackend()
    manager = await opened(backend)
    await manager.load(LoadRequest("small"))
    async with aclosing(manager.generate(ask())) as pieces:
        await anext(pieces)
        assert backend.generating == 1
    assert (backend.generating, backend.closed_early) == (0, 1)


async def test_leaving_before_the_first_token_stops_the_engine(opened):
    backend = ScriptedBackend()
    manager = await opened(backend)
    await manager.load(LoadRequest("small"))
    backend.hold("first")
    asking = asyncio.create_task(manager.answer(ask()))
    await backend.reached["first"].wait()
    asking.cancel()
    await asyncio.wait([asking])
    assert backend.generating == 0


async def test_leaving_the_queue_frees_the_place(opened):
    backend = ScriptedBackend()
    manager = await opened(backend, limits=Limits(max_concurrency=1, max_queue=1, drain_s=0))
    await manager.load(LoadRequest("small"))
    gate = backend.hold("first")
    running = asyncio.create_task(manager.answer(ask()))
    await backend.reached["first"].wait()
    waiting = asyncio.create_task(manager.answer(ask()))
    await asyncio.sleep(0)
    with pytest.raises(QueueFull):
        await manager.answer(ask())
    waiting.cancel()
    await asyncio.wait([waiting])
    third = asyncio.create_task(manager.answer(ask()))
    gate.set()
    assert (await running).text == (await third).text == "one two three"
    assert backend.count("generate") == 2


async def test_a_stream_that_breaks_is_an_error_and_no_answer(opened):
    backend = ScriptedBackend(failures={"word 1": BackendUnavailable("the engine died")})
    manager = await opened(backend)
    pieces = []
    with pytest.raises(BackendUnavailable, match="the engine died"):
        async for piece in manager.generate(ask()):
            pieces.append(piece)  # noqa: PERF401 - what came before the error has to be kept
    assert [piece.text for piece in pieces] == ["one ", "two "]


async def test_an_engine_that_lost_the_model_gets_it_loaded_once_more(opened):
    backend = ScriptedBackend()
    manager = await opened(backend)
    await manager.load(LoadRequest("small"))
    backend.loaded.clear()
    assert (await manager.answer(ask())).text == "one two three"
    assert backend.count("load") == 2


async def test_an_engine_that_keeps_losing_the_model_is_asked_no_third_time(opened):
    backend = ScriptedBackend()
    manager = await opened(backend)
    await manager.load(LoadRequest("small"))
    backend.failures["first"] = BackendUnavailable("the engine died")
    with pytest.raises(BackendUnavailable):
        await manager.answer(ask())
    assert backend.count("generate") == 2
    assert (await manager.find("small")).info.state is ModelState.READY


async def test_a_deadline_before_the_first_token_is_an_error(opened):
    backend = ScriptedBackend()
    manager = await opened(backend)
    await manager.load(LoadRequest("small"))
    backend.hold("first")
    with pytest.raises(DeadlineExceeded, match="while the request was waiting for the first token"):
        await manager.answer(ask(), deadline_s=0.01)
    assert backend.generating == 0


async def test_a_deadline_while_loading_says_so(opened):
    backend = ScriptedBackend()
    backend.hold("load")
    manager = await opened(backend)
    with pytest.raises(DeadlineExceeded, match="waiting for the model to be loaded"):
        await manager.answer(ask(), deadline_s=0.2)


async def test_a_deadline_after_the_first_token_ends_the_answer_and_says_so(opened):
    backend = ScriptedBackend()
    manager = await opened(backend)
    await manager.load(LoadRequest("small"))
    backend.hold("word 0")
    answer = await manager.answer(ask(), deadline_s=0.05)
    assert (answer.text, answer.finish_reason) == ("one ", "deadline")
    assert backend.generating == 0


async def test_an_unload_waits_for_running_answers(opened):
    backend = ScriptedBackend()
    manager = await opened(backend)
    await manager.load(LoadRequest("small"))
    gate = backend.hold("word 0")
    running = asyncio.create_task(manager.answer(ask()))
    await backend.reached["word 0"].wait()
    unload = asyncio.create_task(manager.unload("small"))
    await until(lambda: manager._fleet.slots["here", "small"].state is ModelState.STOPPING)
    assert backend.count("unload") == 0
    gate.set()
    assert (await running).finish_reason == "stop"
    unloaded = await unload
    assert unloaded.freed_bytes == 1000
    assert (await states(manager))["here/small"] == "stopped"


async def test_an_unload_by_force_ends_running_answers_with_an_error(opened):
    backend = ScriptedBackend()
    manager = await opened(backend)
    await manager.load(LoadRequest("small"))
    backend.hold("word 0")
    running = asyncio.create_task(manager.answer(ask()))
    await backend.reached["word 0"].wait()
    await manager.unload("small", force=True)
    with pytest.raises(StateConflict, match="unloaded by force"):
        await running
    assert backend.generating == 0


async def test_a_prompt_that_comes_while_the_model_is_stopping_loads_it_again(opened):
    backend = ScriptedBackend()
    manager = await opened(backend)
    await manager.load(LoadRequest("small"))
    gate = backend.hold("unload")
    unload = asyncio.create_task(manager.unload("small"))
    await backend.reached["unload"].wait()
    prompt = asyncio.create_task(manager.answer(ask()))
    await asyncio.sleep(0)
    gate.set()
    await unload
    assert (await prompt).text == "one two three"
    assert [step for step, _ in backend.calls] == [
        *("load", "canary", "unload", "load", "canary", "generate"),
    ]


async def test_an_unload_ends_a_load_under_way(opened):
    backend = ScriptedBackend()
    backend.hold("load")
    manager = await opened(backend)
    load = asyncio.create_task(manager.load(LoadRequest("small")))
    await backend.reached["load"].wait()
    await manager.unload("small")
    with pytest.raises(StateConflict, match="was unloaded while it was loading"):
        await load
    assert (await states(manager))["here/small"] == "stopped"


async def test_unloading_what_is_not_loaded_is_no_error(opened):
    manager = await opened(ScriptedBackend())
    assert (await manager.unload("small")).freed_bytes == 0
    assert (await manager.unload("small")).freed_bytes == 0


async def test_an_unload_goes_on_when_its_caller_leaves(opened):
    backend = ScriptedBackend()
    manager = await opened(backend)
    await manager.load(LoadRequest("small"))
    gate = backend.hold("unload")
    unload = asyncio.create_task(manager.unload("small"))
    await backend.reached["unload"].wait()
    unload.cancel()
    await asyncio.wait([unload])
    gate.set()
    await until(lambda: not backend.loaded)
    await until(lambda: manager._fleet.slots["here", "small"].state is ModelState.STOPPED)
    assert (await states(manager))["here/small"] == "stopped"


async def test_an_unload_that_hangs_is_an_error_and_the_model_failed(opened):
    backend = ScriptedBackend()
    manager = await opened(backend, limits=Limits(unload_s=0.01, drain_s=0))
    await manager.load(LoadRequest("small"))
    backend.hold("unload")
    with pytest.raises(BackendError, match="did not free small within 0.01 s"):
        await manager.unload("small")


@pytest.mark.parametrize("name", ["absent", "", "..", "/etc/passwd", "a\0b", "x" * 10_000])
async def test_a_name_nobody_has_is_not_found_and_nothing_is_asked_for_it(opened, name):
    backend = ScriptedBackend()
    manager = await opened(backend)
    for verb in (manager.answer(ask(name)), manager.load(LoadRequest(name)), manager.unload(name)):
        with pytest.raises(ModelNotFound) as caught:
            await verb
        assert len(str(caught.value)) < 300
    assert backend.calls == []


async def test_two_instances_of_one_kind_do_not_mix(opened):
    here, there = ScriptedBackend(words=("here",)), ScriptedBackend(words=("there",))
    manager = await opened(here, there)
    assert (await manager.answer(ask("small"))).text == "here"
    assert (await manager.answer(ask("there/small"))).text == "there"
    assert (await manager.unload("there/small")).instance == "there"
    assert list(here.loaded) == ["small"]


async def test_a_backend_that_is_down_does_not_hide_the_others(opened):
    down, up = ScriptedBackend(down=True), ScriptedBackend()
    manager = await opened(down, up)
    assert {model.instance for model in await manager.models()} == {"there"}
    health = await manager.health()
    assert (health.status, health.errors) == ("degraded", {"here": "down"})


async def test_a_name_that_a_silent_backend_may_have_is_unavailable_and_not_unknown(opened):
    manager = await opened(ScriptedBackend(down=True))
    with pytest.raises(BackendUnavailable, match="here might have it and does not answer"):
        await manager.find("small")


async def test_a_model_of_a_named_backend_is_missing_there_whichever_other_is_down(opened):
    backends = {"here": {"kind": "scripted"}, "there": {"kind": "scripted"}, "odd": {"kind": "no"}}
    manager = await opened(ScriptedBackend(down=True), ScriptedBackend(), backends=backends)
    told = {}
    for name in ("there/none", "odd/small"):
        with pytest.raises(ModelNotFound) as found:
            await manager.find(name)
        told[name] = str(found.value).partition("; ")[2]
    assert told == {
        "there/none": "there has no such model; `orac list` shows those there are",
        "odd/small": "its backend odd could not be opened; `orac doctor` says why",
    }


async def test_a_backend_that_hangs_is_waited_for_only_so_long(opened):
    hanging, up = ScriptedBackend(), ScriptedBackend()
    hanging.hold("models")
    manager = await opened(hanging, up, limits=Limits(list_s=0.01, drain_s=0))
    assert {model.instance for model in await manager.models()} == {"there"}


async def test_a_model_that_the_engine_dropped_is_listed_as_the_engine_says(opened):
    backend = ScriptedBackend()
    manager = await opened(backend)
    await manager.load(LoadRequest("small"))
    backend.loaded.clear()
    assert (await states(manager))["here/small"] == "stopped"


def requiring(*names: str) -> dict:
    return {"files": {name: {"required": True} for name in names}}


@pytest.mark.parametrize("name", ["small", "small.gguf", "here/small", "general", "short"])
async def test_a_required_model_may_have_any_of_its_names(opened, name):
    profiles = {"default": {"models": {"general": "small"}}}
    models = {**requiring(name), "aliases": {"short": "here/small"}}
    manager = await opened(ScriptedBackend(), models=models, profiles=profiles)
    health = await manager.health()
    assert (health.status, health.message) == ("degraded", "required models not loaded: here/small")
    assert {each.info.id: each.required for each in await manager.models()} == {
        "small": True,
        "large": False,
    }
    await manager.load(LoadRequest("small"))
    assert (await manager.health()).status == "healthy"


async def test_a_required_model_that_nothing_has_is_unhealthy(opened):
    manager = await opened(ScriptedBackend(), models=requiring("small", "absent"))
    health = await manager.health()
    assert health.status == "unhealthy"
    assert health.errors == {"absent": "no file and no engine has it"}


async def test_a_required_model_that_failed_is_unhealthy_until_it_loads(opened):
    backend = ScriptedBackend(failures={"load": BackendError("out of memory")})
    manager = await opened(backend, models=requiring("small"))
    with pytest.raises(BackendError):
        await manager.load(LoadRequest("small"))
    assert (await manager.health()).errors == {"here/small": "out of memory"}
    assert (await manager.health()).status == "unhealthy"
    backend.failures.clear()
    await manager.load(LoadRequest("small"))
    assert (await manager.health()).status == "healthy"


async def test_a_required_model_is_unhealthy_while_its_backend_is_down(opened):
    down, up = ScriptedBackend(down=True), ScriptedBackend()
    manager = await opened(down, up, models=requiring("here/small"))
    health = await manager.health()
    assert health.status == "unhealthy"
    assert health.errors["here/small"] == "its backend here is not usable: down"
    down.down = False
    assert (await manager.health()).status == "degraded"


@pytest.mark.parametrize(("required", "status"), [(True, "unhealthy"), (False, "degraded")])
async def test_a_backend_that_is_down_is_as_grave_as_it_is_required(opened, required, status):
    backends = {
        "here": {"kind": "scripted", "required": required},
        "there": {"kind": "scripted"},
    }
    manager = await opened(ScriptedBackend(down=True), ScriptedBackend(), backends=backends)
    assert (await manager.health()).status == status


async def test_a_required_backend_of_a_kind_that_no_plugin_offers_is_unhealthy(opened):
    backends = {"here": {"kind": "scripted"}, "odd": {"kind": "oddity", "required": True}}
    manager = await opened(ScriptedBackend(), backends=backends)
    health = await manager.health()
    assert (health.status, health.message) == ("unhealthy", "required backends not usable: odd")


async def test_a_backend_that_is_well_and_can_not_list_its_models_is_not_usable(opened):
    failing = ScriptedBackend(failures={"models": BackendError("the store is broken")})
    manager = await opened(failing, ScriptedBackend())
    health = await manager.health()
    assert (health.status, health.errors) == ("degraded", {"here": "the store is broken"})


async def test_a_schema_that_is_none_is_refused_before_anything_is_loaded(opened):
    backend = ScriptedBackend()
    manager = await opened(backend)
    with pytest.raises(InvalidRequest, match="not a usable JSON schema"):
        await manager.answer(ask(format={"type": "no such type"}))
    assert backend.calls == []


async def test_a_schema_may_not_refer_to_another_host(opened):
    manager = await opened(ScriptedBackend())
    with pytest.raises(InvalidRequest, match="may not refer to|not a usable"):
        await manager.answer(ask(format={"$ref": "http://127.0.0.1:1/schema.json"}))


@pytest.mark.parametrize(
    ("words", "wanted", "valid"),
    [
        (('{"a":', "1}"), "json", True),
        (('{"a":',), "json", False),
        (('{"a":1}',), {"type": "object", "required": ["a"]}, True),
        (('{"b":1}',), {"type": "object", "required": ["a"]}, False),
        (("text",), None, None),
    ],
)
async def test_whether_an_answer_satisfies_its_format_is_said(opened, words, wanted, valid):
    manager = await opened(ScriptedBackend(words=words))
    assert (await manager.answer(ask(format=wanted))).format_valid is valid


async def test_leaving_the_manager_lets_running_answers_end(opened):
    backend = ScriptedBackend()
    data = parse({"backends": {"here": {"kind": "scripted"}}}, "test")
    opening = orac_core.open(data, plugins=plugins(backend), limits=Limits(drain_s=5), environ={})
    async with opening as manager:
        await manager.load(LoadRequest("small"))
        gate = backend.hold("word 0")
        running = asyncio.create_task(manager.answer(ask()))
        await backend.reached["word 0"].wait()
        asyncio.get_running_loop().call_soon(gate.set)
    assert (await running).finish_reason == "stop"


async def test_leaving_the_manager_ends_what_will_not_end_with_an_error(opened):
    backend = ScriptedBackend()
    data = parse({"backends": {"here": {"kind": "scripted"}}}, "test")
    limits = Limits(drain_s=0.01)
    async with orac_core.open(data, plugins=plugins(backend), limits=limits, environ={}) as manager:
        await manager.load(LoadRequest("small"))
        backend.hold("word 0")
        backend.hold("load")
        running = asyncio.create_task(manager.answer(ask()))
        loading = asyncio.create_task(manager.load(LoadRequest("large")))
        await backend.reached["word 0"].wait()
        await backend.reached["load"].wait()
    for task in (running, loading):
        with pytest.raises(ShuttingDown, match="ORAC is stopping"):
            await task
    assert backend.generating == 0


async def test_a_manager_that_is_closing_takes_no_new_work(opened):
    manager = await opened(ScriptedBackend())
    await manager.close()
    for verb in (
        manager.answer(ask()),
        manager.load(LoadRequest("small")),
        manager.unload("small"),
    ):
        with pytest.raises(ShuttingDown):
            await verb


async def test_a_kind_that_no_plugin_offers_is_skipped_and_named_in_health(opened):
    data = parse({"backends": {"odd": {"kind": "oddity"}}}, "test")
    async with orac_core.open(data, plugins=Plugins(), environ={}) as manager:
        health = await manager.health()
    assert health.status == "unhealthy"
    assert "no plugin offers the kind 'oddity'" in health.errors["odd"]


async def test_wrong_settings_of_a_backend_stop_the_start_with_their_place():
    data = parse({"backends": {"here": {"kind": "scripted", "modles": []}}}, "test")
    with pytest.raises(ConfigurationError, match='extra field "modles" @ backends.here'):
        async with orac_core.open(data, plugins=plugins(ScriptedBackend()), environ={}):
            pass


async def test_a_backend_that_can_not_be_opened_does_not_stop_the_others():
    data = parse({"backends": {"a": {"kind": "scripted"}, "b": {"kind": "scripted"}}}, "test")
    async with orac_core.open(data, plugins=plugins(ScriptedBackend()), environ={}) as manager:
        assert {model.instance for model in await manager.models()} == {"a"}
        assert "b: open failed" in (await manager.health()).errors["b"]


async def test_options_reach_the_engine_as_they_were_asked(opened):
    asked = []

    class Listening(ScriptedBackend):
        @orac_core.hookimpl
        async def generate(self, request):
            asked.append(request)
            yield orac_core.Chunk("x", done=True, finish_reason="length")

    manager = await opened(Listening())
    options = GenerateOptions(temperature=0.5, stop=("x",))
    answer = await manager.answer(ask("here/small", options=options))
    assert answer.finish_reason == "length"
    assert asked[-1] == ask("small", options=options)


def test_run_refuses_an_empty_prompt_before_anything_is_opened():
    with pytest.raises(InvalidRequest, match="the prompt is empty"):
        orac_core.run("", "small")


def test_every_error_has_one_root():
    errors = [getattr(orac_core, name) for name in orac_core.__all__]
    kinds = [each for each in errors if isinstance(each, type) and issubclass(each, Exception)]
    assert len(kinds) == 17
    assert all(issubclass(each, OracError) for each in kinds)
