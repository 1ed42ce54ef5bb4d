"""Whether a backend stands calls in any order: many are tried, and the shortest that fails told."""

import asyncio
from collections.abc import Coroutine
from concurrent.futures import CancelledError, Future
from contextlib import suppress
from time import monotonic
from typing import Any, TypeVar

from attrs import define, field
from hypothesis import HealthCheck, Phase, Verbosity, seed, settings
from hypothesis.stateful import run_state_machine_as_test

from .broken import PromiseBroken, expect, need
from .journal import Journal, TimeIsUp
from .machine import BackendMachine, machine_of
from .trial import Trial

T = TypeVar("T")

FEW = settings(
    max_examples=40,
    stateful_step_count=25,
    deadline=None,
    database=None,
    derandomize=False,
    phases=(Phase.generate, Phase.shrink),
    suppress_health_check=list(HealthCheck),
    verbosity=Verbosity.quiet,
    report_multiple_bugs=False,
    print_blob=False,
)
"""40 orders of at most 25 steps each, and nothing written to the disk or the terminal."""

SEARCHES, SHORTENS, WAITS = 1 / 12, 1 / 12, 3 / 4
"""Shares of a promise's time: to look for a failure, to shorten it, and for one step of it."""


@define(eq=False)
class Elsewhere:
    """Runs in a loop what a machine in another thread calls; a `Runner`.

    Attributes:
        loop: The loop, which goes on while the machine is driven.
    """

    loop: asyncio.AbstractEventLoop
    _stopped: bool = field(default=False, init=False)
    _running: "Future[Any] | None" = field(default=None, init=False)

    def run(self, coro: Coroutine[Any, Any, T]) -> T:
        """Return what *coro* returns.

        Raises:
            TimeIsUp: when it was stopped.
        """
        future = asyncio.run_coroutine_threadsafe(coro, self.loop)
        self._running = future
        try:
            return future.result()
        except CancelledError:
            expect(self._stopped, "it was cancelled, and nobody had asked for that")
            raise TimeIsUp from None

    def stop(self) -> None:
        """Cancel what runs."""
        self._stopped = True
        if self._running is not None:
            self._running.cancel()

    def close(self) -> None:
        """Return: the loop is not its own."""


async def stands_any_order(trial: Trial) -> None:
    """Close the backend, and drive others like it through many orders of calls.

    Raises:
        PromiseBroken: with the shortest order that failed.
    """
    await trial.close()
    journal = Journal(monotonic() + SEARCHES * trial.within_s, SHORTENS * trial.within_s)
    elsewhere = Elsewhere(asyncio.get_running_loop())
    machine = machine_of(trial.make, journal, lambda: elsewhere, WAITS * trial.within_s)
    work = asyncio.ensure_future(asyncio.to_thread(_driven, machine, trial.seed))
    try:
        failed = await asyncio.shield(work)
    except asyncio.CancelledError:
        journal.ends_at = 0.0
        elsewhere.stop()
        await asyncio.wait([work])
        raise
    if journal.shortest is not None:
        raise PromiseBroken(journal.shortest.seen, journal.shortest.steps) from failed
    if failed is not None and not journal.over:
        raise failed
    need(journal.taken > 1, f"{trial.within_s:g} s are not enough for a step; give it more time")


def _driven(machine: type[BackendMachine], number: int) -> Exception | None:
    """Return what Hypothesis raised, if anything; where time is up it may wonder at the end."""
    with suppress(TimeIsUp):
        try:
            run_state_machine_as_test(seed(number)(machine), settings=FEW)
        except Exception as error:  # noqa: BLE001 - a stranger's backend may raise anything
            return error
    return None
