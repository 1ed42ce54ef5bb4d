"""Each promise catches a backend that breaks it, and lets one pass that keeps all."""

import asyncio
from contextlib import asynccontextmanager

import pytest
from attrs import define, field
from hypothesis import Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from orac_core import LoadProgress, PullRequest, hookimpl
from orac_core.testing import PROMISES, BackendContract, Subject, judge, judge_all
from orac_core.testing.journal import Journal
from orac_core.testing.machine import machine_of
from tests.contract import mutants, optional_mutants
from tests.contract.mutants import NeverUnloads
from tests.contract.sound import MUTANTS, Sound


@define(eq=False)
class NeverEndsALoad(Sound):
    begun: asyncio.Event = field(factory=asyncio.Event)

    @hookimpl
    async def load(self, request):
        yield LoadProgress("start")
        self.begun.set()
        await asyncio.Event().wait()


def making(cls):
    @asynccontextmanager
    async def make():
        backend = cls()

        async def crash():
            backend.crash()

        fetched = PullRequest("fetched")
        yield Subject(backend, "small", embedding_model="small", end_engine=crash, pull=fetched)

    return make


class TestSound(BackendContract):
    @pytest.fixture
    def make_backend(self):
        return making(Sound)


def test_there_is_a_mutant_for_each_promise():
    assert {cls.__module__ for cls in MUTANTS.values()} == {
        mutants.__name__,
        optional_mutants.__name__,
    }
    assert set(MUTANTS) == {each.id for each in PROMISES}


@pytest.mark.parametrize("promise", PROMISES, ids=[each.id for each in PROMISES])
async def test_a_mutant_is_caught_by_the_promise_that_it_breaks(promise):
    most = None if promise.id == "any-order" else 3
    verdict = await judge(promise, making(MUTANTS[promise.id]), within_s=most)
    assert verdict.outcome == "broken"
    assert verdict.seen in str(verdict)
    assert promise.hint in str(verdict)


async def test_what_hangs_breaks_a_promise_in_the_end():
    promise = next(each for each in PROMISES if each.id == "generate-listens")
    verdict = await judge(promise, making(MUTANTS[promise.id]), within_s=0.05)
    assert verdict.seen == "no end within 0.05 s"


def any_order():
    return next(each for each in PROMISES if each.id == "any-order")


async def test_what_only_an_order_of_calls_shows_keeps_every_other_promise():
    others = [each for each in PROMISES if each is not any_order()]
    verdicts = await judge_all(others, making(MUTANTS["any-order"]))
    assert [str(each) for each in verdicts if each.outcome == "broken"] == []


async def test_the_shortest_order_that_fails_is_told_step_by_step():
    verdict = await judge(any_order(), making(MUTANTS["any-order"]), seed=1)
    assert verdict.steps[0] == "open it"
    assert "unload" in verdict.steps
    assert len(verdict.steps) <= 6
    assert f"  steps: {'; '.join(verdict.steps)}\n  seen: {verdict.seen}\n" in str(verdict)


@pytest.mark.parametrize("seed", [0, 7])
async def test_the_same_seed_finds_the_same_order(seed):
    first, second = [await judge(any_order(), making(NeverUnloads), seed=seed) for _ in range(2)]
    assert (first.steps, first.seen) == (second.steps, second.seen)
    assert first.outcome == "broken"


def test_a_step_that_never_ends_is_named():
    journal = Journal()
    machine = machine_of(making(NeverEndsALoad), journal, step_within_s=0.05)
    few = settings(max_examples=30, deadline=None, phases=[Phase.generate], database=None)
    with pytest.raises(TimeoutError):
        run_state_machine_as_test(machine, settings=few)
    assert "load" in journal.shortest.steps[-1]
    assert journal.shortest.seen == "TimeoutError: it did not end within 0.05 s"


async def test_an_order_that_nobody_had_time_for_was_not_kept():
    verdict = await judge(any_order(), making(Sound), within_s=0.001)
    assert verdict.outcome != "kept"


async def test_a_judgement_that_is_cancelled_leaves_no_backend_open():
    opened, loading = [], asyncio.Event()

    @asynccontextmanager
    async def make():
        opened.append(backend := NeverEndsALoad(begun=loading))
        try:
            yield Subject(backend, "small")
        finally:
            opened.remove(backend)

    judging = asyncio.create_task(judge(any_order(), make))
    await loading.wait()
    judging.cancel()
    with pytest.raises(asyncio.CancelledError):
        await judging
    assert opened == []
