"""Roles that prefer a backend which has their model loaded: which is asked first, and news of them.

A request never waits for news where one of them is known to be loaded. So once such a role was
asked for, all backends are asked now and then in the background.
"""

import asyncio
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import suppress

from attrs import define, field, frozen

from ..errors import OracError
from ..types import ModelState
from .fleet import Fleet
from .flight import forget_error
from .names import Attempt, Known
from .pool import Key

EVERY_S = 2.0
"""Time between two looks at all backends."""

IDLE_S = 60.0
"""After so long without a request it is looked less often."""

REST_S = 30.0
"""Time between two looks then."""

Candidates = tuple[tuple[Attempt, Key], ...]


@frozen
class Bid:
    """What speaks for a backend that has the model of a role.

    Attributes:
        warm: Whether it has the model loaded.
        spared: Whether it is not asked for a while, as it could not be reached.
        busy: Requests that run or wait there.
    """

    warm: bool = False
    spared: bool = False
    busy: int = 0


def order(candidates: Sequence[Bid]) -> tuple[int, ...]:
    """Return the places of the *candidates* in the order in which they are to be asked (pure).

    First those that are not spared; of them those that are warm, the least busy first. What is
    alike stays in the order given, and so do all that are not warm.
    """
    return tuple(sorted(range(len(candidates)), key=lambda place: _rank(candidates[place])))


def _rank(bid: Bid) -> tuple[bool, bool, int]:
    return bid.spared, not bid.warm, bid.busy if bid.warm else 0


@define(eq=False)
class Warm:
    """Finds who is to be asked for a role that prefers what is loaded.

    Attributes:
        fleet: Has the models.
        clock: Tells seconds that never go back.
        every_s: Time between two looks.
        idle_s: After so long without a request it is looked less often.
        rest_s: Time between two looks then.
    """

    fleet: Fleet
    clock: Callable[[], float] = time.monotonic
    every_s: float = EVERY_S
    idle_s: float = IDLE_S
    rest_s: float = REST_S
    _as_of: Mapping[str, Known] = field(factory=dict, init=False)
    _found: dict[str, Candidates] = field(factory=dict, init=False)
    _asked_at: float = field(default=float("-inf"), init=False)
    _looking: asyncio.Task[None] | None = field(default=None, init=False)
    _woken: asyncio.Event = field(factory=asyncio.Event, init=False)

    async def attempts(self, role: str) -> tuple[Attempt, ...]:
        """Return what to try for a role, in order; all are asked first where none is loaded."""
        self._watch()
        candidates = self._candidates(role)
        bids = [self._bid(key) for _, key in candidates]
        if not any(it.warm and not it.spared for it in bids):
            await self.fleet.survey()
            candidates = self._candidates(role)
            bids = [self._bid(key) for _, key in candidates]
        return self._in_order(role, candidates, order(bids))

    async def close(self) -> None:
        """Look no more."""
        if self._looking is not None:
            self._looking.cancel()
            await asyncio.wait([self._looking])

    def _in_order(
        self, role: str, candidates: Candidates, places: Sequence[int]
    ) -> tuple[Attempt, ...]:
        own, *fallbacks = self.fleet.names.attempts(role)
        if not candidates:
            return own, *fallbacks
        chosen = tuple(candidates[place][0] for place in places)
        return (*chosen, *_without(chosen, fallbacks))

    def _candidates(self, role: str) -> Candidates:
        if self._as_of is not self.fleet.available:
            self._as_of = self.fleet.available
            self._found.clear()
        found = self._found.get(role)
        if found is None:
            own, *_ = self.fleet.names.attempts(role)
            found = self._found[role] = self.fleet.names.everywhere(own, self._as_of)
        return found

    def _bid(self, key: Key) -> Bid:
        slot = self.fleet.slots.get(key)
        if slot is None:
            return Bid()
        busy = slot.admission.active + slot.admission.waiting + (slot.info.others or 0)
        return Bid(slot.state is ModelState.READY, slot.breaker.spares, busy)

    @property
    def _idle(self) -> bool:
        return self.clock() - self._asked_at >= self.idle_s

    def _watch(self) -> None:
        if self._idle:
            self._woken.set()
        self._asked_at = self.clock()
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._look(), name="which models are warm")
            self._looking.add_done_callback(forget_error)

    async def _look(self) -> None:
        while True:
            self._woken.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(self.rest_s if self._idle else self.every_s):
                    await self._woken.wait()
            with suppress(OracError):
                await self.fleet.survey()


def _without(chosen: Collection[Attempt], fallbacks: Collection[Attempt]) -> Iterator[Attempt]:
    """Yield the fallbacks that are not tried as the role's own model already."""
    names = {each.name for each in chosen}
    yield from (each for each in fallbacks if each.name not in names)
