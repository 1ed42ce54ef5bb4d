"""The workers of a backend: one for each model that is loaded, is being loaded, or has failed."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncGenerator, Callable, ValuesView
from contextlib import aclosing, suppress
from pathlib import Path
from typing import Generic, TypeVar

from attrs import define, field

from orac_core import BackendError, BackendUnavailable, LoadProgress, ModelState, OracError

from ._model_process import ModelProcess

W = TypeVar("W", bound=ModelProcess)


@define(eq=False)
class Workers(Generic[W]):
    """The workers of a backend, by the ids of their models.

    Attributes:
        folder: For their sockets.
    """

    folder: Path
    _of: dict[str, W] = field(factory=dict, init=False)
    _turns: defaultdict[str, asyncio.Lock] = field(
        factory=lambda: defaultdict(asyncio.Lock), init=False
    )
    _started: int = field(default=0, init=False)

    def __len__(self) -> int:
        return len(self._of)

    def __getitem__(self, model: str) -> W:
        """Return the worker of a model.

        Raises:
            BackendUnavailable: when there is none.
        """
        worker = self._of.get(model)
        if worker is None:
            raise BackendUnavailable(f"{model} is not loaded; load it first")
        return worker

    def get(self, model: str) -> W | None:
        """Return the worker of a model; None when there is none."""
        return self._of.get(model)

    def values(self) -> ValuesView[W]:
        """Return all of them, the one that was started last at the end."""
        return self._of.values()

    def turn(self, model: str) -> asyncio.Lock:
        """Return what a load of a model holds: there is one at a time."""
        return self._turns[model]

    def is_ready(self, model: str) -> bool:
        """Whether a model can be asked."""
        worker = self._of.get(model)
        return worker is not None and worker.state is ModelState.READY

    async def new(self, model: str, made: Callable[[Path], W]) -> W:
        """Return a worker, *made* for a socket, in the place of the one that a model had.

        Raises:
            BackendError: when that does not die.
        """
        await self.stop(model)
        self._started += 1
        worker = self._of[model] = made(self.folder / f"{self._started}.sock")
        return worker

    async def loaded(
        self, worker: W, *steps: AsyncGenerator[LoadProgress, None]
    ) -> AsyncGenerator[LoadProgress, None]:
        """Take the *steps* of a load; a worker that fails stays, to tell why."""
        try:
            for step in steps:
                async with aclosing(step) as stages:
                    async for progress in stages:
                        yield progress
        except OracError as error:
            await worker.stop()
            worker.fail(str(error))
            raise
        except BaseException:  # closed or cancelled: nothing of it may stay
            self._forget(worker)
            await worker.stop()
            raise

    async def stop(self, model: str) -> None:
        """Kill the worker of a model, also one that is still starting; return when it is gone.

        Raises:
            BackendError: when it does not die.
        """
        worker = self._of.get(model)
        if worker is None:
            return
        await worker.stop()
        self._forget(worker)

    async def close(self) -> None:
        """Kill every worker."""
        for worker in tuple(self._of.values()):
            with suppress(BackendError):
                await worker.stop()
        self._of.clear()

    def _forget(self, worker: W) -> None:
        if self._of.get(worker.served.model) is worker:
            del self._of[worker.served.model]
