"""Models of roles that are not there yet: waited for, though not for long where another answers."""

import asyncio
from collections.abc import Sequence

from attrs import define

from ..errors import DeadlineExceeded
from ..provision import Provisioning
from .admission import Ticket
from .fleet import Fleet
from .flight import exhaust
from .names import Attempt

PATIENCE_S = 2.0
"""Time in which a model that is there already is surely found."""

SHARE = 0.25
"""Part of a request's time that may pass before it is passed on; the rest is for the answer."""


@define(eq=False)
class Supply:
    """Sees to it that the model of a role is there before it is asked.

    Attributes:
        fleet: Has the models.
        provisioning: Fetches them.
    """

    fleet: Fleet
    provisioning: Provisioning

    async def wait(self, attempt: Attempt, others: Sequence[Attempt], ticket: Ticket) -> None:
        """Return when a model is there; at once for most, as nothing is to be fetched for them.

        Args:
            attempt: What is tried.
            others: What may be tried after it.
            ticket: Until when.

        Raises:
            BackendUnavailable: when it is not there soon, and one of the *others* is loaded.
            BackendError: when it can not be fetched.
            DeadlineExceeded: when the deadline passed; the fetch goes on.
        """
        role = attempt.role
        if role is None or attempt.fallback or role not in self.provisioning.wanted:
            return
        ticket.stage = "waiting for the model to be fetched"
        try:
            await ticket.wait(self._fetched(role, others, patience_s(ticket.deadline_s)))
        except DeadlineExceeded as error:
            raise (self.provisioning.why_late(role) or error) from error.__cause__

    async def _fetched(self, role: str, others: Sequence[Attempt], longest_s: float) -> None:
        """Wait, and see again and again whether one of the *others* is loaded by then."""
        span_s = max(0.0, longest_s - self.provisioning.underway_s(role))
        while not await self._came(role, span_s if others else None):
            if not any(map(self.fleet.stands_by, others)):
                await self.fleet.survey()  # another program may have loaded one
            error = self.provisioning.why_missing(role)
            if error and any(map(self.fleet.stands_by, others)):
                raise error
            span_s = longest_s

    async def _came(self, role: str, within_s: float | None) -> bool:
        try:
            async with asyncio.timeout(within_s):
                await exhaust(self.provisioning.first_use(role))
        except TimeoutError:
            return False
        return True


def patience_s(deadline_s: float) -> float:
    """Return how long a request that may take *deadline_s* waits while another could answer it."""
    return min(PATIENCE_S, SHARE * deadline_s)
