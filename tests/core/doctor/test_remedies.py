"""Remedies are tried, measured, and kept only where they work."""

import asyncio
from contextlib import aclosing

import pytest

from orac_core.doctor.causes import Cause, finding
from orac_core.doctor.patient import Standing
from orac_core.doctor.remedies import Attempt, Outcome, Remedies, attempts_for
from tests.core.doctor.scripted_bench import ScriptedBench, baseline
from tests.simulation import loop

pytestmark = pytest.mark.usefixtures("given_back_cache")


def tried(bench: ScriptedBench, *suspected: Cause, known: bool = True, **options) -> Outcome:
    async def try_all() -> Outcome:
        rates, _ = await baseline()
        findings = [finding(each, 0.8, "a sign") for each in suspected]
        remedies = Remedies(bench, findings, rates if known else (), **options)
        async with aclosing(remedies.run()) as run:
            *_, last = [each async for each in run]
        assert isinstance(last, Outcome)
        return last

    return loop.run(try_all)


def made(outcome: Outcome) -> list[Attempt]:
    return [each.attempt for each in outcome.tried]


def test_the_first_remedy_that_cures_is_the_last_that_is_tried(file):
    outcome = tried(ScriptedBench((Cause.PAGE_CACHE,), (file,)), Cause.PAGE_CACHE, Cause.CONTEXT)
    assert made(outcome) == [Attempt.CACHE]
    assert outcome.kept == (Attempt.CACHE,)
    assert outcome.cured
    assert outcome.tried[0].to_former.ratio > 2


def test_forced_layers_that_work_are_kept():
    bench = ScriptedBench((Cause.PAGE_CACHE,))
    outcome = tried(bench, Cause.PAGE_CACHE)
    assert outcome.kept == (Attempt.ALL_LAYERS,)
    assert loop.run(bench.standing) == Standing(loaded=True, gpu_layers=999)


def test_forced_layers_that_do_not_help_are_undone(file):
    bench = ScriptedBench((Cause.HEAT,), (file,), gpu_layers=20)
    outcome = tried(bench, Cause.PAGE_CACHE)
    assert made(outcome) == [Attempt.CACHE, Attempt.ALL_LAYERS]
    assert outcome.kept == ()
    assert not outcome.cured
    assert loop.run(bench.standing) == Standing(loaded=True, gpu_layers=20)


def test_memory_that_comes_late_is_waited_for():
    bench = ScriptedBench((Cause.MEMORY_LATE,))
    bench._placed(since=0.1)
    outcome = tried(bench, Cause.MEMORY_LATE)
    assert outcome.kept == (Attempt.WHEN_BACK,)
    assert outcome.cured


def test_a_ceiling_of_context_is_gone_after_a_reload():
    outcome = tried(ScriptedBench((Cause.CONTEXT,)), Cause.CONTEXT)
    assert outcome.kept == (Attempt.RELOAD,)


def test_a_model_that_is_as_fast_as_ever_is_left_alone():
    bench = ScriptedBench()
    outcome = tried(bench, Cause.PAGE_CACHE)
    assert outcome.tried == ()
    assert outcome.cured
    assert "unload" not in bench.done


@pytest.mark.parametrize(
    "cause",
    sorted(
        set(Cause) - {Cause.PAGE_CACHE, Cause.MEMORY_LATE, Cause.CONTEXT, Cause.UNKNOWN},
    ),
)
def test_what_only_people_may_do_is_advice_and_never_tried(cause):
    bench = ScriptedBench((cause,) if cause is not Cause.COMPANY else (Cause.HEAT,))
    outcome = tried(bench, cause)
    assert outcome.tried == ()
    assert set(bench.done) == {"canary"}
    assert [each.cause for each in outcome.advice] == [cause]
    assert outcome.advice[0].text


def test_commands_are_handed_back_to_be_typed():
    outcome = tried(ScriptedBench((Cause.PAGE_CACHE,)), Cause.PAGE_CACHE, Cause.LEFTOVER)
    assert outcome.advice[0].command == "sync; echo 3 | sudo tee /proc/sys/vm/drop_caches"


def test_without_a_baseline_the_first_that_works_is_enough(file):
    bench = ScriptedBench((Cause.PAGE_CACHE,), (file,))
    outcome = tried(bench, Cause.UNKNOWN, known=False)
    assert outcome.kept == (Attempt.CACHE,)
    assert made(outcome) == [Attempt.RELOAD, Attempt.WHEN_BACK, Attempt.CACHE]


def test_a_remedy_that_fails_is_told_and_the_model_is_put_back():
    bench = ScriptedBench((Cause.PAGE_CACHE,), refuses_layers=True)
    outcome = tried(bench, Cause.PAGE_CACHE)
    assert outcome.tried[0].error == "cudaMalloc failed"
    assert outcome.trouble is None
    assert loop.run(bench.standing) == Standing(loaded=True)


def test_a_deadline_ends_the_attempts_and_puts_the_model_back():
    bench = ScriptedBench((Cause.PAGE_CACHE,))
    outcome = tried(bench, Cause.UNKNOWN, deadline_s=10.0)
    assert outcome.ended == "deadline"
    assert loop.run(bench.standing) == Standing(loaded=True)


@pytest.mark.parametrize("after", [1.0, 6.2, 8.0, 20.0, 45.0])
def test_cancelling_puts_back_what_has_not_worked(after):
    bench = ScriptedBench((Cause.PAGE_CACHE,), gpu_layers=20)
    remedies = Remedies(bench, [finding(Cause.UNKNOWN, 0.2, "nothing")])

    async def cancel() -> None:
        task = asyncio.ensure_future(drained(remedies))
        await asyncio.sleep(after)
        task.cancel()
        await asyncio.wait({task})

    loop.run(cancel)
    assert remedies.outcome.ended == "cancelled"
    assert remedies.before or after < 6
    assert loop.run(bench.standing) == Standing(loaded=True, gpu_layers=20)


async def drained(remedies: Remedies) -> None:
    async with aclosing(remedies.run()) as run:
        async for _ in run:
            pass


def test_nothing_is_tried_twice_nor_without_what_it_needs():
    findings = [finding(each, 0.5, "a sign") for each in (Cause.UNKNOWN, Cause.PAGE_CACHE)]
    assert attempts_for(findings, files=True) == (
        Attempt.RELOAD,
        Attempt.WHEN_BACK,
        Attempt.CACHE,
        Attempt.ALL_LAYERS,
    )
    assert Attempt.CACHE not in attempts_for(findings, files=False)
