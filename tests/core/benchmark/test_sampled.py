"""The meter of a real machine, with sensors whose power a test decides, on virtual time."""

import asyncio
from collections.abc import Callable

import pytest
from attrs import define, field

from orac_core.benchmark.sampled import SampledMeter, thinned
from orac_core.devices import DeviceSample, Sampler
from tests.core.benchmark.bench import WALL, outcome, play, short
from tests.simulation import loop

IDLE_W, BUSY_W = 4.0, 10.0


@define(eq=False)
class Board:
    """Says how much a board takes, as *watts* has it; None for a board without a sensor."""

    watts: Callable[[], float | None] = field(default=lambda: BUSY_W)

    async def sample(self):
        at, watts = now(), self.watts()
        return DeviceSample(at, hottest_c=60.0, power_w={} if watts is None else {"VDD_IN": watts})


def now():
    return asyncio.get_running_loop().time()


def meter(board):
    return SampledMeter(Sampler(board, clock=now), wall=lambda: WALL + now())


def test_the_energy_of_a_span_is_its_power_times_its_length():
    async def scene():
        async with meter(Board()) as watching:
            await asyncio.sleep(1)
            start = now()
            await asyncio.sleep(2)
            found = watching.span(start, now())
        assert found.joules == pytest.approx(2 * BUSY_W)
        assert found.seconds == pytest.approx(2)
        assert (found.source, found.idle_watts) == ("VDD_IN", None)
        assert found.hertz == pytest.approx(20, rel=0.1)
        assert not found.coarse

    loop.run(scene)


def test_what_the_machine_takes_at_rest_is_known_after_the_rest():
    async def scene():
        power = {"watts": IDLE_W}
        async with meter(Board(lambda: power["watts"])) as watching:
            start = now()
            await asyncio.sleep(5)
            watching.rested(start, now())
            power["watts"] = BUSY_W
            start = now()
            await asyncio.sleep(60)
            found = watching.span(start, now())
        assert watching.idle_watts == IDLE_W
        assert found.idle_watts == IDLE_W
        assert found.joules == pytest.approx(60 * BUSY_W, rel=0.01)
        used = watching.use([(found, 10, 20)])
        assert used.gross_j_per_token == pytest.approx(30, rel=0.01)
        assert used.net_j_per_token == pytest.approx(18, rel=0.01)

    loop.run(scene)


def test_without_a_sensor_there_is_no_energy():
    async def scene():
        async with meter(Board(lambda: None)) as watching:
            start = now()
            await asyncio.sleep(1)
            watching.rested(start, now())
            assert watching.span(start, now()) is None
        assert watching.idle_watts is None
        assert {each["power_w"] for each in watching.samples} == {None}

    loop.run(scene)


def test_the_report_gets_a_sample_each_second_with_the_time_of_day():
    async def scene():
        async with meter(Board()) as watching:
            began = WALL + now()
            await asyncio.sleep(10)
        told = watching.samples
        assert 10 <= len(told) <= 11
        assert told[0]["at"] == pytest.approx(began)
        assert told[-1]["at"] == pytest.approx(began + 10, abs=1)
        assert (told[0]["power_w"], told[0]["power_source"]) == (BUSY_W, "VDD_IN")
        assert told[0]["hottest_c"] == 60.0
        assert told[0]["throttling"] is None

    loop.run(scene)


def test_thinned_samples_are_so_far_apart_and_begin_with_the_first():
    found = [each.at for each in thinned([DeviceSample(at / 4) for at in range(20)], 1.0)]
    assert found == [0.0, 1.0, 2.0, 3.0, 4.0]
    assert thinned([], 1.0) == []


def test_a_run_that_measures_energy_tells_that_of_each_token():
    async def scene(engine, runner):
        runner.meter = lambda: meter(Board())
        report = await outcome(runner, short(presets=("pp16+tg64",), energy=True))
        used = report.results[0].headline.energy
        seconds = report.results[0].headline.latency_s.p50
        assert used.gross_j_per_token == pytest.approx(BUSY_W * seconds / 64, rel=0.01)
        assert (used.idle_watts, used.net_j_per_token) == (BUSY_W, pytest.approx(0, abs=0.01))
        assert {each["power_w"] for each in report.devices} == {BUSY_W}

    play(scene)


def test_a_run_that_does_not_asks_no_sensor():
    async def scene(engine, runner):
        def refuse():
            raise AssertionError("a meter was made")

        runner.meter = refuse
        report = await outcome(runner, short())
        assert (report.devices, report.results[0].headline.energy) == ((), None)

    play(scene)
