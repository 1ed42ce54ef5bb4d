"""Traffic for two models that do not fit together: both are answered, and the machine does not
spend its time on loading."""

import asyncio
from collections.abc import Collection
from random import Random

import pytest
from attrs import define, field

import orac_core
from orac_core import GenerateRequest, Limits, Message, ModelManager
from orac_core.manifest import parse
from orac_core.serving.pool import LONGEST_GATHER_S
from tests.scripted import plugins
from tests.simulation import loop
from tests.simulation.engine import SimulatedEngine
from tests.simulation.faults import Faults
from tests.simulation.lives import SimulatedModel
from tests.simulation.loop import running
from tests.simulation.machine import MB, SimulatedMachine, SimulatedSensors

HOUR_S = 3600.0
CLIENTS = 4
"""So many for each model."""

LONGEST_ANSWER_S = 2.0

QUICK = SimulatedModel("quick", 3000 * MB, load_s=4)
SLOW = SimulatedModel("slow", 3200 * MB, load_s=18)
HUGE = SimulatedModel("huge", 3300 * MB, load_s=90)


@define(eq=False)
class Traffic:
    """Clients that ask one of two models after the other, or always the same.

    Attributes:
        models: The two.
        random: Where all chance comes from.
        waits: How long each request took.
        asked: How many there were.
    """

    models: Collection[SimulatedModel]
    random: Random
    waits: list[float] = field(factory=list)
    asked: int = 0
    engine: SimulatedEngine = field(init=False)
    trace: list[str] = field(factory=list)

    def __attrs_post_init__(self) -> None:
        known = {each.name: each for each in self.models}
        faults = Faults(self.random, on=False)
        machine = SimulatedMachine(5000 * MB)
        self.engine = SimulatedEngine("here", machine, faults, known, self.trace.append)

    @property
    def loads(self) -> int:
        return sum(line.endswith(" loaded") for line in self.trace)

    async def run(self, *, in_turn: bool) -> None:
        async with orac_core.open(
            parse({"backends": {"here": {"kind": "scripted"}}}, "test"),
            plugins=plugins(self.engine),
            environ={},
            sensors=SimulatedSensors(machine=self.engine.machine),
        ) as manager:
            names = [each.name for each in self.models]
            ways = [names, names[::-1]] if in_turn else [names[:1], names[1:]]
            await asyncio.gather(*(self._ask_on(manager, way) for way in ways * CLIENTS))

    async def _ask_on(self, manager: ModelManager, names: list[str]) -> None:
        begun = running().time()
        while running().time() - begun < HOUR_S:
            for name in names:
                await asyncio.sleep(self.random.expovariate(2))
                await self._ask(manager, name)

    async def _ask(self, manager: ModelManager, name: str) -> None:
        asked_at, messages = running().time(), (Message("user", "hello"),)
        self.asked += 1
        answer = await manager.answer(GenerateRequest(name, messages=messages))
        assert answer.finish_reason == "stop"
        self.waits.append(running().time() - asked_at)


@pytest.mark.parametrize("in_turn", [False, True], ids=["side by side", "in turn"])
@pytest.mark.parametrize("models", [(QUICK, SLOW), (SLOW, HUGE)], ids=["slow", "huge"])
def test_alternating_models_are_gathered_and_all_requests_are_answered(models, in_turn):
    traffic = Traffic(models, Random(7))
    loop.run(lambda: traffic.run(in_turn=in_turn))
    most_s = max(traffic.waits)
    print(f"{traffic.asked} requests, {traffic.loads} loads, {most_s:.0f} s at most")  # noqa: T201
    engine = traffic.engine
    assert not engine.sins + engine.machine.sins
    assert len(traffic.waits) == traffic.asked
    assert max(traffic.waits) < longest_wait_s(models)
    assert traffic.loads <= 2 + 2 * HOUR_S / round_s(models, in_turn=in_turn)


def stay_s(model: SimulatedModel) -> float:
    """Return how long a model that is asked all the time stays when another is wanted."""
    return min(LONGEST_GATHER_S, max(Limits().gather_s, 2 * model.load_s))


def round_s(models: Collection[SimulatedModel], *, in_turn: bool) -> float:
    """Return the least time in which each of *models* has its turn.

    Clients that ask the one only after the other all wait for the other at last: none stays.
    """
    return sum(each.load_s + (0 if in_turn else stay_s(each)) for each in models)


def longest_wait_s(models: Collection[SimulatedModel]) -> float:
    """Return the longest wait: one stays, its answers end, then both are loaded in turn."""
    moments_s = 10.0
    return sum(stay_s(each) + each.load_s + LONGEST_ANSWER_S for each in models) + moments_s
