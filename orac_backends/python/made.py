"""Making an object: its loader called in a thread, within a limit of time."""

import asyncio
import gc
from collections.abc import Awaitable
from contextlib import suppress
from inspect import isawaitable
from typing import Any

from attrs import define

from orac_core import BackendError, Registration

from .crew import Crew
from .faults import told
from .held import Held
from .place import Place


@define(eq=False)
class Making:
    """One load.

    Attributes:
        recipe: How the object is made.
        crew: Calls the loader.
    """

    recipe: Registration
    crew: Crew

    async def made(self, place: Place) -> Held:
        """Return the object; one that is given up leaves nothing behind once its loader is done.

        Raises:
            BackendError: when the loader fails, or takes too long.
        """
        before = _resident_bytes()
        try:
            async with asyncio.timeout(self.recipe.start_timeout_s):
                held = await self._held(place)
                held.memory_bytes = max(0, _resident_bytes() - before)
                return held
        except TimeoutError:
            raise self._too_late() from None

    async def _held(self, place: Place) -> Held:
        it: Any = None
        try:
            it = await self.crew.run(self._load, self._drop)
            if isawaitable(it):
                it = await self._awaited(it)
            held = self._holding(it, place)
            await held.check()
        except BaseException:
            self._discard(it)
            raise
        return held

    def _load(self) -> Any:
        """Call the loader, in a thread."""
        recipe = self.recipe
        where = {"path": str(recipe.path)} if recipe.path else {}
        with told(recipe.name, "load"):
            return recipe.loader(**{**recipe.kwargs, **where})

    async def _awaited(self, it: Awaitable[Any]) -> Any:
        with told(self.recipe.name, "load"):
            return await it

    def _discard(self, it: Any) -> None:
        """Give the load up: the threads go home when the call under way has ended."""
        if it is not None and not isawaitable(it):
            self.crew.post(lambda: self._drop(it))
        self.crew.dismiss()

    def _drop(self, it: Any) -> None:
        """Let an object tidy up that nobody wants any more, in a thread."""
        if callable(close := getattr(it, "close", None)):
            with suppress(BackendError), told(self.recipe.name, "unload"):
                close()

    def _holding(self, it: Any, place: Place) -> Held:
        if it is None:
            raise BackendError(
                f"{self.recipe.name}: its loader returned None; let it return the object",
                operation="load",
            )
        return Held(self.recipe, self.crew, it, print=place.print)

    def _too_late(self) -> BackendError:
        left = "; the thread that it runs in is left behind" if self.crew.left_behind else ""
        return BackendError(
            f"{self.recipe.name}: its loader did not return within "
            f"{self.recipe.start_timeout_s:g} s{left}; give it more time with `start_timeout_s`, "
            "or find out what it waits for",
            operation="load",
        )


def give_back() -> None:
    """Return memory to the system that no object uses any more; it blocks."""
    import ctypes  # noqa: PLC0415 - it costs what a service that unloads nothing need not pay

    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:  # glibc has it
        trim(0)


def _resident_bytes() -> int:
    import psutil  # noqa: PLC0415 - only a load needs it

    return int(psutil.Process().memory_info().rss)
