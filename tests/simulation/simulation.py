"""Thousands of steps in the life of a manager, drawn from a seed, against what must always hold."""

import asyncio
import hashlib
import math
from collections import Counter
from collections.abc import Callable, Iterable
from functools import partial
from random import Random

from attrs import define, field

import orac_core
from orac_core import Limits, LoadRequest, ModelManager, ModelState, ServedModel
from orac_core.manifest import parse
from orac_core.serving.breaker import Breaker
from tests.scripted import plugins
from tests.simulation import callers
from tests.simulation.callers import Caller
from tests.simulation.cast import CAST, TOTAL_BYTES, manifest
from tests.simulation.engine import SimulatedEngine
from tests.simulation.faults import Faults
from tests.simulation.judge import CourtOfMemory
from tests.simulation.loop import running, waits_at
from tests.simulation.machine import SimulatedMachine, SimulatedSensors

LIMITS = Limits(max_concurrency=3, max_queue=6, deadline_s=1800, drain_s=20)

WEIGHTS = {
    "prompt": 40,
    "wait": 30,
    "load": 6,
    "models": 6,
    "plan": 3,
    "fault": 5,
    "unload": 4,
    "force": 3,
    "health": 3,
    "leave": 3,
}
"""How often each step is taken."""

KEEPS_S = (0.0, 5.0, 90.0, math.inf)
"""How long somebody may want a model to stay."""

KEPT = tuple(each.name for cast in CAST.values() for each in cast if each.kept)
"""Models that never make room."""

REST_S = 4 * 3600.0
"""Time after which all that was ever asked must have ended: longer than every limit."""

TURNS_TO_END = 20
"""Turns of the loop, and no time, that all have to end after the manager was closed."""

IN_FLIGHT = (ModelState.STARTING, ModelState.STOPPING)


@define(eq=False)
class Simulation:
    """One run.

    Attributes:
        seed: What everything is drawn from.
        steps: How many.
        total_bytes: Memory of the machine.
        trace: What happened, and when.
        callers: Those who have not been judged yet.
        ends: How often each kind of request ended in which way.
        wrongs: What must not be.
    """

    seed: int
    steps: int
    total_bytes: int = TOTAL_BYTES
    trace: list[str] = field(factory=list)
    callers: list[Caller] = field(factory=list)
    ends: Counter[str] = field(factory=Counter)
    wrongs: list[str] = field(factory=list)
    random: Random = field(init=False)
    faults: Faults = field(init=False)
    machine: SimulatedMachine = field(init=False)
    engines: dict[str, SimulatedEngine] = field(init=False)
    court: CourtOfMemory = field(init=False)
    manager: ModelManager = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.random = Random(self.seed)
        self.faults = Faults(Random(f"faults of {self.seed}"))
        self.machine = SimulatedMachine(self.total_bytes)
        self.engines = {
            name: SimulatedEngine(
                name, self.machine, self.faults, {each.name: each for each in cast}, self.note
            )
            for name, cast in CAST.items()
        }
        self.court = CourtOfMemory(self.engines, lambda: running().time())
        for engine in self.engines.values():
            engine.judge = self.court

    @property
    def digest(self) -> str:
        """Tells two traces apart."""
        return hashlib.sha256("\n".join(self.trace).encode()).hexdigest()

    def note(self, what: str) -> None:
        self.trace.append(f"{running().time():.6f} {what}")

    async def run(self, *, calm: bool = True) -> None:
        """Take all steps, come to rest if it shall be *calm*, and close the manager.

        Raises:
            AssertionError: when something was wrong; its notes hold the seed and what went before.
        """
        try:
            await self._live(calm=calm)
        except BaseException as error:
            error.add_note(f"seed {self.seed}; ORAC_SEED={self.seed} in the environment repeats it")
            error.add_note("\n".join(self.trace[-60:]))
            raise

    async def _live(self, *, calm: bool) -> None:
        async with orac_core.open(
            parse(manifest(), "test"),
            plugins=plugins(*self.engines.values()),
            limits=LIMITS,
            environ={},
            sensors=SimulatedSensors(machine=self.machine),
        ) as self.manager:
            self._set_clocks()
            self._expect_the_start()
            await self._take_steps()
            if calm:
                await self._come_to_rest()
            self._ask_a_last_time()
        await self._see_nothing_left()

    def _set_clocks(self) -> None:
        self.manager.wall = running().time
        for name in CAST:
            breaker = Breaker(name, clock=running().time)
            self.manager._fleet.engines._breakers[name] = breaker

    def _expect_the_start(self) -> None:
        for name in sorted(self.manager.start.pending):
            self._expect(Caller("start", name).start(self._started))

    async def _started(self) -> str:
        await self.manager.start.ended()
        return "ended"

    async def _take_steps(self) -> None:
        kinds, weights = tuple(WEIGHTS), tuple(WEIGHTS.values())
        for _ in range(self.steps):
            await self._step(self.random.choices(kinds, weights)[0])
            self._check()

    async def _step(self, kind: str) -> None:
        if kind == "wait":
            await asyncio.sleep(self._while())
        elif kind == "fault":
            self.random.choice(self._misfortunes())()
        elif kind == "leave":
            self._let_somebody_leave()
        else:
            self._call(kind)

    def _while(self) -> float:
        if self.random.random() < 0.01:
            return self.random.uniform(600, 7200)
        return self.random.expovariate(1 / 8)

    def _call(self, kind: str) -> None:
        name = self._name()
        if kind == "prompt":
            caller = self._prompt(name)
        elif kind in ("load", "plan"):
            caller = self._load_or_plan(kind, name)
        elif kind in ("unload", "force"):
            work = partial(self._unload, name, force=kind == "force")
            caller = Caller(kind, name).start(work)
        else:
            caller = Caller(kind, "all").start(self._look if kind == "models" else self._ask_health)
        self._expect(caller)

    def _prompt(self, name: str) -> Caller:
        draw = self.random.random
        deadline_s = self.random.uniform(0.01, 60) if draw() < 0.5 else None
        pieces = self.random.randrange(1, 6) if draw() < 0.2 else None
        keep_s = self.random.choice(KEEPS_S) if draw() < 0.05 else None
        return callers.ask(self.manager, name, deadline_s, pieces, keep_s)

    def _load_or_plan(self, kind: str, name: str) -> Caller:
        context = self.random.choice((None, None, 512, 1024))
        keep_s = self.random.choice(KEEPS_S) if self.random.random() < 0.2 else None
        force = self.random.random() < 0.1
        request = LoadRequest(name, context, keep_alive_s=keep_s, force=force)
        if kind == "load":
            return callers.load(self.manager, request)
        return callers.plan(self.manager, request, KEPT)

    def _name(self) -> str:
        if self.random.random() < 0.01:
            return "nobody"
        instance = self.random.choice(tuple(CAST))
        name = self.random.choice(CAST[instance]).name
        return f"{instance}/{name}" if self.random.random() < 0.3 else name

    def _expect(self, caller: Caller) -> None:
        self.note(f"asked: {caller}")
        self.callers.append(caller)
        self.court.hear(caller)

    def _let_somebody_leave(self) -> None:
        waiting = [
            it for it in self.callers if it.begun and it.what != "start" and not it.task.done()
        ]
        if waiting:
            self.random.choice(waiting).task.cancel()

    def _misfortunes(self) -> list[Callable[[], None]]:
        return [
            *(self._lose_a_model, self._lose_an_engine, self._others_load),
            *(self._others_take, self._others_give, self._others_give),
        ]

    def _lose_a_model(self) -> None:
        engine = self.random.choice(tuple(self.engines.values()))
        idle = [model for model, life in engine.lives.items() if not life.answers]
        if idle:
            why = self.random.choice(("crashed", "unloaded by the engine itself"))
            engine.vanish(self.random.choice(idle), why)

    def _lose_an_engine(self) -> None:
        engine = self.random.choice(tuple(self.engines.values()))
        if not engine.down:
            self.note(f"{engine.name} goes down")
            engine.fall()
            running().call_later(self.random.uniform(1, 60), self._mend, engine)

    def _mend(self, engine: SimulatedEngine) -> None:
        self.note(f"{engine.name} is back")
        engine.down = False

    def _others_take(self) -> None:
        share = self.random.uniform(0, 0.7)
        self.machine.taken_by_others(int(share * max(0, self.machine.available_bytes)))

    def _others_load(self) -> None:
        engine = self.random.choice(tuple(self.engines.values()))
        model = self.random.choice(tuple(engine.known.values()))
        absent = model.name in engine.seen_gone and not engine.busy_with(model.name)
        if absent and not engine.down and model.need_bytes <= self.machine.available_bytes:
            engine.adopt(model.name)

    def _others_give(self) -> None:
        self.machine.others_bytes = int(self.random.random() * self.machine.others_bytes)

    async def _look(self) -> str:
        """Compare what the manager lists with what is true, where nothing happened meanwhile."""
        before = {name: engine.events.copy() for name, engine in self.engines.items()}
        for served in await self.manager.models():
            engine = self.engines[served.instance]
            if before[served.instance][served.info.id] == engine.events[served.info.id]:
                self._compare(served, engine)
                if not self._wanted(served.info.id):
                    self.court.see(served, engine)
        return "listed"

    def _compare(self, served: ServedModel, engine: SimulatedEngine) -> None:
        state, truth, where = served.info.state, engine.truth(served.info.id), served.info.id
        if state in IN_FLIGHT:
            if not self._wanted(where) and not engine.busy_with(where):
                self.wrongs.append(f"{where} is said to be {state}, and nobody is at it")
        elif (state is ModelState.READY) != (truth is ModelState.READY):
            self.wrongs.append(f"{where} is said to be {state} and is {truth}")

    def _wanted(self, model: str) -> bool:
        return any(each.model == model and not each.task.done() for each in self.callers)

    async def _unload(self, name: str, *, force: bool) -> str:
        asked_at = running().time()
        done = await self.manager.unload(name, force=force)
        life = self.engines[done.instance].lives.get(done.model)
        if life and life.begun_at < asked_at:
            self.wrongs.append(f"{done.model} is said to be unloaded and is in memory")
        return "unloaded"

    async def _ask_health(self) -> str:
        return (await self.manager.health()).status

    def _check(self) -> None:
        for caller in self.callers:
            if caller.task.done():
                self._judge(caller)
        self.callers = [each for each in self.callers if not each.task.done()]
        sins = [sin for engine in self.engines.values() for sin in engine.sins]
        none([*sins, *self.machine.sins, *self.wrongs, *self.court.wrongs, *running().complaints])

    def _judge(self, caller: Caller) -> None:
        self.court.dismiss(caller)
        self.wrongs += caller.wrongs
        if len(caller.ends) != 1 or caller.ends == ["broke off"]:
            self.wrongs.append(f"{caller} ended with {caller.ends}")
        self.ends[f"{caller.what}: {', '.join(caller.ends)}"] += 1

    async def _come_to_rest(self) -> None:
        self.faults.on = False
        self.machine.others_bytes = 0
        self._others_unload()
        await asyncio.sleep(REST_S)
        self._check()
        none(f"{it} waits at {waits_at(it.task)}" for it in self.callers)
        await self._see_all_at_rest()
        for engine in self.engines.values():
            for model in engine.known:
                await self._see_it_answers(f"{engine.name}/{model}")

    def _others_unload(self) -> None:
        for engine in self.engines.values():
            for model in [name for name, life in engine.lives.items() if life.foreign]:
                engine.vanish(model, "unloaded by the engine itself")

    async def _see_all_at_rest(self) -> None:
        listed = await self.manager.models()
        assert len(listed) == sum(map(len, CAST.values()))
        for served in listed:
            assert served.info.state not in IN_FLIGHT, served
            self._compare(served, self.engines[served.instance])
        none(f"{it.name} is busy" for it in self.engines.values() if it.busy)
        loaded = {model for engine in self.engines.values() for model in engine.lives}
        assert set(self.machine.held) == loaded
        assert self.machine.leaving_bytes == 0
        self._see_nobody_in_the_pool()

    def _see_nobody_in_the_pool(self) -> None:
        pool = self.manager._fleet.pool
        assert not pool.loading
        assert not pool._turn.locked()
        assert pool._workers._value == LIMITS.max_workers
        for slot in self.manager._fleet.slots.values():
            assert not slot.admission.busy, slot.model
        assert not self.manager.start.pending

    async def _see_it_answers(self, name: str) -> None:
        caller = callers.ask(self.manager, name, 300)
        await caller.task
        assert caller.ends == ["stop"], name
        self._expect(caller)
        self._check()

    def _ask_a_last_time(self) -> None:
        for name in ("small", "large", "other", "fast", "brief", "middle", "small"):
            self._expect(callers.ask(self.manager, name))

    async def _see_nothing_left(self) -> None:
        for engine in self.engines.values():
            engine.closed = True
        await _some_turns()
        none(f"{it.name} is busy" for it in self.engines.values() if it.busy)
        await asyncio.sleep(LIMITS.list_s)  # a list that was asked for may still be waited for
        await _some_turns()
        self._check()
        none(f"{it} waits at {waits_at(it.task)}" for it in self.callers)
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        none(f"{task.get_name()} is left at {waits_at(task)}" for task in tasks)


async def _some_turns() -> None:
    for _ in range(TURNS_TO_END):
        await asyncio.sleep(0)


def none(wrongs: Iterable[str]) -> None:
    """Fail when there are *wrongs*, and tell them all."""
    if told := "\n".join(wrongs):
        raise AssertionError(told)
