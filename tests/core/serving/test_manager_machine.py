"""Any order of loads, prompts, cancels, losses and unloads, against what must always hold."""

import asyncio
from collections import Counter
from contextlib import AsyncExitStack, aclosing

from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

import orac_core
from orac_core import (
    Answer,
    BackendError,
    GenerateRequest,
    Limits,
    LoadRequest,
    Message,
    ModelState,
    OracError,
)
from orac_core.manifest import parse
from tests.scripted import NoSensors, ScriptedBackend, plugins

MODELS = ("small", "large")
STEPS = ("load", "canary", "word 1", "unload", "models")
models = st.sampled_from(MODELS)


class Watched(ScriptedBackend):
    """Notes what a manager must never do."""

    def __init__(self) -> None:
        super().__init__()
        self.loading: Counter[str] = Counter()
        self.answering: Counter[str] = Counter()
        self.sins: list[str] = []

    @orac_core.hookimpl
    async def load(self, request):
        self.loading[request.model] += 1
        if self.loading[request.model] > 1:
            self.sins.append(f"two loads of {request.model} at once")
        try:
            async with aclosing(super().load(request)) as stages:
                async for progress in stages:
                    yield progress
        finally:
            self.loading[request.model] -= 1

    @orac_core.hookimpl
    async def unload(self, model):
        if self.answering[model]:
            self.sins.append(f"{model} unloaded under a running answer")
        await super().unload(model)

    @orac_core.hookimpl
    async def generate(self, request):
        self.answering[request.model] += 1
        try:
            async with aclosing(super().generate(request)) as chunks:
                async for chunk in chunks:
                    yield chunk
        finally:
            self.answering[request.model] -= 1


class Consumer:
    """Somebody who reads an answer and notes how it ended."""

    def __init__(self, manager, model: str) -> None:
        self.ends: list[str] = []
        self.task = asyncio.create_task(self._read(manager, model))

    async def _read(self, manager, model: str) -> None:
        request = GenerateRequest(model, messages=(Message("user", "hi"),))
        try:
            async for piece in manager.generate(request):
                if isinstance(piece, Answer):
                    self.ends.append("done")
        except OracError:
            self.ends.append("error")


class ManagerMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.stack = AsyncExitStack()
        self.backend = Watched()
        self.consumers: list[Consumer] = []
        self.tasks: list[asyncio.Task[str]] = []
        data = parse({"backends": {"here": {"kind": "scripted"}}}, "test")
        limits = Limits(max_concurrency=2, max_queue=2, drain_s=5)
        opening = orac_core.open(
            data, plugins=plugins(self.backend), limits=limits, environ={}, sensors=NoSensors()
        )
        self.manager = self.run(self.stack.enter_async_context(opening))

    def run(self, awaitable):
        async def within():
            async with asyncio.timeout(10):
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

    @rule(model=models)
    def prompt(self, model: str) -> None:
        self.run(self._start(lambda: Consumer(self.manager, model)))

    @rule(model=models)
    def unload_while_answering(self, model: str) -> None:
        self.run(self._start(lambda: Consumer(self.manager, model)))
        self.run(self._start(lambda: self.manager.unload(model)))

    @rule(model=models)
    def load(self, model: str) -> None:
        self.run(self._start(lambda: self.manager.load(LoadRequest(model))))

    @rule(model=models, force=st.booleans())
    def unload(self, model: str, *, force: bool) -> None:
        self.run(self._start(lambda: self.manager.unload(model, force=force)))

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

    @precondition(lambda self: not self.backend.generating)
    @rule()
    def the_engine_restarts(self) -> None:
        self.backend.loaded.clear()

    @invariant()
    def nothing_forbidden_was_done(self) -> None:
        assert self.backend.sins == []

    @invariant()
    def no_answer_ends_twice(self) -> None:
        assert all(len(each.ends) <= 1 for each in self.consumers)

    def teardown(self) -> None:
        self.backend.failures.clear()
        for gate in self.backend.gates.values():
            gate.set()
        self.run(self._settle())
        self.run(self.stack.aclose())
        self.runner.close()

    async def _settle(self) -> None:
        tasks = [*self.tasks, *(each.task for each in self.consumers)]
        if tasks:
            await asyncio.wait(tasks)
        for each in self.consumers:
            assert each.task.cancelled() or len(each.ends) == 1
        await self._until_all_rest()
        assert self.backend.generating == 0
        for served in await self.manager.models():
            held = served.info.id in self.backend.loaded
            assert served.info.state not in (ModelState.STARTING, ModelState.STOPPING)
            assert held == (served.info.state is ModelState.READY)

    async def _until_all_rest(self) -> None:
        while any(
            slot.state in (ModelState.STARTING, ModelState.STOPPING)
            for slot in self.manager._slots.values()
        ):
            await asyncio.sleep(0)


TestManagerMachine = ManagerMachine.TestCase
# To shrink forty steps takes minutes and finds little: the steps that failed are printed anyway.
TestManagerMachine.settings = settings(
    max_examples=200, stateful_step_count=40, deadline=None, phases=[Phase.generate]
)
