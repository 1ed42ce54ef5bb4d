"""The models that are to be loaded from the start on."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection

from attrs import define, field

from ..errors import BackendError, OracError, StateConflict
from .flight import forget_error

logger = logging.getLogger("orac.serving")

FIRST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 60.0


@define(eq=False)
class Start:
    """Loads them side by side; what fails is tried again after 0.5 s, 1 s, 2 s and so on.

    One that fails stops no other. Trying again helps only where the engine failed or memory was
    lacking: a file that is broken stays so.

    Attributes:
        load: Loads the model of that name.
        retries: How often one is tried again.
        pending: Names of those that are not loaded yet.
        failures: Why each of those that were given up was not loaded.
    """

    load: Callable[[str], Awaitable[None]]
    retries: int = 3
    pending: set[str] = field(factory=set, init=False)
    failures: dict[str, str] = field(factory=dict, init=False)
    _tasks: set[asyncio.Task[None]] = field(factory=set, init=False)

    def begin(self, names: Collection[str]) -> None:
        """Begin to load *names*; whoever calls goes on at once."""
        for name in dict.fromkeys(names):
            self.pending.add(name)
            task = asyncio.create_task(self._bring(name), name=f"load {name} at the start")
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
            task.add_done_callback(forget_error)

    async def ended(self) -> None:
        """Wait until each is loaded or given up."""
        if self._tasks:
            await asyncio.wait(set(self._tasks))

    async def close(self) -> None:
        """Give up what is not loaded yet."""
        for task in self._tasks:
            task.cancel()
        await self.ended()

    async def _bring(self, name: str) -> None:
        try:
            await self._tried(name)
        except StateConflict as conflict:  # somebody unloaded it, or loads it in another way
            logger.info("%s is not loaded at the start: %s", name, conflict)
        except OracError as error:
            self.failures[name] = str(error)
            logger.warning("%s could not be loaded at the start: %s", name, error)
        finally:
            self.pending.discard(name)

    async def _tried(self, name: str) -> None:
        import stamina  # noqa: PLC0415 - 20 ms that only a start with models costs

        async for attempt in stamina.retry_context(
            on=BackendError,
            attempts=self.retries + 1,
            timeout=None,
            wait_initial=FIRST_PAUSE_S,
            wait_max=LONGEST_PAUSE_S,
            wait_jitter=0.0,
        ):
            with attempt:
                await self.load(name)
