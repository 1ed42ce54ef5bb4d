"""Roles that are answered by another model when their own can not."""

import asyncio
from contextlib import AsyncExitStack, aclosing

import pytest
from attrs import evolve

import orac_core
from orac_core import (
    Answer,
    BackendError,
    BackendUnavailable,
    DeadlineExceeded,
    EmbedRequest,
    GenerateOptions,
    GenerateRequest,
    InvalidRequest,
    Limits,
    LoadRequest,
    Message,
    ModelNotFound,
    QueueFull,
    ShuttingDown,
    StateConflict,
)
from orac_core.manifest import parse
from orac_core.serving.breaker import Rule
from tests.scripted import ScriptedBackend, plugins
from tests.waiting import until

QUICK = Limits(drain_s=0.05, list_s=1, verify_s=1, unload_s=1)
GONE = BackendUnavailable("connection refused")


@pytest.fixture
def here():
    return ScriptedBackend()


@pytest.fixture
def there():
    return ScriptedBackend(words=("second",))


@pytest.fixture
async def opened(here, there):
    async with AsyncExitStack() as stack:

        async def open_with(*fallbacks, limits=QUICK, **manifest):
            data = {
                "backends": {"here": {"kind": "scripted"}, "there": {"kind": "scripted"}},
                "profiles": {
                    "default": {
                        "models": {"talk": {"name": "small", "provider": "here"}},
                        "fallbacks": {"talk": list(fallbacks or ["there/small"])},
                    }
                },
                **manifest,
            }
            opening = orac_core.open(
                parse(data, "test"), plugins=plugins(here, there), limits=limits, environ={}
            )
            return await stack.enter_async_context(opening)

        yield open_with


@pytest.fixture
async def manager(opened):
    manager = await opened()
    await manager.load(LoadRequest("there/small"))
    await manager.load(LoadRequest("here/small"))
    return manager


def ask(model: str = "talk", **rest) -> GenerateRequest:
    return GenerateRequest(model, messages=(Message("user", "go"),), **rest)


def by(answer: Answer) -> tuple[str, str, bool]:
    assert answer.role == "talk"
    return answer.instance, answer.model, answer.served_by_fallback


async def test_a_role_is_answered_by_its_own_model_as_long_as_that_can(manager, there):
    assert by(await manager.answer(ask())) == ("here", "small", False)
    assert there.count("generate") == 0


@pytest.mark.parametrize(
    "error",
    [GONE, BackendError("out of order"), StateConflict("not now")],
    ids=lambda error: type(error).__name__,
)
async def test_another_answers_when_an_engine_fails_before_the_first_piece(manager, here, error):
    here.failures["first"] = error
    answer = await manager.answer(ask())
    assert (by(answer), answer.text) == (("there", "small", True), "second")
    assert (here.generating, here.closed_early) == (0, here.count("generate"))


async def test_a_model_that_was_lost_is_not_loaded_first_when_another_stands_by(manager, here):
    loads = here.count("load")
    here.failures["first"] = GONE
    await manager.answer(ask())
    assert (here.count("load"), here.count("generate")) == (loads, 1)


async def test_a_model_that_was_lost_is_loaded_anew_when_no_other_is_loaded(opened, here, there):
    manager = await opened()
    await manager.load(LoadRequest("here/small"))
    here.loaded.clear()  # the engine has lost it
    assert by(await manager.answer(ask())) == ("here", "small", False)
    assert there.calls == []


async def test_a_fallback_that_is_not_loaded_is_loaded(opened, here, there):
    manager = await opened()
    here.down = True
    assert by(await manager.answer(ask())) == ("there", "small", True)
    assert [step for step, _ in there.calls] == ["load", "canary", "generate"]


async def test_a_model_that_can_not_be_loaded_is_replaced(opened, here):
    here.failures["load"] = BackendError("out of memory")
    manager = await opened()
    assert by(await manager.answer(ask())) == ("there", "small", True)


async def test_a_model_that_nobody_has_is_passed_over(opened):
    profile = {"models": {"talk": "gone"}, "fallbacks": {"talk": ["there/none", "large"]}}
    manager = await opened(profiles={"default": profile})
    assert by(await manager.answer(ask())) == ("here", "large", True)


async def test_a_fallback_may_be_an_alias_or_a_role_which_means_its_own_model(opened, here):
    profile = {
        "models": {"talk": "here/small", "plan": "there/large"},
        "fallbacks": {"talk": ["plan", "spare"], "plan": ["talk"]},
    }
    manager = await opened(
        models={"aliases": {"spare": "there/small"}}, profiles={"default": profile}
    )
    assert manager.names.roles["talk"] == ("here/small", "there/large", "spare")
    here.down = True
    assert by(await manager.answer(ask())) == ("there", "large", True)


async def test_a_stream_that_fails_after_its_first_piece_ends_in_an_error(manager, here, there):
    here.failures["word 0"] = GONE
    async with aclosing(manager.generate(ask())) as pieces:
        assert (await anext(pieces)).text == "one "
        with pytest.raises(BackendUnavailable, match="connection refused"):
            await anext(pieces)
    assert there.count("generate") == 0


async def test_what_the_caller_does_wrong_is_not_asked_of_another(manager, here, there):
    here.failures["first"] = InvalidRequest("no such format")
    with pytest.raises(InvalidRequest, match="no such format"):
        await manager.answer(ask())
    assert there.count("generate") == 0


async def test_a_prompt_that_is_only_too_long_for_a_fallback_is_not_the_callers_fault(
    manager, here, there
):
    here.failures["first"] = GONE
    there.failures["first"] = InvalidRequest("too long")
    with pytest.raises(BackendUnavailable, match=r"refused \(nor .*: there/small: too long\)"):
        await manager.answer(ask())


async def test_a_model_that_is_named_itself_is_never_replaced(manager, here, there):
    here.failures["first"] = BackendError("out of order")
    with pytest.raises(BackendError, match="out of order"):
        await manager.answer(ask("here/small"))
    assert there.count("generate") == 0


async def test_a_full_queue_is_a_reason_to_ask_another(opened, here):
    manager = await opened(limits=evolve(QUICK, max_concurrency=1, max_queue=0))
    await manager.load(LoadRequest("here/small"))
    gate = here.hold("first")
    first = asyncio.create_task(manager.answer(ask()))
    await until(here.reached["first"].is_set)
    assert by(await manager.answer(ask())) == ("there", "small", True)
    gate.set()
    assert by(await first) == ("here", "small", False)


async def test_a_model_that_is_being_examined_is_replaced(manager):
    with manager._fleet.ward.taken(("here", "small")):
        assert by(await manager.answer(ask())) == ("there", "small", True)


async def test_an_answer_that_was_ended_by_force_before_its_first_piece_is_given_by_another(
    manager, here
):
    here.hold("first")
    asked = asyncio.create_task(manager.answer(ask()))
    await until(here.reached["first"].is_set)
    await manager.unload("here/small", force=True)
    assert by(await asked) == ("there", "small", True)


async def test_the_deadline_is_one_for_all(manager, here, there):
    here.failures["first"] = GONE
    there.hold("first")
    with pytest.raises(DeadlineExceeded, match=r"0.05 s"):
        await manager.answer(ask(), deadline_s=0.05)
    assert there.generating == 0


async def test_a_deadline_that_passes_at_the_first_is_not_given_to_another(manager, here, there):
    here.hold("first")
    with pytest.raises(DeadlineExceeded):
        await manager.answer(ask(), deadline_s=0.05)
    assert there.count("generate") == 0


async def test_a_client_that_leaves_ends_it_all(manager, here, there):
    here.hold("first")
    asked = asyncio.create_task(manager.answer(ask()))
    await until(here.reached["first"].is_set)
    asked.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asked
    assert (here.generating, there.count("generate")) == (0, 0)


async def test_leaving_a_fallback_in_mid_answer_stops_its_engine(manager, here, there):
    here.failures["first"] = GONE
    there.hold("word 0")
    async with aclosing(manager.generate(ask())) as pieces:
        await anext(pieces)
        assert (here.generating, there.generating) == (0, 1)
    assert there.generating == 0


async def test_while_orac_stops_nobody_else_is_asked(manager, here, there):
    here.hold("first")
    asked = asyncio.create_task(manager.answer(ask()))
    await until(here.reached["first"].is_set)
    await manager.close(drain_s=0)
    with pytest.raises(ShuttingDown):
        await asked
    assert there.count("generate") == 0


async def test_when_all_fail_the_error_is_that_of_the_first(manager, here, there):
    here.failures["first"] = BackendError("out of order")
    there.failures["first"] = QueueFull("64 wait", 7)
    with pytest.raises(
        BackendError, match=r"^out of order \(nor .*: there/small: 64 wait\)$"
    ) as it:
        await manager.answer(ask())
    assert it.value.retry_after_s == 7


async def test_when_nobody_has_any_of_them_the_first_is_not_found(opened):
    profile = {"models": {"talk": "gone"}, "fallbacks": {"talk": ["there/none"]}}
    manager = await opened(profiles={"default": profile})
    with pytest.raises(ModelNotFound, match="'gone' not found"):
        await manager.answer(ask())


async def test_vectors_are_made_by_another_too(manager, here):
    here.failures["embed"] = GONE
    found = await manager.embed(EmbedRequest("talk", ("ab c",)))
    assert found.vectors == ((4.0, 2.0),)
    assert (found.instance, found.role, found.served_by_fallback) == ("there", "talk", True)
    own = await manager.embed(EmbedRequest("there/small", ("a",)))
    assert (own.role, own.served_by_fallback) == (None, False)


async def test_each_answer_is_told_with_who_gave_it(manager, here):
    here.failures["first"] = GONE
    with manager.events.inbox(kinds={"answer", "fallback"}) as inbox:
        await manager.answer(ask())
    failed, passed, given = [await inbox.get() for _ in range(3)]
    assert (failed.data["instance"], failed.data["error"]) == ("here", "BackendUnavailable")
    assert dict(passed.data) == {
        "role": "talk",
        "failed": "here/small",
        "next": "there/small",
        "error": "BackendUnavailable",
    }
    assert (given.data["instance"], given.data["role"]) == ("there", "talk")
    assert (failed.data["served_by_fallback"], given.data["served_by_fallback"]) == (False, True)


async def test_parameters_are_the_requests_then_the_roles_then_those_of_all_models(
    opened, here, there
):
    role = {"name": "small", "provider": "here", "parameters": {"top_p": 0.9, "num_predict": 64}}
    profile = {"models": {"talk": role}, "fallbacks": {"talk": ["there/small"]}}
    manager = await opened(
        models={"parameters": {"temperature": 0.7, "top_p": 0.5}}, profiles={"default": profile}
    )
    await manager.answer(ask(options=GenerateOptions(temperature=0.0)))
    assert here.asked[-1].options == GenerateOptions(temperature=0.0, top_p=0.9, max_tokens=64)
    await manager.answer(ask("here/small"))
    assert here.asked[-1].options == GenerateOptions(temperature=0.7, top_p=0.5)
    here.failures["first"] = GONE
    await manager.answer(ask())
    assert there.asked[-1].options == GenerateOptions(temperature=0.7, top_p=0.9, max_tokens=64)


async def test_an_engine_that_is_gone_is_skipped_and_noticed_when_it_is_back(opened, here):
    manager = await opened(limits=evolve(QUICK, sparing=Rule(failures=2, pause_s=0.05)))
    await manager.load(LoadRequest("here/small"))
    with manager.events.inbox(kinds={"breaker"}) as inbox:
        here.failures["first"], here.down = GONE, True
        for _ in range(3):
            assert by(await manager.answer(ask())) == ("there", "small", True)
        assert manager.breaker("here").state != "closed"
        asked = here.count("generate")
        assert by(await manager.answer(ask())) == ("there", "small", True)
        assert here.count("generate") == asked
        here.failures.clear()
        here.down = False
        await until(lambda: manager.breaker("here").state == "closed")
        assert by(await manager.answer(ask())) == ("here", "small", False)
        opened_, closed = await inbox.get(), await inbox.get()
    assert dict(opened_.data) == {"instance": "here", "state": "open", "failures": 2}
    assert dict(closed.data) == {"instance": "here", "state": "closed", "failures": 0}


async def test_an_engine_that_hangs_when_it_is_asked_for_its_models_is_spared(opened, here):
    limits = evolve(QUICK, list_s=0.02, sparing=Rule(failures=2, pause_s=60))
    manager = await opened(limits=limits)
    here.hold("models")
    for _ in range(2):
        await manager.models()
    assert manager.breaker("here").state == "open"


async def test_a_role_is_not_taken_for_its_fallback_while_its_own_engine_may_have_its_model(
    opened, here, there
):
    here.down = True
    manager = await opened()
    with pytest.raises(BackendUnavailable, match="'here/small' is not known, but here might"):
        await manager.load(LoadRequest("talk"))
    assert there.count("load") == 0
    assert by(await manager.answer(ask())) == ("there", "small", True)


async def test_who_stops_asks_nobody_whether_it_is_back(opened, here):
    manager = await opened(limits=evolve(QUICK, sparing=Rule(failures=1, pause_s=60)))
    here.down = True
    await manager.models()
    assert {task.get_name() for task in asyncio.all_tasks()} >= {"is here back"}
    await manager.close()
    assert "is here back" not in {task.get_name() for task in asyncio.all_tasks()}
