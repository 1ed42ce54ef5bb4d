"""The experiment finds which step changes the rate, and says what that means."""

import asyncio
from contextlib import aclosing
from typing import Any

import pytest

from orac_core.doctor.causes import Cause
from orac_core.doctor.experiment import Doing, Experiment, Report
from orac_core.doctor.patient import Standing
from orac_core.doctor.step import Step, Trial
from tests.core.doctor.scripted_bench import ScriptedBench, baseline
from tests.simulation import loop

pytestmark = pytest.mark.usefixtures("given_back_cache")


def carried_out(bench: ScriptedBench, *, known: bool = True, **options) -> Report:
    async def carry_out() -> Report:
        rates, then = await baseline() if known else ((), None)
        experiment = Experiment(bench, rates, then, **options)
        async with aclosing(experiment.run()) as run:
            *_, last = [each async for each in run]
        assert isinstance(last, Report)
        return last

    return loop.run(carry_out)


CURES = {
    Cause.PAGE_CACHE: Trial.CACHE,
    Cause.MEMORY_LATE: Trial.FRESH,
    Cause.CONTEXT: Trial.CYCLE,
    Cause.GPU_LOST: None,
    Cause.LEFTOVER: None,
    Cause.POWER_MODE: None,
    Cause.OVER_CURRENT: None,
    Cause.HEAT: None,
    Cause.SWAP: None,
    Cause.GPU_SHARED: None,
    Cause.ENGINE_CHANGED: None,
}


def ailing(cause: Cause, file, **options) -> ScriptedBench:
    from_load = 1 if cause is Cause.MEMORY_LATE else 0
    return ScriptedBench((cause,), (file,), from_load=from_load, **options)


@pytest.mark.parametrize("cause", CURES)
@pytest.mark.parametrize("seed", range(2))
def test_each_cause_leads_to_its_conclusion(cause, seed, file):
    report = carried_out(ailing(cause, file, seed=seed))
    assert report.ended == "completed"
    assert report.conclusion.cause == cause, report.conclusion.text
    assert report.conclusion.cure == CURES[cause], report.conclusion.text
    assert cause.replace("_", " ") in report.conclusion.text


@pytest.mark.parametrize("seed", range(8))
def test_a_healthy_model_is_not_called_sick_by_the_experiment(seed, file):
    report = carried_out(ScriptedBench((), (file,), seed=seed))
    assert report.conclusion.cause is None, report.conclusion.text
    assert not any(step.changed for step in report.steps)


def test_without_a_baseline_the_steps_alone_tell(file):
    for cause in (Cause.PAGE_CACHE, Cause.MEMORY_LATE, Cause.CONTEXT):
        file.write_text("cached")
        report = carried_out(ailing(cause, file), known=False)
        assert report.conclusion.cause == cause, report.conclusion.text


def test_two_causes_are_told_when_the_cure_of_one_leaves_the_other(file):
    report = carried_out(ScriptedBench((Cause.PAGE_CACHE, Cause.POWER_MODE), (file,)))
    found = [each.cause for each in report.conclusion.findings]
    assert report.conclusion.cause == Cause.PAGE_CACHE
    assert Cause.POWER_MODE in found
    assert "still" in report.conclusion.text


def test_a_cache_that_can_not_be_given_back_is_left_to_forced_layers():
    report = carried_out(ScriptedBench((Cause.PAGE_CACHE,)))
    assert report.conclusion.cure == Trial.ALL_LAYERS
    assert report.conclusion.cause == Cause.PAGE_CACHE
    skipped = next(step for step in report.steps if step.trial is Trial.CACHE)
    assert skipped.error == "the model's files can not be read here"


def test_layers_are_not_forced_onto_a_gpu_that_has_them_all(file):
    bench = ScriptedBench((Cause.HEAT,), (file,))
    carried_out(bench)
    assert "load 999" not in bench.done


def test_each_step_has_its_rates_compared_with_the_step_before_and_the_baseline(file):
    report = carried_out(ailing(Cause.PAGE_CACHE, file), cycles=2)
    assert [step.trial for step in report.steps] == [
        Trial.AS_FOUND,
        Trial.REPEAT,
        *[Trial.CYCLE] * 2,
        Trial.FRESH,
        Trial.CACHE,
        Trial.ALL_LAYERS,
    ]
    first, cured = report.steps[0], report.steps[5]
    assert first.changed is None
    assert first.to_former.ratio is None
    assert first.to_baseline.ratio < 0.5
    assert cured.changed
    assert cured.to_former.ratio > 2
    assert cured.to_baseline.ratio == pytest.approx(1, abs=0.1)
    figures: Any = cured.tokens_per_second
    low, high = figures.ci95
    assert low <= figures.p50 <= high


def test_each_step_is_told_when_it_begins_and_when_it_is_done(file):
    async def follow() -> list:
        return [each async for each in Experiment(ScriptedBench((), (file,)), cycles=1).run()]

    told = loop.run(follow)
    assert [type(each) for each in told] == [Doing, Step] * 6 + [Report]
    assert [each.completed for each in told if isinstance(each, Doing)] == list(range(6))


@pytest.mark.parametrize("loaded", [True, False])
@pytest.mark.parametrize("layers", [None, 20])
def test_the_model_is_left_as_it_was_found(loaded, layers):
    bench = ScriptedBench((Cause.PAGE_CACHE,), loaded=loaded, gpu_layers=layers)
    report = carried_out(bench)
    assert report.trouble is None
    assert loop.run(bench.standing) == Standing(loaded, layers)


@pytest.mark.parametrize("after", [0.0, 3.0, 9.0, 14.3, 30.0, 55.5, 90.0])
@pytest.mark.parametrize("loaded", [True, False])
def test_a_cancelled_experiment_keeps_what_it_measured_and_puts_the_model_back(after, loaded):
    bench = ScriptedBench((Cause.PAGE_CACHE,), loaded=loaded)
    experiment = Experiment(bench)

    async def cancel() -> None:
        async def follow() -> None:
            async with aclosing(experiment.run()) as run:
                async for _ in run:
                    pass

        task = asyncio.ensure_future(follow())
        await asyncio.sleep(after)
        for _ in range(3):
            task.cancel()
            await asyncio.sleep(0.1)
        await asyncio.wait({task})
        assert task.cancelled()
        assert not loop.running().complaints

    loop.run(cancel)
    assert experiment.report.ended == "cancelled"
    assert experiment.report.trouble is None
    assert bench.loaded == loaded
    assert len(experiment.report.steps) == sum(after > end for end in ENDS[loaded])


ENDS = {True: (6.0, 12.0, 26.5, 41.0, 55.5 + 1e-6), False: (14.0, 20.0, 34.5, 49.0, 63.5)}


def test_a_reader_that_stops_reading_gets_the_model_put_back():
    bench = ScriptedBench((Cause.PAGE_CACHE,), loaded=False)
    experiment = Experiment(bench)

    async def stop() -> None:
        async with aclosing(experiment.run()) as run:
            async for each in run:
                if isinstance(each, Step):
                    break

    loop.run(stop)
    assert not bench.loaded
    assert [step.trial for step in experiment.report.steps] == [Trial.AS_FOUND]


@pytest.mark.parametrize("deadline_s", [1.0, 20.0, 60.0])
def test_a_deadline_ends_it_with_what_was_measured(deadline_s):
    bench = ScriptedBench((Cause.PAGE_CACHE,))
    report = carried_out(bench, deadline_s=deadline_s)
    assert report.ended == "deadline"
    assert len(report.steps) < 6
    assert bench.loaded


def test_a_load_that_fails_is_a_step_with_an_error_and_the_next_steps_go_on():
    bench = ScriptedBench((Cause.PAGE_CACHE,), refuses_layers=True)
    report = carried_out(bench)
    assert report.steps[-1].error == "cudaMalloc failed"
    assert report.ended == "completed"
    assert bench.loaded


def test_a_model_that_can_not_be_put_back_is_said():
    bench = ScriptedBench(broken=True)
    report = carried_out(bench, cycles=1)
    assert report.trouble == (
        "it was loaded before and could not be put back: the engine ended with code 1"
    )


def test_nothing_measured_says_why():
    report = carried_out(ScriptedBench(broken=True, loaded=False), cycles=1)
    assert report.conclusion.cause is None
    assert "nothing was measured: measure it as it is: the engine ended" in report.conclusion.text
