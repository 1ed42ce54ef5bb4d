"""Benchmarks of a manager: every run that began is kept, and found again."""

import asyncio
import json
import subprocess
import sys
from contextlib import aclosing, asynccontextmanager

import pytest
from attrs import evolve

import orac_core
from orac_core import BenchmarkNotFound, InvalidRequest, StateConflict, StateDirectory
from orac_core.benchmark import BenchmarkRequest, Benchmarks, History, Progress, Report, Runner
from orac_core.manifest import BenchmarkSettings, parse
from tests.core.benchmark.reports import report
from tests.scripted import ScriptedBackend, plugins
from tests.waiting import until

SHORT = BenchmarkRequest(("small",), presets=("pp16+tg8",), rounds=2)
MANIFEST = {"backends": {"fake": {"kind": "scripted"}}, "benchmark": {"rounds": 3}}


@pytest.fixture
def backend():
    return ScriptedBackend()


@asynccontextmanager
async def opened(backend, folder):
    """Open a manager whose state is in *folder*, and its benchmarks."""
    opening = orac_core.open(
        parse(MANIFEST, "a test"),
        models_dir=folder,
        plugins=plugins(backend),
        environ={"ORAC_STATE_DIR": str(folder / "state")},
    )
    async with opening as manager, Benchmarks.of(manager) as benchmarks:
        yield benchmarks


@pytest.fixture
async def benchmarks(backend, tmp_path):
    async with opened(backend, tmp_path) as found:
        yield found


async def events(inbox):
    while (event := await inbox.get()) is not None:
        yield event


async def measured(benchmarks, request=SHORT):
    async with aclosing(benchmarks.run(request)) as steps:
        found = [step async for step in steps]
    assert all(isinstance(step, Progress) for step in found[:-1])
    assert isinstance(found[-1], Report)
    return found[-1]


async def test_a_run_is_kept_when_its_report_is_there(benchmarks):
    async with aclosing(benchmarks.run(SHORT)) as steps:
        async for step in steps:
            if isinstance(step, Report):
                assert await benchmarks.get(step.id) == step
                assert (await benchmarks.get("latest")).id == step.id
            else:
                assert benchmarks.running is not None
    assert benchmarks.running is None
    assert [entry.id for entry in await benchmarks.list()] == [step.id]


async def test_how_far_it_is_is_told_to_whoever_listens(benchmarks):
    with benchmarks.runner.manager.events.inbox(kinds={"benchmark"}) as inbox:
        made = await measured(benchmarks)
        inbox.close()
        told = [event.data async for event in events(inbox)]
    assert {each["id"] for each in told} == {made.id}
    rounds = [each for each in told if each["stage"] == "round"]
    assert [(each["completed"], each["total"]) for each in rounds] == [(0, 2), (1, 2)]
    assert told[-1]["message"] == "completed"


async def test_it_says_which_machine_it_was(benchmarks):
    host = (await measured(benchmarks)).host
    assert {"board", "cpu", "memory_total_bytes", "kernel", "power_mode", "orac"} <= set(host)


async def test_the_manifests_settings_are_those_of_its_benchmarks(benchmarks):
    assert benchmarks.settings.rounds == 3


async def test_a_run_that_is_given_up_is_kept_with_what_it_has(benchmarks, backend):
    async with aclosing(benchmarks.run(SHORT)) as steps:
        async for step in steps:
            if step.stage == "round" and step.completed == 1:
                id_ = benchmarks.running
                backend.hold("first")
                break
    await until(lambda: backend.generating == 0)
    backend.gates.clear()
    await until(lambda: benchmarks.last is not None)
    assert (benchmarks.last.id, benchmarks.last.ended) == (id_, "cancelled")
    assert benchmarks.last.samples
    assert (await measured(benchmarks)).ended == "completed"
    assert [entry.ended for entry in await benchmarks.list()] == ["completed", "cancelled"]


async def test_a_run_whose_task_is_cancelled_is_on_the_disk_after_leaving(backend, tmp_path):
    backend.hold("first")
    async with opened(backend, tmp_path) as benchmarks:
        running = asyncio.create_task(measured(benchmarks))
        await backend.reached["first"].wait()
        running.cancel()
        await asyncio.wait([running])
    async with opened(ScriptedBackend(), tmp_path) as again:
        assert [entry.ended for entry in await again.list()] == ["cancelled"]


async def test_there_is_one_at_a_time_and_the_refused_one_is_not_kept(benchmarks, backend):
    backend.hold("first")
    running = asyncio.create_task(measured(benchmarks))
    await backend.reached["first"].wait()
    with pytest.raises(StateConflict, match=benchmarks.running):
        await measured(benchmarks)
    backend.gates["first"].set()
    kept = await running
    assert [entry.id for entry in await benchmarks.list()] == [kept.id]


async def test_what_makes_no_sense_is_refused_and_not_kept(benchmarks):
    with pytest.raises(InvalidRequest):
        await measured(benchmarks, evolve(SHORT, rounds=0))
    assert await benchmarks.list() == ()
    with pytest.raises(BenchmarkNotFound):
        await benchmarks.get("latest")


@pytest.fixture
async def with_tasks(backend, tmp_path):
    """Benchmarks whose manifest names a folder of tasks, and that folder."""
    folder = tmp_path / "tasks"
    folder.mkdir()
    settings = BenchmarkSettings(tasks=folder)
    async with orac_core.open(parse(MANIFEST, "a test"), plugins=plugins(backend)) as manager:
        history = History.of(StateDirectory(tmp_path / "state"))
        async with Benchmarks(Runner(manager), history, settings) as found:
            yield found, folder


async def test_the_tasks_of_the_manifest_are_asked_for_quality(with_tasks):
    benchmarks, folder = with_tasks
    lines = [
        json.dumps({"id": name, "prompt": "Count.", "checks": [{"kind": "exact", "answers": [it]}]})
        for name, it in (("right", "one two three"), ("wrong", "four"))
    ]
    (folder / "mine.jsonl").write_text("\n".join(lines))
    made = await measured(benchmarks, BenchmarkRequest(("small",), suite="quality"))
    (result,) = made.results
    assert (result.quality.score, result.measured) == (50.0, ())
    assert [name for name, _ in result.quality.failed] == ["wrong"]
    assert (await benchmarks.list())[0].lines[0].score == 50.0


async def test_tasks_that_make_no_sense_are_refused_before_anything_is_asked(with_tasks, backend):
    benchmarks, folder = with_tasks
    (folder / "mine.jsonl").write_text("{}")
    with pytest.raises(InvalidRequest, match=r"mine\.jsonl"):
        await measured(benchmarks, BenchmarkRequest(("small",), suite="quality"))
    assert backend.calls == []
    assert (await measured(benchmarks)).ended == "completed"


async def test_where_nothing_can_be_kept_the_last_one_is_there(backend):
    async with orac_core.open(parse(MANIFEST, "a test"), plugins=plugins(backend)) as manager:
        nowhere = History.of(StateDirectory(None))
        async with Benchmarks(Runner(manager), nowhere) as benchmarks:
            made = await measured(benchmarks)
            assert await benchmarks.get(made.id) is made
            assert await benchmarks.get("latest") is made
            with pytest.raises(BenchmarkNotFound):
                await benchmarks.get("latest~1")


async def test_two_are_compared_in_the_order_they_are_named(benchmarks):
    old, new = [await measured(benchmarks) for _ in range(2)]
    found = await benchmarks.compare("latest~1", "latest")
    assert (found.old, found.new) == (old.id, new.id)
    assert found.differences == ()
    with pytest.raises(BenchmarkNotFound):
        await benchmarks.compare("nothing", "latest")


async def test_a_run_that_measured_nothing_hides_no_other_from_recommending(benchmarks):
    await measured(benchmarks)
    await benchmarks.history.add(evolve(report(), id="x", results=(), host={"board": "other"}))
    overall = (await benchmarks.recommend()).overall
    assert [each.model for each in overall.candidates] == ["fake/small"]


async def test_nothing_is_opened_before_it_is_used(backend, tmp_path):
    async with opened(backend, tmp_path):
        pass
    assert not (tmp_path / "state" / "benchmarks.sqlite3").exists()


def test_importing_the_library_does_not_load_what_measures():
    code = "import sys, orac_core; print(*{'sqlite3', 'orac_core.benchmark'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
