"""Any order of loads, prompts, losses, and time that passes, against what must always hold.

Three models share a memory that holds the one that is pinned and either of the others.
"""

import asyncio
import math
from collections import Counter
from contextlib import AsyncExitStack, aclosing

from attrs import define, evolve, field
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

import orac_core
from orac_core import (
    Answer,
    BackendError,
    BackendUnavailable,
    GenerateRequest,
    InsufficientMemory,
    Limits,
    LoadedInfo,
    LoadRequest,
    Message,
    ModelState,
    OracError,
)
from orac_core.manifest import parse
from tests.scripted import ScriptedBackend, ScriptedSettings, plugins
from tests.simulation.loop import VirtualLoop
from tests.simulation.machine import SimulatedMachine, SimulatedSensors

GIB = 1 << 30
SIZES = {"small": GIB, "large": 2 * GIB, "pinned": GIB // 2}
"""What each model takes. It is reckoned to take more, until it was loaded once."""

TOTAL_BYTES = 3 * GIB + GIB // 2
KEEP_S = 60.0
REST_S = 4000.0
"""Longer than every limit, and than `KEEP_S`."""

STEPS = ("load", "canary", "word 1", "unload", "models")
IN_FLIGHT = (ModelState.STARTING, ModelState.STOPPING)
models = st.sampled_from(tuple(SIZES))
keeps = st.sampled_from((None, None, 0.0, 20.0, math.inf))


@define(eq=False)
class Watched(ScriptedBackend):
    """An engine with a memory, that notes what a manager must never do.

    Attributes:
        settings: Names of the models.
        machine: Whose memory they take.
        loading: Loads under way.
        answering: Answers under way.
        proved: Models that have answered since ORAC loaded them.
        wished: Models that somebody wanted unloaded.
        sins: What must never be done.
    """

    settings: ScriptedSettings = field(factory=lambda: ScriptedSettings(tuple(SIZES)))
    machine: SimulatedMachine = field(factory=lambda: SimulatedMachine(TOTAL_BYTES))
    loading: Counter[str] = field(factory=Counter)
    answering: Counter[str] = field(factory=Counter)
    proved: set[str] = field(factory=set)
    wished: set[str] = field(factory=set)
    sins: list[str] = field(factory=list)

    def _info(self, name):
        info = evolve(super()._info(name), size_bytes=SIZES[name])
        loaded = info.loaded and evolve(info.loaded, memory_bytes=SIZES[name])
        return evolve(info, loaded=loaded, would_use=LoadedInfo(512, 0, 1))

    @orac_core.hookimpl
    async def load(self, request):
        model = request.model
        self.loading[model] += 1
        if self.loading[model] > 1:
            self.sins.append(f"two loads of {model} at once")
        self.proved.discard(model)
        try:
            async with aclosing(super().load(request)) as stages:
                async for progress in stages:
                    yield progress
                    self._take(request)
        finally:
            self.loading[model] -= 1
            if model not in self.loaded:
                self.machine.give_back(model)

    def _take(self, request):
        """Take the memory at once, so that a load that fails later has it until then."""
        model = request.model
        if self.machine.held[model]:
            return
        if not self.machine.has(SIZES[model], model):
            if not request.force and not self.machine.surprised_at > 0:
                self.sins.append(f"{model} was loaded into {self.machine.available_bytes}")
            raise InsufficientMemory(f"no memory for {model}")
        self.machine.take(model, SIZES[model])

    @orac_core.hookimpl
    async def unload(self, model):
        if self.answering[model]:
            self.sins.append(f"{model} unloaded under a running answer")
        if model == "pinned" and model in self.loaded and model in self.proved - self.wished:
            self.sins.append("what is pinned was unloaded")
        await super().unload(model)
        self.machine.give_back(model)

    @orac_core.hookimpl
    async def generate(self, request):
        self.answering[request.model] += 1
        life = self.loaded.get(request.model)
        try:
            async with aclosing(super().generate(request)) as chunks:
                async for chunk in chunks:
                    if self.loaded.get(request.model) is not life:
                        raise BackendUnavailable(f"{request.model} is gone")
                    yield chunk
            self.proved.add(request.model)
        finally:
            self.answering[request.model] -= 1

    def lose(self, model):
        """Let *model* be gone, of which ORAC is told nothing."""
        if self.loaded.pop(model, None):
            self.machine.give_back(model)


class Consumer:
    """Somebody who reads an answer and notes how it ended."""

    def __init__(self, manager, model: str, keep_s: float | None = None) -> None:
        self.ends: list[str] = []
        self.task = asyncio.create_task(self._read(manager, model, keep_s))

    async def _read(self, manager, model: str, keep_s: float | None) -> None:
        request = GenerateRequest(model, messages=(Message("user", "hi"),), keep_alive_s=keep_s)
        try:
            async for piece in manager.generate(request):
                if isinstance(piece, Answer):
                    self.ends.append("done")
        except OracError:
            self.ends.append("error")


class ManagerMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner(loop_factory=VirtualLoop)
        self.stack = AsyncExitStack()
        self.backend = Watched()
        self.consumers: list[Consumer] = []
        self.tasks: list[asyncio.Task[str]] = []
        self.forever = {"pinned"}
        self.manager = self.run(self.stack.enter_async_context(self._opening()))

    def _opening(self):
        files = {"pinned": {"pinned": True}}
        table = {"keep_alive": KEEP_S, "files": files}
        return orac_core.open(
            parse({"backends": {"here": {"kind": "scripted"}}, "models": table}, "test"),
            plugins=plugins(self.backend),
            limits=Limits(max_concurrency=2, max_queue=2, drain_s=5),
            environ={},
            sensors=SimulatedSensors(machine=self.backend.machine, took_s=0),
        )

    def run(self, awaitable):
        async def within():
            async with asyncio.timeout(10 * REST_S):
                return await awaitable

        return self.runner.run(within())

    async def _turns(self) -> None:
        for _ in range(20):
            await asyncio.sleep(0)

    async def _start(self, make) -> None:
        made = make()
        if isinstance(made, Consumer):
            self.consumers.append(made)
        else:
            self.tasks.append(asyncio.create_task(self._outcome(made)))
        await self._turns()

    async def _outcome(self, made) -> str:
        try:
            await made
        except OracError as error:
            return str(error)
        return ""

    @rule(model=models, keep_s=keeps)
    def prompt(self, model: str, keep_s: float | None) -> None:
        self._note(model, keep_s)
        self.run(self._start(lambda: Consumer(self.manager, model, keep_s)))

    def _note(self, model: str, keep_s: float | None) -> None:
        if keep_s == math.inf:
            self.forever.add(model)

    @rule(model=models)
    def unload_while_answering(self, model: str) -> None:
        self.run(self._start(lambda: Consumer(self.manager, model)))
        self.unload(model, force=False)

    @rule(model=models, keep_s=keeps, force=st.booleans())
    def load(self, model: str, keep_s: float | None, *, force: bool) -> None:
        self._note(model, keep_s)
        request = LoadRequest(model, keep_alive_s=keep_s, force=force)
        self.run(self._start(lambda: self.manager.load(request)))

    @rule(model=models, force=st.booleans())
    def unload(self, model: str, *, force: bool) -> None:
        self.backend.wished.add(model)
        self.run(self._start(lambda: self.manager.unload(model, force=force)))

    @rule(model=models)
    def plan(self, model: str) -> None:
        self.run(self._start(lambda: self.manager.plan(LoadRequest(model))))

    @rule(data=st.data())
    def someone_leaves(self, data) -> None:
        everyone = [*self.tasks, *(each.task for each in self.consumers)]
        if everyone:
            data.draw(st.sampled_from(everyone)).cancel()
        self.run(self._turns())

    @rule(step=st.sampled_from(STEPS))
    def hold_or_let_go(self, step: str) -> None:
        if step in self.backend.gates:
            self.backend.gates.pop(step).set()
        else:
            self.backend.hold(step)
        self.run(self._turns())

    @rule(step=st.sampled_from(STEPS))
    def break_or_mend(self, step: str) -> None:
        if self.backend.failures:
            self.backend.failures.clear()
        else:
            self.backend.failures[step] = BackendError("broken")

    @rule(model=models)
    def a_model_crashes(self, model: str) -> None:
        self.backend.lose(model)
        self.run(self._turns())

    @rule(seconds=st.sampled_from((0.2, 6.0, KEEP_S + 1)))
    def time_passes(self, seconds: float) -> None:
        self.run(asyncio.sleep(seconds))

    @rule(share=st.sampled_from((0.3, 0.9)))
    def others_take_memory(self, share: float) -> None:
        machine = self.backend.machine
        machine.surprised_at = 1.0
        machine.others_bytes += int(share * max(0, machine.available_bytes))

    @precondition(lambda self: self.backend.machine.others_bytes)
    @rule()
    def others_give_memory_back(self) -> None:
        self.backend.machine.others_bytes = 0

    @rule()
    def all_comes_to_rest(self) -> None:
        self.run(self._rest())

    @invariant()
    def nothing_forbidden_was_done(self) -> None:
        assert self.backend.sins == []
        assert self.backend.machine.sins == []

    @invariant()
    def no_answer_ends_twice(self) -> None:
        assert all(len(each.ends) <= 1 for each in self.consumers)

    def teardown(self) -> None:
        with self.runner:
            self.run(self._rest())
            self.run(self._each_can_be_had())
            self.run(self.stack.aclose())

    async def _rest(self) -> None:
        """Let nothing hold up or break any more, and see how all ends."""
        self.backend.failures.clear()
        for gate in self.backend.gates.values():
            gate.set()
        self.backend.gates.clear()
        self.backend.machine.others_bytes = 0
        await self._settle()
        stays = {"pinned"} & {*self.backend.loaded}
        await self.manager.models()
        await asyncio.sleep(REST_S)
        assert stays == {"pinned"} & {*self.backend.loaded}
        await self._see_what_is_loaded()
        self.backend.wished.clear()
        self.forever &= {"pinned", *self.backend.loaded}
        self.backend.machine.surprised_at = -math.inf

    async def _settle(self) -> None:
        tasks = [*self.tasks, *(each.task for each in self.consumers)]
        if tasks:
            await asyncio.wait(tasks)
        for each in self.consumers:
            assert each.task.cancelled() or len(each.ends) == 1
        self.tasks.clear()
        self.consumers.clear()
        await asyncio.sleep(REST_S)

    async def _see_what_is_loaded(self) -> None:
        assert self.backend.generating == 0
        assert not self.manager._fleet.pool.loading
        for served in await self.manager.models():
            held = served.info.id in self.backend.loaded
            assert served.info.state not in IN_FLIGHT
            assert held == (served.info.state is ModelState.READY)
        assert {*self.backend.loaded} <= self.forever
        assert {*self.backend.machine.held} == {*self.backend.loaded}

    async def _each_can_be_had(self) -> None:
        for model in SIZES:
            request = GenerateRequest(model, messages=(Message("user", "hi"),))
            assert (await self.manager.answer(request)).text == "one two three"


TestManagerMachine = ManagerMachine.TestCase
# To shrink forty steps takes minutes and finds little: the steps that failed are printed anyway.
TestManagerMachine.settings = settings(
    max_examples=120, stateful_step_count=40, deadline=None, phases=[Phase.generate]
)
