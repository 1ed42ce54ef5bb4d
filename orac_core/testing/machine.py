"""Any order of loads, prompts, losses and cancellations, against what must always hold."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import AsyncExitStack, aclosing, closing
from functools import wraps
from typing import Any, ClassVar, Protocol, TypeVar

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

from ..errors import BackendUnavailable, OracError
from ..types import ModelInfo, ModelState
from .broken import expect
from .journal import Journal
from .subject import MakeSubject
from .trial import Trial, on_trial

T = TypeVar("T")

OPENS_WITHIN_S = 60.0
"""Longest time for a backend to open, where no other is given."""


class Runner(Protocol):
    """Runs in its loop what a machine calls, as `asyncio.Runner` does."""

    def run(self, coro: Coroutine[Any, Any, T]) -> T:
        """Return what *coro* returns."""

    def close(self) -> None:
        """Close the loop, if it is the runner's own."""


def step(told: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Return a decorator that notes a rule as a step, *told* with what was drawn for it."""

    def noted(rule: Callable[..., None]) -> Callable[..., None]:
        @wraps(rule)
        def taken(machine: "BackendMachine", **drawn: Any) -> None:
            with machine.journal.step(told.format(**drawn)):
                rule(machine, **drawn)

        return taken

    return noted


class BackendMachine(RuleBasedStateMachine):
    """Drives one backend through any order of calls; `machine_of` makes one of it.

    It loads, unloads, asks, leaves early, asks side by side, cancels, ends the engine and opens
    the backend anew. After each answer and each load it compares with what models says.

    Attributes:
        make: Opens what is driven.
        journal: Keeps the steps.
        running: Makes what runs them.
        most_s: Longest time for a step; None for `Subject.within_s`.
    """

    make: ClassVar[Callable[[], Any]]
    journal: ClassVar[Journal]
    running: ClassVar[Callable[[], Runner]]
    most_s: ClassVar[float | None]

    def __init__(self) -> None:
        super().__init__()
        self.runner = type(self).running()
        self.stack = AsyncExitStack()
        self.step_within_s = self.most_s or OPENS_WITHIN_S
        self.journal.begin()
        try:
            self._open_at_first()
        except BaseException:
            self.runner.close()
            raise

    @step("open it")
    def _open_at_first(self) -> None:
        self.trial: Trial = self._run(self._opened())
        self.step_within_s = self.most_s or self.trial.subject.within_s

    async def _opened(self) -> Trial:
        return await self.stack.enter_async_context(on_trial(type(self).make))

    def _run(self, awaitable: Awaitable[T]) -> T:
        async def within() -> T:
            most = self.step_within_s
            try:
                async with asyncio.timeout(most):
                    return await awaitable
            except TimeoutError as error:
                raise TimeoutError(f"it did not end within {most:g} s") from error

        return self.runner.run(within())

    @rule()
    @step("load")
    def load(self) -> None:
        """Load the model: it is ready then."""
        self._run(self.trial.load())
        self._expect_loaded(loaded=True)

    @rule()
    @step("unload")
    def unload(self) -> None:
        """Unload the model: it is stopped then."""
        self._run(self.trial.unload())
        self._expect_loaded(loaded=False)

    @rule()
    @step("begin to load, and leave")
    def load_and_leave(self) -> None:
        """Close a load after its first progress; a model that was ready stays so."""
        before = self._state()
        self._run(self._load_and_leave())
        expect(self._state() is before, f"a load that was closed left the model {self._state()}")

    async def _load_and_leave(self) -> None:
        async with aclosing(self.trial.instance.load(self.trial.loading())) as stages:
            await anext(stages, None)

    @rule()
    @step("ask")
    def ask(self) -> None:
        """Ask: there is an answer when the model is loaded, and else none."""
        self._run(self._ask())

    @rule(pieces=st.integers(1, 3))
    @step("ask, and leave after piece {pieces}")
    def ask_and_leave(self, pieces: int) -> None:
        """Close an answer after some of its pieces."""
        self._run(self._unless_stopped(self._read(pieces)))

    @rule(others=st.integers(1, 3), pieces=st.integers(1, 2))
    @step("ask {others} + 1 at once, of whom one leaves after piece {pieces}")
    def ask_side_by_side(self, others: int, pieces: int) -> None:
        """Ask several at once, of whom one leaves early."""
        self._run(self._side_by_side(others, pieces))

    @rule(turns=st.integers(0, 5))
    @step("ask, and cancel at turn {turns} of the loop")
    def ask_and_cancel(self, turns: int) -> None:
        """Cancel who reads an answer, after some turns of the loop."""
        self._run(self._ask_and_cancel(turns))

    @rule()
    @step("ask for health and models")
    def look(self) -> None:
        """Ask how it is, and which models there are."""
        self._run(self.trial.instance.health())
        expect("health" not in self.trial.witness.raised, "health raised")
        self._run(self.trial.info())

    @precondition(lambda self: self.trial.subject.end_engine is not None)
    @rule()
    @step("end the engine, load and ask")
    def the_engine_ends(self) -> None:
        """End the engine behind its back; a load brings it back."""
        self._run(self.trial.load())
        self._run(self.trial.end_engine())
        self._run(self.trial.instance.health())
        self._run(self.trial.start_engine())
        self._run(self.trial.load())
        self._run(self._read(None))

    @rule()
    @step("close it, and open it anew")
    def it_is_opened_anew(self) -> None:
        """Close the backend, whatever it does, and open it again."""
        self._run(self.stack.aclose())
        self.trial = self._run(self._opened())

    def teardown(self) -> None:
        """Ask once more, see that nothing foreign was raised, and close the backend."""
        try:
            if not self.journal.failed:
                self._ask_at_last()
        finally:
            with closing(self.runner):
                self._run(self.stack.aclose())

    @step("load and ask at last")
    def _ask_at_last(self) -> None:
        self._run(self.trial.load())
        self._run(self._read(None))
        foreign = self.trial.witness.foreign
        expect(not foreign, f"raised: {'; '.join(foreign)}")

    async def _ask(self) -> None:
        info = await self.trial.info()
        answered = await self._unless_stopped(self._read(None))
        right = _may_answer(info)
        expect(answered in right, f"a model that is {info.state} answered: {answered}")

    async def _read(self, pieces: int | None) -> None:
        read = 0
        async with aclosing(self.trial.instance.generate(self.trial.asking())) as chunks:
            async for _ in chunks:
                read += 1
                if read == pieces:
                    break
            await self.trial.ends_soon(chunks.aclose(), "an answer that was closed")

    async def _unless_stopped(self, asking: Awaitable[object]) -> bool:
        try:
            await asking
        except BackendUnavailable:
            return False
        return True

    async def _side_by_side(self, others: int, pieces: int) -> None:
        info = await self.trial.info()
        readers = (self._read(None) for _ in range(others))
        asked = [self._unless_stopped(each) for each in (self._read(pieces), *readers)]
        answered = await asyncio.gather(*asked)
        same = {*answered} in ({each} for each in _may_answer(info))
        expect(same, f"of questions at once some were answered: {answered}")

    async def _ask_and_cancel(self, turns: int) -> None:
        task = asyncio.create_task(self._read(None))
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        await self.trial.ends_soon(asyncio.wait([task]), "an answer that was cancelled")
        if not task.cancelled() and (error := task.exception()) is not None:
            expect(isinstance(error, OracError), f"a cancelled answer raised {error!r}")

    def _state(self) -> ModelState:
        return self._run(self.trial.info()).state

    def _expect_loaded(self, *, loaded: bool) -> None:
        info = self._run(self.trial.info())
        wanted = ModelState.READY if loaded else ModelState.STOPPED
        right = info.state is wanted or (info.remote and info.state is ModelState.READY)
        expect(right, f"models says {info.state}, not {wanted}")


def _may_answer(info: ModelInfo) -> set[bool]:
    """Return whether a model has to answer: that one loads it first is another machine's affair."""
    if info.state is ModelState.READY:
        return {True}
    return {False, True} if info.remote else {False}


def machine_of(
    make: MakeSubject,
    journal: Journal | None = None,
    running: Callable[[], Runner] = asyncio.Runner,
    step_within_s: float | None = None,
) -> type[BackendMachine]:
    """Return a `BackendMachine` that drives what *make* opens; run its ``TestCase``.

    Args:
        make: Opens a backend anew for each order of calls.
        journal: Keeps the steps, and says when to stop; None for one that never does.
        running: Makes what runs the calls; by default in a loop of the machine's own.
        step_within_s: Longest time for a step; None for `Subject.within_s`.
    """
    parts = {"make": staticmethod(make), "running": staticmethod(running)}
    told = {"journal": journal or Journal(), "most_s": step_within_s}
    return type("BackendMachineOfYours", (BackendMachine,), {**parts, **told})
