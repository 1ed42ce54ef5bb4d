"""Baselines from canaries, slowdowns and their causes, also over a restart. Virtual time."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

from attrs import define, field

import orac_core
from orac_core import (
    GenerateOptions,
    GenerateRequest,
    InstanceHealth,
    LoadRequest,
    Message,
    ModelManager,
    StateDirectory,
    hookimpl,
)
from orac_core.devices import Device, Machine
from orac_core.events import Event
from orac_core.manifest import parse
from tests.core.benchmark.bench import Engine
from tests.scripted import plugins
from tests.simulation import loop
from tests.simulation.machine import SimulatedSensors

KEY = "here", "fast"
USUAL = 100.0
"""Tokens a second of the engine when all is well."""


@define(eq=False)
class Sensors(SimulatedSensors):
    """A board with a power mode that a test decides."""

    power_mode: list[str] = field(factory=lambda: ["25W"])

    async def look(self) -> Machine:
        machine = await super().look()
        return Machine(machine.memory, device=Device(power_mode=self.power_mode[-1]))


@define(eq=False)
class Updated(Engine):
    """An engine of a version that a test decides."""

    version: str = "1"

    @hookimpl
    async def health(self) -> InstanceHealth:
        return InstanceHealth(usable=True, version=self.version)


@define(eq=False)
class Robot:
    """What a scene happens on: it stays over restarts."""

    folder: Path
    engine: Updated = field(factory=Updated)
    power_mode: list[str] = field(factory=lambda: ["25W"])
    heard: list[Event] = field(factory=list)

    def run(self, scene: Callable[[ModelManager], Awaitable[None]], **models) -> None:
        """Start ORAC, play the scene, and stop ORAC; models that were loaded are gone then."""

        async def on_stage() -> None:
            data = {"backends": {"here": {"kind": "scripted"}}, "models": models}
            sensors = Sensors(machine=self.engine.machine, power_mode=self.power_mode)
            async with orac_core.open(
                parse(data, "test"),
                plugins=plugins(self.engine),
                environ={},
                sensors=sensors,
                state=StateDirectory(self.folder),
            ) as manager:
                with manager.events.listening(self.heard.append):
                    await scene(manager)
            for task in asyncio.all_tasks() - {asyncio.current_task()}:
                raise AssertionError(f"{task.get_name()} is left")

        loop.run(on_stage)
        self.engine.loaded.clear()
        self.engine.machine.held.clear()

    def told(self, kind: str) -> list[dict]:
        return [dict(event.data) for event in self.heard if event.kind == kind]


async def load(manager: ModelManager) -> None:
    await manager.load(LoadRequest("fast"))


async def rested(manager: ModelManager) -> None:
    """Load the model and leave it alone for a minute."""
    await load(manager)
    await asyncio.sleep(60)


async def ask(manager: ModelManager, times: int = 1) -> None:
    for _ in range(times):
        options = GenerateOptions(max_tokens=64)
        await manager.answer(
            GenerateRequest("fast", messages=(Message("user", "hi"),), options=options)
        )


def baseline(manager: ModelManager):
    witness = manager.watch.witness(KEY)
    return witness.pace.baseline(witness.conditions)


def test_five_canaries_after_a_load_make_the_baseline(tmp_path):
    async def scene(manager):
        await rested(manager)
        assert baseline(manager).tokens_per_second == USUAL
        assert (baseline(manager).n, baseline(manager).provisional) == (5, False)

    robot = Robot(tmp_path)
    robot.run(scene)
    assert [each["tokens_per_second"] for each in robot.told("baseline")] == [USUAL]


def test_a_second_load_under_the_same_conditions_asks_for_no_more(tmp_path):
    async def scene(manager):
        await rested(manager)
        asked = len(robot.engine.asked)
        await manager.unload("fast")
        await rested(manager)
        assert len(robot.engine.asked) == asked

    robot = Robot(tmp_path)
    robot.run(scene)


def test_where_the_manifest_wants_none_none_is_asked(tmp_path):
    async def scene(manager):
        await rested(manager)
        assert baseline(manager) is None
        assert robot.engine.asked == []

    robot = Robot(tmp_path)
    robot.run(scene, canaries=False)


def test_a_model_that_is_slow_after_a_restart_is_found_by_its_first_answers(tmp_path):
    async def slow(manager):
        robot.engine.slow["fast"] = 8.0
        await load(manager)
        await ask(manager, times=5)
        await asyncio.sleep(1)
        (served, _) = await manager.models()
        assert "tokens/s where it had 100.0 (13%)" in served.info.warning

    robot = Robot(tmp_path)
    robot.run(rested)
    robot.run(slow)
    (finding,) = robot.told("finding")
    assert finding["verdict"] == "degraded"
    assert 0.12 < finding["factor"] < 0.14


def test_what_was_known_at_the_baseline_is_kept_for_the_diagnosis(tmp_path):
    async def slow(manager):
        robot.engine.slow["fast"] = 2.0
        await load(manager)
        await ask(manager, times=5)
        await asyncio.sleep(1)
        found = manager.watch.witness(KEY).diagnosis.likeliest
        assert found.evidence[0].startswith("nothing that is known of the machine has changed")

    robot = Robot(tmp_path)
    robot.run(rested)
    robot.run(slow)
    (finding,) = robot.told("finding")
    assert [each["cause"] for each in finding["causes"]] == ["unknown"]


def test_an_update_of_the_engine_that_costs_speed_is_told(tmp_path):
    robot = Robot(tmp_path)
    robot.run(rested)
    robot.engine.version = "2"
    robot.engine.slow["fast"] = 2.0
    robot.run(rested)
    (finding,) = robot.told("finding")
    assert (finding["verdict"], finding["factor"]) == ("slower", 0.5)
    assert [each["cause"] for each in finding["causes"]] == ["engine_changed"]


def test_a_lower_power_mode_that_costs_speed_is_told(tmp_path):
    robot = Robot(tmp_path)
    robot.run(rested)
    robot.power_mode.append("15W")
    robot.engine.slow["fast"] = 1.6
    robot.run(rested)
    (finding,) = robot.told("finding")
    assert [each["cause"] for each in finding["causes"]] == ["power_mode"]


def test_an_update_that_costs_nothing_is_not_worth_a_word(tmp_path):
    robot = Robot(tmp_path)
    robot.run(rested)
    robot.engine.version = "2"
    robot.run(rested)
    assert robot.told("finding") == []
    assert len(robot.told("baseline")) == 2


def test_a_model_that_recovers_is_told_once(tmp_path):
    async def scene(manager):
        await rested(manager)
        robot.engine.slow["fast"] = 4.0
        await ask(manager, times=5)
        await asyncio.sleep(1)
        robot.engine.slow["fast"] = 1.0
        await ask(manager, times=8)

    robot = Robot(tmp_path)
    robot.run(scene)
    assert [each["verdict"] for each in robot.told("finding")] == ["degraded", "recovered"]


def test_a_baseline_of_a_slow_model_that_is_forgotten_gives_way_to_a_new_one(tmp_path):
    async def slow_from_the_first(manager):
        robot.engine.slow["fast"] = 4.0
        await rested(manager)
        assert baseline(manager).tokens_per_second == USUAL / 4

    async def forgotten(manager):
        robot.engine.slow["fast"] = 1.0
        await load(manager)
        await manager.clinic.forget("fast")
        assert baseline(manager) is None
        await asyncio.sleep(60)
        assert baseline(manager).tokens_per_second == USUAL

    async def later(manager):
        await load(manager)
        assert baseline(manager).tokens_per_second == USUAL

    robot = Robot(tmp_path)
    robot.run(slow_from_the_first)
    robot.run(forgotten)
    robot.run(later)


def test_a_model_that_is_not_loaded_can_be_forgotten(tmp_path):
    async def forgotten(manager):
        await manager.clinic.forget("fast")
        assert baseline(manager) is None
        assert robot.engine.asked == asked

    robot = Robot(tmp_path)
    robot.run(rested)
    asked = list(robot.engine.asked)
    robot.run(forgotten)


def test_a_damaged_document_is_as_good_as_none(tmp_path):
    async def scene(manager):
        await rested(manager)
        assert baseline(manager).tokens_per_second == USUAL

    robot = Robot(tmp_path)
    StateDirectory(tmp_path).write("baselines", {"here/fast": {"pace": "?", "then": 5}, "x": 1})
    robot.run(scene)
