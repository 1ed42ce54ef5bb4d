"""Loans: objects behind models, handed to the program that uses ORAC as a library."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing, contextmanager
from typing import Any

from attrs import define

from ..errors import BackendUnavailable, InvalidRequest
from ..types import LoadRequest, ModelState
from .admission import Ticket
from .fleet import Fleet
from .flight import exhaust
from .replies import Aim, Stages
from .slots import Slot
from .supply import Supply


@define(eq=False)
class Loans:
    """Hands out objects, and loads them when need be.

    Attributes:
        fleet: Has the models.
        aim: Finds what is meant; raises when nothing new is taken.
        stages: Loads a model; raises when nothing new is taken.
        supply: Fetches models that are not there yet.
    """

    fleet: Fleet
    aim: Aim
    stages: Stages
    supply: Supply

    async def get(self, name: str) -> Any:
        """Return the object behind a model, loading it when need be.

        It counts as used now. Whoever keeps the object keeps its memory, also when ORAC has
        unloaded it; `lend` keeps it loaded.

        Raises:
            ModelNotFound: when there is no such model.
            InvalidRequest: when it is no object, but a model in another process.
            DeadlineExceeded: when it could not be loaded in time.
            OracError: what its load failed with.
        """
        async with self.lend(name) as found:
            return found

    @asynccontextmanager
    async def lend(self, name: str) -> AsyncIterator[Any]:
        """Have the object behind a model, which stays loaded as long as the context lasts.

        Models that are in use make no room for others. When it is unloaded by force, or ORAC stops,
        what is done in the context is cancelled.

        Raises:
            StateConflict: when it was unloaded by force meanwhile.
            ShuttingDown: when ORAC has stopped meanwhile.
            OracError: as of `get`.
        """
        with closing(Ticket(self.fleet.limits.deadline_s)) as ticket:
            own, *_ = self.fleet.names.attempts(name)
            await self.supply.wait(own, (), ticket)
            _, slot = await ticket.wait(self.aim(own))
            if "obtain" not in slot.instance.offers:
                raise InvalidRequest(
                    f"{'/'.join(slot.key)} is no object of this process; ask it with `answer`"
                )
            with self._in_use(slot):
                await self._ready(slot, ticket)
                with slot.answering(ticket), ticket.heeded():
                    yield await self._obtained(slot)

    @contextmanager
    def _in_use(self, slot: Slot) -> Iterator[None]:
        """Keep a model from expiring, and some time after."""
        slot.last_used_at = self.fleet.wall()
        try:
            with slot.admission.held():
                yield
        finally:
            slot.keep(None)

    async def _ready(self, slot: Slot, ticket: Ticket) -> None:
        while slot.state is not ModelState.READY:
            ticket.stage = "waiting for the model to be loaded"
            await ticket.wait(slot.respite())
            await ticket.wait(exhaust(self.stages(slot, LoadRequest(slot.model))))
            await ticket.wait(self.fleet.survey())

    async def _obtained(self, slot: Slot) -> object:
        try:
            with slot.breaker.watching():
                return await slot.instance.obtain(slot.model)
        except BackendUnavailable as error:
            slot.lost(error)
            raise
