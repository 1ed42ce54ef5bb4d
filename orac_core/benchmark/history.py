"""The benchmarks that were run, kept over a restart, for a program that must not wait.

One thread owns the file. Reading waits for a turn with it, and so does keeping, which goes on when
whoever asked for it has left.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Self, TypeVar

from attrs import define, field

from ..errors import QueueFull
from ..state_directory import StateDirectory
from .database import Database
from .results import Report
from .store import MOST_BYTES, MOST_REPORTS, Entry, Store

FILE = "benchmarks.sqlite3"

MOST_WAITING = 64
"""Readers that may wait for their turn."""

ADD_NOW_S = 10.0
"""Longest time that `History.add_now` blocks; what it keeps is kept after that all the same."""

_T = TypeVar("_T")


def _thread() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(1, thread_name_prefix="orac-history")


@define(eq=False)
class History:
    """Benchmarks that were run; ``async with`` lets go of the file at its end.

    Nothing here raises because something can not be kept: it is said once, and `problem` tells it.
    """

    _store: Store
    _executor: ThreadPoolExecutor = field(factory=_thread, init=False)
    _waiting: int = field(default=0, init=False)

    @classmethod
    def of(
        cls,
        state: StateDirectory,
        most_reports: int = MOST_REPORTS,
        most_bytes: int = MOST_BYTES,
    ) -> Self:
        """Return the history in a folder for state; one that keeps nothing when there is none."""
        database = Database(state.path / FILE) if state.path else None
        return cls(Store(database, most_reports, most_bytes))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        closed = self._executor.submit(self._store.close)
        self._executor.shutdown(wait=False)
        await asyncio.shield(asyncio.wrap_future(closed))

    @property
    def problem(self) -> str | None:
        """Why benchmarks can not be kept, and what to do; None when the last attempt worked."""
        return self._store.problem

    async def add(self, report: Report) -> bool:
        """Keep *report* and forget the oldest above the limits; return whether it is on the disk.

        A caller that is cancelled leaves, and the report is kept all the same.
        """
        kept = self._executor.submit(self._store.add, report)
        return await asyncio.shield(asyncio.wrap_future(kept))

    def add_now(self, report: Report) -> bool:
        """Do as `add` in the middle of a cancellation: it blocks, for `ADD_NOW_S` at most."""
        kept: Future[bool] = self._executor.submit(self._store.add, report)
        try:
            return kept.result(ADD_NOW_S)
        except TimeoutError:
            return False

    async def get(self, name: str) -> Report:
        """Return a report by its id, the beginning of it, ``latest`` or ``latest~N``.

        Raises:
            BenchmarkNotFound: there is none, or more than one.
            QueueFull: too many wait for their turn.
        """
        return await self._turn(lambda: self._store.get(name))

    async def list(
        self, limit: int = 50, model: str | None = None, before: str | None = None
    ) -> tuple[Entry, ...]:
        """Return the newest ones, newest first.

        Args:
            limit: How many at most.
            model: Only those of a model: ``instance/model``, the model's id alone or its sha256.
            before: Only those kept before this one, which is named as for `get`.

        Raises:
            BenchmarkNotFound: there is no *before*, or more than one.
            QueueFull: too many wait for their turn.
        """
        return await self._turn(lambda: self._store.list(limit, model, before))

    async def prune(self, keep: int) -> int:
        """Forget all but the newest *keep*; return how many that were. The newest one stays.

        Raises:
            QueueFull: too many wait for their turn.
        """
        return await self._turn(lambda: self._store.prune(keep))

    async def _turn(self, action: Callable[[], _T]) -> _T:
        if self._waiting >= MOST_WAITING:
            raise QueueFull("too many read the history of benchmarks at once", 1.0)
        self._waiting += 1
        try:
            return await asyncio.wrap_future(self._executor.submit(action))
        finally:
            self._waiting -= 1
