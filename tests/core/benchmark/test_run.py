import asyncio
from contextlib import aclosing

import pytest
from attrs import define, evolve, field

from orac_core import (
    BackendError,
    GenerateOptions,
    GenerateRequest,
    InvalidRequest,
    LoadRequest,
    Message,
    StateConflict,
)
from orac_core.benchmark.progress import Progress
from orac_core.benchmark.request import Goals, Limit
from orac_core.benchmark.results import Energy, EnergyUse, Quality, Report
from tests.core.benchmark.bench import (
    GIB,
    WALL,
    Engine,
    everything,
    order_of,
    outcome,
    play,
    short,
)


def test_every_figure_of_an_answer_is_the_one_that_the_clock_and_the_engine_said():
    async def scene(engine, runner):
        report = await outcome(runner, short())
        (result,) = report.results
        (figures,) = result.measured
        assert (figures.workload.name, figures.n, figures.failures) == ("pp16+tg8", 2, 0)
        assert figures.ttft_s.p50 == pytest.approx(0.016)
        assert figures.tpot_s.p50 == pytest.approx(0.01)
        assert figures.latency_s.p50 == pytest.approx(0.016 + 0.07)
        assert figures.gaps_s.n == 14
        assert figures.decode_tokens_per_second.p50 == 100
        assert figures.client_tokens_per_second.p50 == pytest.approx(100)
        assert figures.throughput_tokens_per_second == pytest.approx(8 / 0.086)
        assert (figures.prompt_tokens, figures.completion_tokens) == (16, 8)
        assert (report.suite, report.ended, report.order) == ("latency", "completed", "interleaved")
        assert report.started_at == pytest.approx(WALL + 1000, abs=1)

    play(scene)


def test_warming_up_is_kept_and_not_counted():
    async def scene(engine, runner):
        report = await outcome(runner, short())
        assert [(it.workload, it.round) for it in report.samples] == [
            ("probe", 0),
            ("pp16+tg8", 0),
            ("pp16+tg8", 0),
            ("pp16+tg8", 1),
            ("pp16+tg8", 2),
        ]
        assert report.results[0].measured[0].n == 2

    play(scene)


def test_no_two_prompts_are_alike_and_the_same_seed_asks_the_same():
    async def scene(engine, runner):
        await outcome(runner, short(rounds=5))
        first = [it.prompt for it in engine.asked]
        assert len({*first}) == len(first)
        assert len({prompt[:20] for prompt in first}) == len(first)
        engine.asked.clear()
        assert (await outcome(runner, short(rounds=5))).options["seed"] == 7
        assert [it.prompt for it in engine.asked] == first
        engine.asked.clear()
        report = await outcome(runner, short(rounds=5, seed=None))
        assert report.options["seed"] != 7
        assert [it.prompt for it in engine.asked] != first

    play(scene)


def test_random_text_is_continued_as_it_is_to_a_fixed_length_and_nothing_is_left_to_chance():
    async def scene(engine, runner):
        await outcome(runner, short())
        request = engine.asked[-1]
        assert request.messages == ()
        assert request.options == GenerateOptions(0.0, seed=7, max_tokens=8, ignore_eos=True)

    play(scene)


def test_a_users_prompt_is_asked_as_it_is_for_its_answer_and_then_behind_other_words_each_time():
    async def scene(engine, runner):
        request = short(prompts=("what is up", "and down"), presets=(), max_tokens=5)
        report = await outcome(runner, request)
        told = [it.messages[0].content for it in engine.asked]
        assert told[:2] == ["what is up", "and down"]
        assert all(it.endswith(("]\nwhat is up", "]\nand down")) for it in told[2:])
        assert len({*told}) == len(told)
        assert report.results[0].answer == "0 1 2 3 4 "
        assert report.results[0].measured[0].workload.name == "prompts"
        assert report.results[0].measured[0].n == 4

    play(scene)


def test_models_take_turns_in_each_round():
    async def scene(engine, runner):
        report = await outcome(runner, short("slow", "fast", rounds=3))
        assert order_of(report.samples) == ["here/slow", "here/fast"] * 3
        assert report.order == "interleaved"

    play(scene)


def test_results_are_sorted_by_their_latency_and_failures_are_last():
    async def scene(engine, runner):
        engine.failures["load lame"] = BackendError("it is lame")
        report = await outcome(runner, short("lame", "nobody", "slow", "fast"))
        names = [it.subject.model for it in report.results]
        assert names == ["here/fast", "here/slow", "here/lame", "nobody"]
        assert "it is lame" in report.results[2].error
        assert "nobody" in report.results[3].error
        assert report.ended == "completed"

    engine = Engine()
    engine.settings = evolve(engine.settings, models=("lame", "fast", "slow"))
    play(scene, engine)


def test_a_model_that_stops_answering_is_given_up_and_the_others_are_measured():
    async def scene(engine, runner):
        engine.broken.add("slow")
        report = await outcome(runner, short("slow", "fast"))
        assert [it.error is None for it in report.results] == [True, False]
        assert "3 requests in a row had no answer: " in report.results[1].error
        assert sum(it.error is not None for it in report.samples) == 3

    play(scene)


def test_models_that_do_not_fit_together_are_measured_one_after_the_other():
    async def scene(engine, runner):
        report = await outcome(runner, short("slow", "fast"))
        assert report.order == "blocks"
        assert order_of(report.samples) == ["here/slow", "here/fast"]
        assert [it.error for it in report.results] == [None, None]

    play(scene, Engine(size_bytes=5 * GIB // 2))


def test_without_names_all_models_that_are_loaded_are_measured():
    async def scene(engine, runner):
        with pytest.raises(InvalidRequest, match="no model is loaded; name one"):
            await outcome(runner, evolve(short(), models=()))
        assert runner.running is None
        await runner.manager.load(LoadRequest("slow"))
        report = await outcome(runner, evolve(short(), models=()))
        assert [it.subject.model for it in report.results] == ["here/slow"]

    play(scene)


def test_a_model_whose_answers_may_cost_is_measured_only_when_it_is_named():
    async def scene(engine, runner):
        await runner.manager.load(LoadRequest("fast"))
        with pytest.raises(InvalidRequest, match="no model is loaded; name one"):
            await outcome(runner, evolve(short(), models=()))
        assert (await outcome(runner, short("fast"))).results[0].error is None

    play(scene, Engine(metered=frozenset({"fast"})))


def test_a_model_named_twice_is_measured_once():
    async def scene(engine, runner):
        report = await outcome(runner, short("fast", "here/fast"))
        assert len(report.results) == 1

    play(scene)


def test_a_second_benchmark_is_refused_and_told_of_the_first():
    async def scene(engine, runner):
        async with aclosing(runner.run(short())) as news:
            await anext(news)
            with pytest.raises(StateConflict, match=f"benchmark {runner.running} is running"):
                await outcome(runner, short())
        assert (await outcome(runner, short())).ended == "completed"

    play(scene)


def test_a_run_that_is_given_up_tells_once_what_it_has_measured():
    async def scene(engine, runner):
        told: list[Report] = []
        runner.on_end = told.append
        async with aclosing(runner.run(short("fast", "slow", rounds=100))) as news:
            async for each in news:
                if each.stage == "round" and each.completed == 3:
                    break
        (report,) = told
        assert report.ended == "cancelled"
        assert [it.measured[0].n for it in report.results] == [3, 3]
        assert engine.generating == 0
        assert runner.running is None
        assert {*engine.loaded} == {"fast", "slow"}

    play(scene)


def test_whoever_runs_it_can_be_cancelled_at_any_moment():
    async def scene(engine, runner):
        told: list[Report] = []
        runner.on_end = told.append
        for number in range(0, 60, 3):
            work = asyncio.create_task(outcome(runner, short("fast", "slow", loads=True)))
            await asyncio.sleep(number / 5)
            work.cancel()
            await asyncio.wait([work])
            assert len(told) <= number // 3 + 1
            assert runner.running is None
        assert {it.ended for it in told} <= {"cancelled", "completed"}
        assert len({it.id for it in told}) == len(told)

    play(scene)


def test_the_report_that_is_told_is_the_one_that_is_returned():
    async def scene(engine, runner):
        told: list[Report] = []
        runner.on_end = told.append
        assert await outcome(runner, short()) is told[0]
        assert len(told) == 1

    play(scene)


def test_what_the_run_has_loaded_stays_unless_it_is_told_otherwise():
    async def scene(engine, runner):
        await runner.manager.load(LoadRequest("slow"))
        await outcome(runner, short("fast", "slow"))
        assert {*engine.loaded} == {"fast", "slow"}
        await runner.manager.unload("fast")
        await outcome(runner, short("fast", "slow", unload=True))
        assert {*engine.loaded} == {"slow"}

    play(scene)


def test_the_time_of_a_load_is_that_until_the_model_has_answered():
    async def scene(engine, runner):
        (result,) = (await outcome(runner, short())).results
        (load,) = result.loads
        assert load.seconds == pytest.approx(2.0, abs=0.2)
        assert load.cache == "unknown"
        assert (await outcome(runner, short())).results[0].loads == ()

    play(scene)


def test_loads_are_measured_twice_and_the_model_is_loaded_as_it_was():
    async def scene(engine, runner):
        await runner.manager.load(LoadRequest("fast", context_length=256, parallel=2))
        (result,) = (await outcome(runner, short(loads=True))).results
        assert len(result.loads) == 2
        assert engine.loaded["fast"].context_length == 256
        assert engine.loaded["fast"].parallel == 2
        assert result.subject.context_length == 256

    play(scene)


class Elsewhere(Engine):
    """Serves its models elsewhere, by three replicas of each."""

    def _info(self, name):
        info = super()._info(name)
        return evolve(info, remote=True, loaded=info.loaded and evolve(info.loaded, parallel=24))


def test_no_replica_is_asked_to_do_what_all_do_together_as_loads_are_measured():
    async def scene(engine, runner):
        await runner.manager.load(LoadRequest("fast", context_length=256))
        (result,) = (await outcome(runner, short(loads=True))).results
        assert len(result.loads) == 2
        assert (engine.loaded["fast"].context_length, engine.loaded["fast"].parallel) == (256, None)
        assert result.subject.parallel == 24

    play(scene, Elsewhere())


def test_a_model_that_was_loaded_is_loaded_again_when_measuring_its_loads_is_given_up():
    async def scene(engine, runner):
        await runner.manager.load(LoadRequest("fast", context_length=256))
        async with aclosing(runner.run(short(loads=True))) as news:
            async for each in news:
                if each.stage == "load":
                    break
            await asyncio.sleep(1.0)
            assert not engine.loaded
        assert engine.loaded["fast"].context_length == 256

    play(scene)


def test_loads_are_not_measured_while_somebody_has_an_answer_made():
    async def scene(engine, runner):
        await runner.manager.load(LoadRequest("fast"))
        engine.hold("first")
        other = asyncio.create_task(
            runner.manager.answer(
                GenerateRequest("fast", prompt="x", options=GenerateOptions(max_tokens=5))
            )
        )
        await engine.reached["first"].wait()
        engine.gates.clear()
        (result,) = (await outcome(runner, short(loads=True))).results
        assert result.loads == ()
        other.cancel()
        await asyncio.wait([other])

    play(scene)


def test_memory_is_told_with_its_peak():
    async def scene(engine, runner):
        (result,) = (await outcome(runner, short())).results
        assert result.memory.bytes == GIB
        assert result.memory.peak_bytes > GIB
        assert result.memory.available_fell_bytes == GIB

    play(scene, Engine(growing_bytes=1000))


def test_several_requests_at_once_are_made_at_once():
    async def scene(engine, runner):
        (result,) = (await outcome(runner, short(presets=("pp16+tg8c4",)))).results
        (figures,) = result.measured
        assert figures.n == 8
        assert figures.throughput_tokens_per_second == pytest.approx(4 * 8 / 0.086)

    play(scene)


def test_depth_is_read_before_and_is_the_beginning_of_what_is_measured():
    async def scene(engine, runner):
        await outcome(runner, short(presets=("pp16+tg8@d64",)))
        fill, asked = engine.asked[-2:]
        assert fill.options.max_tokens == 1
        assert len(fill.prompt.split()) == 64
        assert asked.prompt.startswith(f"{fill.prompt} ")
        assert len(asked.prompt.split()) == 80

    play(scene)


def test_a_workload_is_cut_to_the_context_and_says_so():
    async def scene(engine, runner):
        report = await outcome(runner, short(presets=("pp512+tg128",)))
        (figures,) = report.results[0].measured
        assert figures.workload.name == "pp214+tg128"
        assert "cut from pp512+tg128: the context is 384 tokens" in figures.workload.note
        assert figures.prompt_tokens + 128 <= 384

    play(scene, Engine(context_length=384))


def test_answers_that_were_not_made_alone_are_marked():
    async def scene(engine, runner):
        await runner.manager.load(LoadRequest("slow"))
        options = GenerateOptions(max_tokens=100)
        other = asyncio.create_task(
            runner.manager.answer(GenerateRequest("slow", prompt="x", options=options))
        )
        await asyncio.sleep(0)
        report = await outcome(runner, short("slow", "fast", rounds=10))
        assert any(it.disturbed for it in report.samples)
        assert not report.samples[-1].disturbed
        await other

    play(scene)


def test_goodput_counts_the_answers_that_keep_every_goal():
    async def scene(engine, runner):
        request = short("fast", "slow", goals=Goals(tpot_s=0.02))
        fast, slow = (await outcome(runner, request)).results
        assert fast.measured[0].goodput_per_second == pytest.approx(1 / 0.086)
        assert slow.measured[0].goodput_per_second == 0

    play(scene)


@define(eq=False)
class Steady:
    """Takes 10 W at work and 4 W at rest."""

    idle_watts: float | None = None
    samples: tuple = ({"power_w": 10.0},)
    rests: list[float] = field(factory=list)

    async def __aenter__(self):
        return self

    async def __aexit__(self, *error):
        return None

    def rested(self, start, end):
        self.rests.append(end - start)
        self.idle_watts = 4.0

    def span(self, start, end):
        return Energy(10 * (end - start), end - start, self.idle_watts, "test", 10.0, coarse=False)

    def use(self, spent):
        joules, tokens = sum(it[0].joules for it in spent), sum(it[2] for it in spent)
        return EnergyUse(10, 4, joules / tokens, None, 0, None, "test", 10, coarse=False)


def test_energy_is_that_of_each_request_and_of_a_batch_is_counted_once():
    async def scene(engine, runner):
        runner.meter = Steady
        report = await outcome(runner, short(presets=("pp16+tg8", "pp16+tg8c2"), energy=True))
        alone, together = report.results[0].measured
        assert alone.energy.gross_j_per_token == pytest.approx(10 * 0.086 / 8)
        assert together.energy.gross_j_per_token == pytest.approx(10 * 0.086 / 16)
        assert report.samples[-1].energy.idle_watts == 4.0
        assert report.devices == ({"power_w": 10.0},)

    play(scene)


def test_five_seconds_of_rest_come_before_a_run_that_measures_energy():
    async def scene(engine, runner):
        meter = Steady()
        runner.meter = lambda: meter
        await outcome(runner, short())
        assert meter.rests == []
        progress, _ = await everything(runner, short(energy=True))
        assert meter.rests == [pytest.approx(5.0)]
        assert progress[0].stage == "idle"

    play(scene)


@define(eq=False)
class TwoTasks:
    """An examination that is worth the length of its answers."""

    texts: list[str] = field(factory=list)

    @property
    def quality(self):
        score = float(sum(map(len, self.texts)))
        return Quality(score, None, {}, {}, "test") if self.texts else None

    async def run(self, ask, on_progress):
        for number in (1, 2):
            self.texts.append(await ask([Message("user", "do it")], "json", 3))
            on_progress(Progress("quality", "", number, 2))
        return self.quality


def test_quality_is_asked_of_each_model_without_chance():
    async def scene(engine, runner):
        runner.quality = TwoTasks
        progress, report = await everything(runner, short("fast", "slow", suite="quality"))
        assert [it.quality.score for it in report.results] == [12.0, 12.0]
        assert [it.measured for it in report.results] == [(), ()]
        assert engine.asked[0].options == GenerateOptions(0.0, seed=7, max_tokens=3)
        assert engine.asked[0].format == "json"
        told = [it for it in progress if it.stage == "quality" and it.total]
        assert [(it.model, it.completed) for it in told] == [
            ("here/fast", 1),
            ("here/fast", 2),
            ("here/slow", 1),
            ("here/slow", 2),
        ]

    play(scene)


def test_the_tasks_that_were_answered_count_when_a_run_is_given_up():
    async def scene(engine, runner):
        told: list[Report] = []
        runner.on_end, runner.quality = told.append, TwoTasks
        async with aclosing(runner.run(short(suite="quality"))) as news:
            async for each in news:
                if each.completed == 1:
                    break
        assert told[0].results[0].quality.score == 6.0

    play(scene)


def test_progress_says_what_is_done_and_of_how_much():
    async def scene(engine, runner):
        progress, _ = await everything(runner, short(verify=True))
        stages = [it.stage for it in progress]
        assert list(dict.fromkeys(stages)) == ["load", "warm-up", "canary", "round"]
        assert [(it.completed, it.total) for it in progress if it.stage == "round"] == [
            (0, 2),
            (1, 2),
        ]

    play(scene)


def test_an_engine_that_counts_nothing_gives_no_rates_and_no_guesses():
    async def scene(engine, runner):
        (result,) = (await outcome(runner, short())).results
        (figures,) = result.measured
        assert figures.n == 2
        assert figures.tpot_s is None
        assert figures.decode_tokens_per_second is None
        assert figures.throughput_tokens_per_second is None
        assert figures.completion_tokens is None
        assert figures.ttft_s is not None

    play(scene, Engine(says_nothing=True))


def told_of(report: Report) -> dict:
    """Return what a soak came to."""
    assert report.soak is not None
    return dict(report.soak)


def test_a_soak_asks_the_same_again_and_again_and_says_whether_it_stayed_the_same():
    async def scene(engine, runner):
        report = await outcome(runner, short(suite="soak", missions=12))
        assert report.results[0].measured[0].n == 12
        (told,) = told_of(report)["models"].values()
        assert (told["missions"], told["passed"], told["rate_ratio"]) == (12, True, 1.0)
        assert told_of(report)["passed"]

    play(scene)


def test_a_soak_of_an_engine_that_gets_slower_or_larger_fails_and_says_by_how_much():
    async def scene(engine, runner):
        report = await outcome(runner, short(suite="soak", missions=12))
        (told,) = told_of(report)["models"].values()
        assert not told["passed"]
        assert "of the speed of the first 5 missions" in told["verdict"]
        assert "its memory grew by" in told["verdict"]
        assert told["memory_bytes_per_mission"] == pytest.approx(GIB / 50)

    play(scene, Engine(fading=1.05, growing_bytes=GIB // 50))


@pytest.mark.parametrize(
    ("limit", "why"),
    [
        (Limit(answer_over_s=0.1), "an answer took 0."),
        (Limit(memory_over_bytes=1.2 * GIB), "it takes 12"),
        (Limit(rate_under_tokens_per_second=80), "it writes 7"),
    ],
)
def test_a_soak_ends_when_a_limit_is_broken_and_says_which(limit, why):
    async def scene(engine, runner):
        report = await outcome(runner, short(suite="soak", missions=50, limit=limit))
        assert report.ended.startswith(f"here/fast: {why}")
        assert 1 <= told_of(report)["models"]["here/fast"]["missions"] < 50
        assert not told_of(report)["passed"]

    play(scene, Engine(fading=1.02, growing_bytes=GIB // 50))


def test_a_run_that_can_be_trusted_says_so():
    async def scene(engine, runner):
        report = await outcome(runner, short("fast", "slow", rounds=5, verify=True))
        found = report.verification
        assert found.trusted, found.verdict
        assert found.before == found.after
        assert found.before["here/slow"] == pytest.approx(100 / 3)
        canaries = [it for it in report.samples if it.workload.startswith("canary")]
        assert len(canaries) == 20

    play(scene)


def test_prompts_that_were_cached_are_not_to_be_trusted():
    async def scene(engine, runner):
        request = short(rounds=5, verify=True, presets=("pp64+tg8",))
        found = (await outcome(runner, request)).verification
        assert [it.name for it in found.checks if it.passed is False] == ["prompts not cached"]
        assert not found.trusted

    play(scene, Engine(cached=60))


def test_an_engine_that_gets_slower_meanwhile_is_not_to_be_trusted():
    async def scene(engine, runner):
        found = (await outcome(runner, short(rounds=5, verify=True))).verification
        failed = {it.name for it in found.checks if it.passed is False}
        assert "same speed before and after" in failed
        assert found.after["here/fast"] < found.before["here/fast"]

    play(scene, Engine(fading=1.02))
