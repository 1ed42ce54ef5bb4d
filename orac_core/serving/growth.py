"""Growth: a model elsewhere that does more at once than it did, found out while requests wait.

A cluster starts replicas of a model while those there are busy. Who waits is not to wait until
somebody happens to ask for a list of the models.
"""

import asyncio

from attrs import define, field

from .fleet import Fleet
from .flight import forget_error
from .pool import Key
from .slots import Slot

EVERY_S = 2.0
"""Time between two looks at a model that requests wait for."""


@define(eq=False)
class Growth:
    """Asks how much models do at once, as long as requests wait for them.

    Attributes:
        fleet: Has the models.
        every_s: Time between two looks.
    """

    fleet: Fleet
    every_s: float = EVERY_S
    _looks: dict[Key, asyncio.Task[None]] = field(factory=dict, init=False)
    _closed: bool = field(default=False, init=False)

    def notice(self, slot: Slot) -> None:
        """Take note that a request comes for a model, before it has its turn, or has loaded it."""
        if slot.admission.free or slot.key in self._looks or self._closed or not may_grow(slot):
            return
        look = asyncio.create_task(self._look(slot), name=f"does {slot.model} do more at once")
        self._looks[slot.key] = look
        look.add_done_callback(forget_error)

    async def close(self) -> None:
        """Look no more."""
        self._closed = True
        looks = tuple(self._looks.values())
        for each in looks:
            each.cancel()
        await asyncio.gather(*looks, return_exceptions=True)

    async def _look(self, slot: Slot) -> None:
        others = {*self.fleet.backends.open} - {slot.instance.name}
        try:
            while slot.admission.waiting:
                await self.fleet.survey(but=others)
                await asyncio.sleep(self.every_s)
        finally:  # in that moment: who comes in the next one begins another
            self._looks.pop(slot.key, None)


def may_grow(slot: Slot) -> bool:
    """Return whether a model may do more at once without being loaded anew, and be let."""
    loaded, limits = slot.info.loaded, slot.limits
    told = loaded is not None and loaded.parallel is not None
    return told and slot.info.remote and limits.max_concurrency is None
