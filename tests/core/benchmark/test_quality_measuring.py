"""Asking a model all tasks: with answers from a table, and from the real engine."""

import asyncio
from pathlib import Path

import pytest

import orac_core
from orac_core import BackendError, GenerateOptions, GenerateRequest, ShuttingDown
from orac_core.benchmark.progress import Progress
from orac_core.benchmark.quality import WEIGHTS, Measurement, built_in, measure
from tests.waiting import until

DEMO = Path(__file__).parents[3] / "orac_server" / "demo"
TASKS = built_in()
BY_CONVERSATION = {task.conversation: task for task in TASKS.tasks}


async def solve(messages, wanted, max_tokens):
    task = BY_CONVERSATION[messages]
    assert (wanted, max_tokens) == (task.question.format, task.question.max_tokens)
    return task.question.reference


async def test_a_model_that_knows_all_answers_has_100():
    found = await measure(solve, TASKS)
    low, high = found.ci95 or (0, 0)
    assert 85 < low < found.score == high == 100
    assert found.parts.keys() == WEIGHTS.keys()
    assert found.failed == ()


async def test_a_model_that_says_nothing_has_0():
    async def silent(*_):
        return ""

    found = await measure(silent, TASKS)
    assert found.score == 0
    assert all(rate.hits == 0 for rate in found.parts.values())


async def test_one_and_the_same_answer_to_all_has_what_the_page_says():
    async def constant(*_):
        return '{"action":"unknown"}'

    assert round((await measure(constant, TASKS)).score, 1) == 5.3


async def test_tasks_are_asked_in_order_and_progress_is_told():
    seen: list[Progress] = []
    chosen = TASKS.chosen(limit=7)
    found = await measure(solve, chosen, on_progress=seen.append)
    assert [each.message for each in seen] == [task.id for task in chosen.tasks]
    assert [(each.stage, each.completed, each.total) for each in seen] == [
        ("quality", number, 7) for number in range(1, 8)
    ]
    assert found.tasks.startswith(f"orac-tasks 1 (7 of {TASKS.whole}, ")


@pytest.mark.parametrize("error", [BackendError("the engine died"), TimeoutError()])
async def test_an_error_for_an_answer_is_wrong_and_named(error):
    async def ask(messages, *rest):
        if messages == TASKS.tasks[0].conversation:
            raise error
        return await solve(messages, *rest)

    found = await measure(ask, TASKS)
    assert found.failed == ((TASKS.tasks[0].id, f"no answer: {str(error) or 'TimeoutError'}"),)
    assert found.parts["exact"].hits == found.parts["exact"].n - 1


@pytest.mark.parametrize("error", [ShuttingDown("stopping"), ZeroDivisionError()])
async def test_what_is_no_fault_of_the_models_is_not_counted(error):
    async def ask(*_):
        raise error

    measurement = Measurement(TASKS)
    with pytest.raises(type(error)):
        await measurement.run(ask)
    assert measurement.outcomes == {}


async def test_cancelling_keeps_what_was_answered_and_it_can_go_on():
    asked = []

    async def stuck(messages, *rest):
        asked.append(messages)
        if len(asked) == 30:
            await asyncio.Event().wait()
        return await solve(messages, *rest)

    measurement = Measurement(TASKS)
    running = asyncio.create_task(measurement.run(stuck))
    await until(lambda: len(asked) == 30)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    partial = measurement.quality
    assert partial.score == 100
    assert partial.tasks.startswith(f"orac-tasks 1 (29 of {TASKS.whole}, ")
    whole = await measurement.run(stuck)
    assert whole.tasks == f"orac-tasks 1 ({TASKS.whole})"
    assert len(asked) == TASKS.whole + 1


async def test_own_weights_are_in_the_report():
    measurement = Measurement(TASKS.chosen(["exact", "regex"]), {"exact": 1.0})
    assert (await measurement.run(solve)).weights == {"exact": 1.0, "regex": 0.0}


async def test_the_demo_model_knows_json_and_little_else(tmp_path):
    async with orac_core.open(
        orac_core.Manifest(), models_dir=DEMO, environ={"ORAC_STATE_DIR": str(tmp_path)}
    ) as manager:

        async def ask(messages, wanted, max_tokens):
            options = GenerateOptions(temperature=0, seed=1, max_tokens=min(max_tokens, 48))
            request = GenerateRequest("orac-robot", messages, format=wanted, options=options)
            return (await manager.answer(request)).text

        found = await measure(ask, TASKS)
    assert found.parts.keys() == WEIGHTS.keys()
    assert found.parts["json_validity"].hits > 10
    assert found.parts["exact"].hits == found.parts["plan_goal"].hits == 0
    low, high = found.ci95 or (0, 0)
    assert 0 < low < found.score < high < 25
    assert len(found.failed) == 20
