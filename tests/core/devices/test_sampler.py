"""Watching a machine at its own pace, without a real second."""

import asyncio
import sys
from itertools import pairwise
from types import SimpleNamespace

import pytest
from attrs import define, field

from orac_core.devices import DeviceSample, Sampler, Sensors, curve
from orac_core.devices.sampler import FAST_PERIOD_S, KEPT
from orac_core.events import Event, Events
from tests.core.devices.boards import build, described
from tests.core.devices.test_jetson import fresh, orin
from tests.core.devices.test_nvidia import RTX, FakeNvml
from tests.waiting import until


@define(eq=False)
class Time:
    """A clock that goes on when a test says so."""

    now: float = 100.0
    waiting: list = field(factory=list)

    def __call__(self):
        return self.now

    async def sleep(self, seconds):
        woken = asyncio.get_running_loop().create_future()
        self.waiting.append((self.now + seconds, woken))
        await woken

    async def pass_by(self, seconds):
        """Let *seconds* pass; who wakes meanwhile does all it does before time goes on."""
        end = self.now + seconds
        while (due := self.next()) <= end + 1e-9:
            self.now = max(self.now, due)
            now, self.waiting = self.waiting, []
            for at, woken in now:
                if at <= self.now and not woken.done():
                    woken.set_result(None)
                elif not woken.done():
                    self.waiting.append((at, woken))
            for _ in range(10):
                await asyncio.sleep(0)
        self.now = end

    def asleep(self):
        """Whether anybody waits."""
        return self.next() < float("inf")

    def next(self):
        return min((at for at, woken in self.waiting if not woken.done()), default=float("inf"))


@define(eq=False)
class Fake:
    """Sensors that count how often they are asked; *took_s* pass meanwhile."""

    time: Time
    took_s: float = 0.0
    asked: int = 0

    async def sample(self):
        self.asked += 1
        at = self.time.now
        self.time.now += self.took_s
        return DeviceSample(at, power_w={"VDD_IN": float(self.asked)})


@pytest.fixture
def time():
    return Time()


@pytest.fixture
def sensors(time):
    return Fake(time)


@pytest.fixture
def sampler(sensors, time):
    return Sampler(sensors, clock=time, sleep=time.sleep)


async def test_once_a_second_while_entered(sampler, sensors, time):
    async with sampler:
        await until(time.asleep)
        await time.pass_by(60)
        assert [each.at for each in sampler.samples] == [100.0 + number for number in range(61)]
    assert all(woken.cancelled() for _, woken in time.waiting)


async def test_the_last_ten_minutes_are_kept(sampler, time):
    async with sampler:
        await until(time.asleep)
        await time.pass_by(2 * KEPT)
    assert len(sampler.samples) == KEPT
    assert sampler.samples[-1].at == 100.0 + 2 * KEPT
    assert sampler.latest is sampler.samples[-1]


async def test_while_somebody_measures_it_is_20_times_a_second(sampler, sensors, time):
    async with sampler.fast() as recording:
        await until(time.asleep)
        await time.pass_by(2.0)
    moments = [each.at for each in recording.samples]
    gaps = [later - earlier for earlier, later in pairwise(moments)]
    assert (moments[0], moments[-1]) == (100.0, 102.0)
    assert max(gaps) == pytest.approx(FAST_PERIOD_S)
    asked = sensors.asked
    await time.pass_by(10)
    assert sensors.asked == asked


async def test_two_who_measure_share_the_samples_and_each_has_its_own_span(sampler, time):
    async with sampler.fast() as long:
        await until(time.asleep)
        await time.pass_by(1.0)
        async with sampler.fast() as short:
            await time.pass_by(1.0)
        await time.pass_by(1.0)
    assert (long.samples[0].at, long.samples[-1].at) == (100.0, 103.0)
    assert (short.samples[0].at, short.samples[-1].at) == (101.0, 102.0)


async def test_it_measures_again_after_it_has_measured(sampler, time):
    for _ in range(3):
        async with sampler.fast() as recording:
            await until(time.asleep)
            await time.pass_by(1.0)
        assert len(recording.samples) >= 20


async def test_sensors_slower_than_the_pace_are_asked_as_fast_as_they_answer(
    sampler, sensors, time
):
    sensors.took_s = 0.3
    async with sampler.fast() as recording:
        await until(lambda: sensors.asked >= 2)
        await time.pass_by(3.0)
    moments = [each.at for each in recording.samples]
    gaps = [later - earlier for earlier, later in pairwise(moments)]
    assert gaps[:-1] == pytest.approx([0.3] * (len(gaps) - 1))


async def test_each_second_is_told_when_anybody_listens(sensors, time):
    events = Events()
    heard: list[Event] = []
    async with Sampler(sensors, events, time, time.sleep):
        await until(time.asleep)
        with events.listening(heard.append):
            await time.pass_by(3)
    assert [each.kind for each in heard] == ["sample"] * 3
    assert heard[0].data["power"] == {"watts": 2.0, "source": "VDD_IN"}
    assert "at" not in heard[0].data


async def test_a_measurement_that_is_cancelled_leaves_nothing_running(sampler, sensors, time):
    async def measure():
        async with sampler.fast():
            await asyncio.Event().wait()

    measuring = asyncio.create_task(measure())
    await until(time.asleep)
    measuring.cancel()
    await asyncio.wait([measuring])
    asked = sensors.asked
    await time.pass_by(5)
    assert sensors.asked == asked


@pytest.fixture
def nothing_of_this_machine(monkeypatch):
    for name in ("jtop", "pynvml"):
        monkeypatch.setitem(sys.modules, name, None)


@pytest.mark.usefixtures("nothing_of_this_machine")
async def test_jtop_is_asked_once_a_second_and_what_it_repeats_is_no_measurement(
    tmp_path, monkeypatch, time
):
    jtop = fresh()
    jtop.said = orin(power={"tot": {"name": "VDD_IN", "power": 5000}, "rail": {}})
    monkeypatch.setitem(sys.modules, "jtop", SimpleNamespace(jtop=jtop))
    samples = []
    async with Sensors(tmp_path, 5.0, time) as sensors:
        for _ in range(31):
            samples.append(await sensors.sample())
            time.now += 0.1
    assert {each.power.watts for each in samples} == {5.0}
    assert len(curve(samples).points) == 3


@pytest.mark.usefixtures("nothing_of_this_machine")
async def test_a_board_that_measures_itself_is_not_asked_through_jtop(tmp_path, monkeypatch):
    jtop = fresh()
    monkeypatch.setitem(sys.modules, "jtop", SimpleNamespace(jtop=jtop))
    async with Sensors(build(tmp_path, described("orin-nano")["files"]), 5.0) as sensors:
        await sensors.sample()
        assert jtop.open_now == 0


@pytest.mark.usefixtures("nothing_of_this_machine")
async def test_the_power_of_a_card_is_a_source_of_its_own(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pynvml", FakeNvml(dict(RTX)))
    async with Sensors(tmp_path, 5.0) as sensors:
        sample = await sensors.sample()
    assert sample.power_w == {"NVML": 215.4}
    assert (sample.hottest, sample.hottest_c) == ("GPU", 61.0)


def test_a_curve_is_of_the_source_that_most_samples_have():
    samples = [DeviceSample(0.0, power_w={"NVML": 9.0})]
    samples += [DeviceSample(at, power_w={"VDD_IN": at, "NVML": 9.0}) for at in (1.0, 2.0)]
    assert curve(samples).source == "VDD_IN"
    assert curve(samples).points == ((1.0, 1.0), (2.0, 2.0))
    assert curve([DeviceSample(0.0)]) is None
