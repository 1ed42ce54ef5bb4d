"""Any order of loads, prompts, losses and cancellations, against what must always hold."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack, aclosing
from typing import Any, ClassVar, TypeVar

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

from ..errors import BackendUnavailable, OracError
from ..types import ModelState
from .broken import expect
from .subject import MakeSubject
from .trial import Trial, ends_soon, on_trial

T = TypeVar("T")

STEP_WITHIN_S = 60.0
"""Longest time for one step, the load of a model included."""


class BackendMachine(RuleBasedStateMachine):
    """Drives one backend through any order of calls; `machine_of` makes one of it.

    It loads, unloads, asks, leaves early, asks side by side, cancels, ends the engine and opens
    the backend anew. After each answer and each load it compares with what models says.

    Attributes:
        make: Opens what is driven.
    """

    make: ClassVar[Callable[[], Any]]

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.stack = AsyncExitStack()
        self.trial: Trial = self._run(self._opened())

    async def _opened(self) -> Trial:
        return await self.stack.enter_async_context(on_trial(type(self).make))

    def _run(self, awaitable: Awaitable[T]) -> T:
        async def within() -> T:
            async with asyncio.timeout(STEP_WITHIN_S):
                return await awaitable

        return self.runner.run(within())

    @rule()
    def load(self) -> None:
        """Load the model: it is ready then."""
        self._run(self.trial.load())
        self._expect_loaded(loaded=True)

    @rule()
    def unload(self) -> None:
        """Unload the model: it is stopped then."""
        self._run(self.trial.unload())
        self._expect_loaded(loaded=False)

    @rule()
    def load_and_leave(self) -> None:
        """Close a load after its first progress; a model that was ready stays so."""
        before = self._state()
        self._run(self._load_and_leave())
        expect(self._state() is before, f"a load that was closed left the model {self._state()}")

    async def _load_and_leave(self) -> None:
        async with aclosing(self.trial.instance.load(self.trial.loading())) as stages:
            await anext(stages, None)

    @rule()
    def ask(self) -> None:
        """Ask: there is an answer when the model is loaded, and else none."""
        self._run(self._ask())

    @rule(pieces=st.integers(1, 3))
    def ask_and_leave(self, pieces: int) -> None:
        """Close an answer after some of its pieces."""
        self._run(self._unless_stopped(self._read(pieces)))

    @rule(others=st.integers(1, 3), pieces=st.integers(1, 2))
    def ask_side_by_side(self, others: int, pieces: int) -> None:
        """Ask several at once, of whom one leaves early."""
        self._run(self._side_by_side(others, pieces))

    @rule(turns=st.integers(0, 5))
    def ask_and_cancel(self, turns: int) -> None:
        """Cancel who reads an answer, after some turns of the loop."""
        self._run(self._ask_and_cancel(turns))

    @rule()
    def look(self) -> None:
        """Ask how it is, and which models there are."""
        self._run(self.trial.instance.health())
        expect("health" not in self.trial.witness.raised, "health raised")
        self._run(self.trial.info())

    @precondition(lambda self: self.trial.subject.end_engine is not None)
    @rule()
    def the_engine_ends(self) -> None:
        """End the engine behind its back; a load brings it back."""
        self._run(self.trial.load())
        self._run(self._end())
        self._run(self.trial.instance.health())
        self._run(self.trial.load())
        self._run(self._read(None))

    async def _end(self) -> None:
        if self.trial.subject.end_engine is not None:
            await self.trial.subject.end_engine()

    @rule()
    def it_is_opened_anew(self) -> None:
        """Close the backend, whatever it does, and open it again."""
        self._run(self.stack.aclose())
        self.trial = self._run(self._opened())

    def teardown(self) -> None:
        """Ask once more, see that nothing foreign was raised, and close the backend."""
        with self.runner:
            try:
                self._run(self.trial.load())
                self._run(self._read(None))
                foreign = self.trial.witness.foreign
                expect(not foreign, f"raised: {'; '.join(foreign)}")
            finally:
                self._run(self.stack.aclose())

    async def _ask(self) -> None:
        info = await self.trial.info()
        loaded = info.state is ModelState.READY
        answered = await self._unless_stopped(self._read(None))
        expect(answered is loaded, f"a model that is {info.state} answered: {answered}")

    async def _read(self, pieces: int | None) -> None:
        read = 0
        async with aclosing(self.trial.instance.generate(self.trial.asking())) as chunks:
            async for _ in chunks:
                read += 1
                if read == pieces:
                    break
            await ends_soon(chunks.aclose(), "an answer that was closed")

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
        wanted = info.state is ModelState.READY
        expect({*answered} == {wanted}, f"of questions at once some were answered: {answered}")

    async def _ask_and_cancel(self, turns: int) -> None:
        task = asyncio.create_task(self._read(None))
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        await ends_soon(asyncio.wait([task]), "an answer that was cancelled")
        if not task.cancelled() and (error := task.exception()) is not None:
            expect(isinstance(error, OracError), f"a cancelled answer raised {error!r}")

    def _state(self) -> ModelState:
        return self._run(self.trial.info()).state

    def _expect_loaded(self, *, loaded: bool) -> None:
        info = self._run(self.trial.info())
        wanted = ModelState.READY if loaded or info.remote else ModelState.STOPPED
        expect(info.state is wanted, f"models says {info.state}, not {wanted}")


def machine_of(make: MakeSubject) -> type[BackendMachine]:
    """Return a `BackendMachine` that drives what *make* opens; run its ``TestCase``."""
    return type("BackendMachineOfYours", (BackendMachine,), {"make": staticmethod(make)})
