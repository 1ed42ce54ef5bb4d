"""Making the models of roles be there: by whom, once for all, and before they are first used."""

import asyncio
from contextlib import aclosing, asynccontextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st

import orac_core
from orac_core import (
    BackendError,
    BackendUnavailable,
    DeadlineExceeded,
    EmbedRequest,
    GenerateRequest,
    Loaded,
    LoadProgress,
    LoadRequest,
    Message,
    Plugins,
    PullAction,
    RoleNotFound,
    ShuttingDown,
)
from orac_core.manifest import FileSettings, RoleSettings, parse
from orac_core.provision import Provisioned, Provisioning, Step, candidates, names_a_host, of_role
from orac_core.provision.provisioning import AGAIN_S
from orac_core.serving.supply import PATIENCE_S, patience_s
from tests.fetching import SIZE, FetchingBackend
from tests.scripted import NoSensors, ScriptedBackend, ScriptedSettings, plugins
from tests.waiting import until

KNOWN = ("local", "ollama", "second")
PROMPT = GenerateRequest("general", (Message("user", "hi"),))


def bound(**backends):
    """Instances of *backends*, and the kinds that they are of."""
    found = Plugins()
    return {name: found.bind(name, backend) for name, backend in backends.items()}


def provisioning(roles, files=None, failed=None, skipped=None, **backends):
    return Provisioning(
        {name: RoleSettings(**role) for name, role in roles.items()},
        files or {},
        bound(**backends),
        (*backends, *(failed or {})),
        failed or {},
        skipped or {},
    )


async def reports(steps):
    async with aclosing(steps):
        return [each async for each in steps if isinstance(each, Provisioned)]


@asynccontextmanager
async def opened(tmp_path, backend, *others, **role):
    role = {"name": "small", "auto_download": True, **role}
    names = ("fake", "spare")[: 1 + len(others)]
    data = {
        "backends": {name: {"kind": "scripted"} for name in names},
        "profiles": {
            "default": {
                "models": {"general": {**role, "provider": "fake"}},
                "fallbacks": {"general": [f"{name}/small" for name in names[1:]]},
            }
        },
    }
    opening = orac_core.open(
        parse(data, "a test"),
        models_dir=tmp_path,
        plugins=plugins(backend, *others),
        environ={},
        sensors=NoSensors(),
    )
    async with opening as manager:
        yield manager


async def test_what_is_missing_is_fetched_and_told_with_its_bytes():
    work = provisioning({"general": {"name": "small"}}, fake=FetchingBackend())
    with work.events.inbox(kinds={"provision"}) as inbox:
        (done,) = await reports(work.provision())
    assert (done.role, done.model, done.instance) == ("general", "small", "fake")
    assert (done.action, done.fetched_bytes, done.size_bytes) == ("downloaded", SIZE, SIZE)
    event = await inbox.get()
    assert event.data["role"] == "general"
    assert event.data["action"] == "downloaded"
    assert work.reports == {"general": done}


async def test_what_is_there_is_present_and_the_first_report_is_remembered():
    backend = FetchingBackend()
    work = provisioning({"general": {"name": "small"}}, fake=backend)
    first = await reports(work.provision())
    with work.events.inbox() as inbox:
        assert await reports(work.provision()) == first
    assert len(backend.pulls) == 2
    assert not inbox._waiting


async def test_force_looks_again():
    backend = FetchingBackend()
    work = provisioning({"general": {"name": "small"}}, fake=backend)
    await reports(work.provision())
    await reports(work.provision(force=True))
    assert [each.force for each in backend.pulls] == [False, True]


@pytest.mark.parametrize(("says", "action"), [("imported", "imported"), (None, "pulled")])
async def test_a_backend_that_does_not_say_what_it_did_has_pulled(says: PullAction, action):
    work = provisioning({"general": {"name": "small"}}, fake=FetchingBackend(says=says))
    assert [each.action for each in await reports(work.provision())] == [action]


async def test_many_who_want_one_model_share_one_fetch():
    backend = FetchingBackend()
    gate = backend.hold("pull")
    roles = {"general": {"name": "small"}, "coding": {"name": "small"}}
    work = provisioning(roles, fake=backend)
    asking = [asyncio.create_task(reports(work.provision([role]))) for role in (*roles, *roles)]
    await until(lambda: len(backend.pulls) == 1)
    gate.set()
    done = [(await each)[0] for each in asking]
    assert [each.role for each in done] == [*roles, *roles]
    assert len(backend.pulls) == 1


async def test_a_fetch_goes_on_when_whoever_asked_has_left():
    backend = FetchingBackend()
    gate = backend.hold("pull")
    work = provisioning({"general": {"name": "small"}}, fake=backend)
    asking = asyncio.create_task(reports(work.provision()))
    await backend.reached["pull"].wait()
    asking.cancel()
    await asyncio.wait([asking])
    gate.set()
    await until(lambda: "general" in work.reports)
    assert work.reports["general"].action == "downloaded"


async def test_closing_ends_a_fetch_and_whoever_follows_it():
    backend = FetchingBackend()
    backend.hold("pull")
    work = provisioning({"general": {"name": "small"}}, fake=backend)
    asking = asyncio.create_task(reports(work.provision()))
    await backend.reached["pull"].wait()
    await work.close()
    with pytest.raises(ShuttingDown):
        await asking
    with pytest.raises(ShuttingDown):
        await reports(work.provision())


async def test_a_role_that_fails_stops_no_other():
    roles = {"lost": {"name": "nowhere"}, "general": {"name": "small"}}
    work = provisioning(roles, fake=FetchingBackend())
    lost, general = await reports(work.provision())
    assert (lost.action, general.action) == ("failed", "downloaded")
    assert "nowhere" in lost.reason
    assert set(work.problems) == {"lost"}


async def test_a_role_that_nobody_can_serve_is_skipped_with_the_reason():
    roles = {
        "one": {"name": "small", "provider": "nobody"},
        "two": {"name": "small", "provider": "broken"},
        "three": {"name": "small", "provider": "mute"},
    }
    work = provisioning(
        roles,
        failed={"broken": "no plugin"},
        skipped={"one": "nothing offers 'nobody'"},
        mute=ScriptedBackend(),
    )
    one, two, three = await reports(work.provision())
    assert (one.action, two.action, three.action) == ("skipped", "skipped", "present")
    assert "'nobody'" in one.reason
    assert "no plugin" in two.reason


async def test_a_backend_that_can_not_fetch_is_passed_over():
    roles = {"general": {"name": "rare"}}
    work = provisioning(roles, mute=ScriptedBackend(), fake=FetchingBackend(registry=("rare",)))
    (done,) = await reports(work.provision())
    assert (done.action, done.instance) == ("downloaded", "fake")
    alone = provisioning(roles, mute=ScriptedBackend())
    (done,) = await reports(alone.provision())
    assert (done.action, done.reason) == (
        "skipped",
        "mute can not fetch models; put the model there yourself",
    )


async def test_a_backend_that_has_the_model_goes_before_one_that_could_fetch_it():
    has = FetchingBackend()
    await reports(provisioning({"general": {"name": "small"}}, it=has).provision())
    other = FetchingBackend()
    work = provisioning({"general": {"name": "small"}}, other=other, has=has)
    (done,) = await reports(work.provision())
    assert (done.action, done.instance) == ("present", "has")
    assert other.pulls == []


async def test_who_wants_a_source_gets_that_of_the_role_or_of_its_file():
    backend = FetchingBackend(wants_source=True)
    roles = {"own": {"name": "small", "source": "/own"}, "file": {"name": "large"}}
    files = {"large": FileSettings(source="/file", checksum="sha256:1")}
    work = provisioning(roles, files, fake=backend)
    await reports(work.provision())
    assert [(it.source, it.checksum) for it in backend.pulls] == [
        ("/own", None),
        ("/file", "sha256:1"),
    ]


async def test_a_role_that_there_is_not_is_refused_with_those_there_are():
    work = provisioning({"general": {"name": "small"}}, fake=FetchingBackend())
    with pytest.raises(RoleNotFound, match=r"'typo' not found: .* has these: general"):
        await reports(work.provision(["typo"]))


async def test_a_model_can_be_asked_for_by_its_name():
    work = provisioning({}, fake=FetchingBackend())
    (done,) = await reports(work.pull(["fake/small"]))
    assert (done.role, done.model, done.action) == ("fake/small", "small", "downloaded")
    assert work.reports == {}


@pytest.mark.parametrize("name", ["evil.example/a/b", "fake/evil.example/a/b", "https://evil/b"])
async def test_only_the_manifest_may_name_a_host(name):
    backend = FetchingBackend(registry=("evil.example/a/b",))
    (done,) = await reports(provisioning({}, fake=backend).pull([name]))
    assert done.action == "skipped"
    assert "names a host" in done.reason
    assert backend.pulls == []
    allowed = provisioning({}, {"evil.example/a/b": FileSettings()}, fake=backend)
    assert (await reports(allowed.pull(["evil.example/a/b"])))[0].action == "downloaded"


names = st.text("ab/:.", min_size=1, max_size=12)


@given(provider=st.none() | st.sampled_from(KNOWN), name=names)
def test_only_the_provider_may_have_a_model(provider, name):
    found, model = candidates(RoleSettings(name, provider), KNOWN)
    assert model == name
    assert found == (KNOWN if provider is None else (provider,))


@given(name=names)
def test_a_name_in_front_of_a_model_is_a_backend_s_only_when_there_is_one(name):
    assert candidates(RoleSettings(f"local/{name}"), KNOWN) == (("local",), name)


@given(name=names, failed=st.sets(st.sampled_from(KNOWN)))
def test_who_could_not_be_opened_is_never_asked(name, failed):
    wish = of_role("r", RoleSettings(name), {}, KNOWN, dict.fromkeys(failed, "why"))
    assert set(wish.instances) == set(KNOWN) - failed
    assert (wish.reason is None) == bool(wish.instances)


def test_names_without_a_host_are_taken():
    for name in ("small", "user/small", "local/user/small", "small:latest"):
        assert not names_a_host(name, KNOWN)


async def test_a_role_is_fetched_before_its_first_use_and_only_then(tmp_path):
    backend = FetchingBackend()
    async with opened(tmp_path, backend) as manager:
        assert (await manager.answer(PROMPT)).text == "one two three"
        await manager.answer(PROMPT)
    assert len(backend.pulls) == 1


async def test_a_load_tells_how_far_the_fetch_is(tmp_path):
    backend = FetchingBackend()
    gate = backend.hold("pull")
    async with (
        opened(tmp_path, backend) as manager,
        aclosing(manager.load_progress(LoadRequest("general"))) as stages,
    ):
        first = await anext(stages)
        gate.set()
        *_, last = [each async for each in stages]
    assert first == LoadProgress("fetch", 40, SIZE, "fetching")
    assert isinstance(last, Loaded)


async def test_a_role_without_auto_download_is_never_fetched(tmp_path):
    backend = FetchingBackend()
    async with opened(tmp_path, backend, auto_download=False) as manager:
        with pytest.raises(orac_core.ModelNotFound):
            await manager.answer(PROMPT)
    assert backend.pulls == []


async def test_who_waits_too_long_is_told_that_it_is_still_coming(tmp_path):
    backend = FetchingBackend()
    gate = backend.hold("pull")
    async with opened(tmp_path, backend) as manager:
        with pytest.raises(DeadlineExceeded, match="small is still being fetched") as caught:
            await manager.answer(PROMPT, deadline_s=0.05)
        gate.set()
        assert caught.value.retry_after_s >= 1
        assert (await manager.answer(PROMPT)).text
    assert len(backend.pulls) == 1


@pytest.fixture
def spare():
    return ScriptedBackend(words=("spare",))


async def test_a_fallback_that_is_loaded_answers_as_long_as_the_model_is_fetched(tmp_path, spare):
    backend = FetchingBackend()
    gate = backend.hold("pull")
    async with opened(tmp_path, backend, spare) as manager:
        await manager.load(LoadRequest("spare/small"))
        with manager.events.inbox(kinds={"fallback"}) as inbox:
            answer = await manager.answer(PROMPT, deadline_s=1)
            assert (answer.instance, answer.served_by_fallback) == ("spare", True)
            assert answer.elapsed_s >= patience_s(1)
            assert (await inbox.get()).data["error"] == "BackendUnavailable"
        found = await manager.embed(EmbedRequest("general", ("hi",)), deadline_s=1)
        assert found.served_by_fallback
        gate.set()
        await until(lambda: "general" in manager.provisioning.reports)
        answer = await manager.answer(PROMPT)
        assert (answer.instance, answer.served_by_fallback) == ("fake", False)
    assert len(backend.pulls) == 1


async def test_only_the_first_requests_wait_for_what_is_being_fetched(tmp_path, spare):
    backend = FetchingBackend()
    backend.hold("pull")
    async with opened(tmp_path, backend, spare) as manager:
        await manager.load(LoadRequest("spare/small"))
        await manager.answer(PROMPT, deadline_s=1)
        assert manager.provisioning.underway_s("general") >= patience_s(1)
        assert (await manager.answer(PROMPT, deadline_s=0.99)).elapsed_s < patience_s(0.99)


async def test_a_model_that_is_there_already_is_asked_and_no_fallback(tmp_path, spare):
    backend = FetchingBackend(settings=ScriptedSettings(("small",)))
    async with opened(tmp_path, backend, spare) as manager:
        await manager.load(LoadRequest("spare/small"))
        assert not (await manager.answer(PROMPT)).served_by_fallback


async def test_a_fallback_that_is_not_loaded_is_no_reason_not_to_wait(tmp_path, spare):
    backend = FetchingBackend()
    backend.hold("pull")
    async with opened(tmp_path, backend, spare) as manager:
        with pytest.raises(DeadlineExceeded, match="small is still being fetched"):
            await manager.answer(PROMPT, deadline_s=0.1)
    assert spare.count("load") == 0


async def test_a_fallback_that_is_loaded_meanwhile_answers_those_who_wait(tmp_path, spare):
    backend = FetchingBackend()
    backend.hold("pull")
    async with opened(tmp_path, backend, spare) as manager:
        asking = asyncio.create_task(manager.answer(PROMPT, deadline_s=2))
        await backend.reached["pull"].wait()
        await manager.load(LoadRequest("spare/small"))
        assert (await asking).served_by_fallback


async def test_when_the_fallback_fails_too_it_is_told_that_the_model_is_coming(tmp_path, spare):
    backend = FetchingBackend()
    backend.hold("pull")
    spare.failures["first"] = BackendError("out of order")
    async with opened(tmp_path, backend, spare) as manager:
        await manager.load(LoadRequest("spare/small"))
        with pytest.raises(BackendUnavailable, match=r"still being fetched .*: out of") as caught:
            await manager.answer(PROMPT, deadline_s=0.2)
        assert caught.value.retry_after_s
        assert manager.breaker("fake").state == "closed"


@given(st.floats(0, 1e6))
def test_a_request_waits_for_a_fetch_for_two_seconds_or_less_where_it_has_less(deadline_s):
    assert patience_s(deadline_s) <= min(PATIENCE_S, deadline_s)


async def test_a_fetch_that_failed_is_not_begun_again_at_once(tmp_path):
    backend = FetchingBackend(failures={"pull": BackendError("the cable is out")})
    async with opened(tmp_path, backend) as manager:
        for _ in range(2):
            with pytest.raises(BackendError, match="the cable is out") as caught:
                await manager.answer(PROMPT)
            assert caught.value.retry_after_s <= AGAIN_S
        health = await manager.health()
        assert health.status == "degraded"
        assert "role general" in health.message
        backend.failures.clear()
        await reports(manager.provisioning.provision())
        assert (await manager.answer(PROMPT)).text
        assert (await manager.health()).status == "healthy"
    assert len(backend.pulls) == 2


async def test_steps_tell_the_role():
    backend = FetchingBackend()
    gate = backend.hold("pull")
    work = provisioning({"general": {"name": "small"}}, fake=backend)
    async with aclosing(work.provision()) as steps:
        assert await anext(steps) == Step("general", "small", "fetching", 40, SIZE)
        gate.set()
        assert [type(each) for each in [step async for step in steps]][-1] is Provisioned
