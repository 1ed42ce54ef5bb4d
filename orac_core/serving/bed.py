"""A model in the hands of the doctor: loaded, unloaded and measured as `doctor.Bench` has it."""

from collections.abc import AsyncGenerator, Callable
from contextlib import closing
from pathlib import Path

from attrs import define, evolve, field

from ..doctor import Snapshot, Standing
from ..errors import BackendError, StateConflict
from ..types import LoadedInfo, LoadProgress, LoadRequest, ModelState
from .admission import Ticket
from .canaries import DEADLINE_S, TOKENS, sing
from .fleet import Fleet
from .flight import exhaust
from .slots import Slot

TRIES = 5
"""How often a canary is asked for again when something else was answered at the same time."""

Bring = Callable[[Slot, LoadRequest], AsyncGenerator[LoadProgress, None]]
"""Loads a model, and yields how far that is."""


@define(eq=False)
class Bed:
    """One model, which nobody else uses meanwhile.

    Attributes:
        fleet: All models.
        slot: The model.
        bring: Loads it.
        files: Its files, as far as they can be read here.
        found: How it was loaded when it came.
    """

    fleet: Fleet
    slot: Slot
    bring: Bring
    files: tuple[Path, ...] = ()
    found: LoadRequest = field(init=False)
    _since: float | None = field(default=None, init=False)

    def __attrs_post_init__(self) -> None:
        self.found = as_loaded(self.slot)

    async def standing(self) -> Standing:
        """Return how it stands."""
        return Standing(self.slot.state is ModelState.READY, self.found.gpu_layers)

    async def load(self, gpu_layers: int | None) -> None:
        """Load it as it was when it came, with so many layers on the GPU."""
        await exhaust(self.bring(self.slot, evolve(self.found, gpu_layers=gpu_layers)))
        await self.fleet.survey()

    async def unload(self) -> None:
        """Take it out of memory."""
        await self.slot.unload(force=False)

    async def canary(self) -> float:
        """Return the decode rate of one short answer that was made alone.

        Raises:
            BackendError: when the engine fails, or the answer is too short to be measured.
            DeadlineExceeded: when it takes too long.
            StateConflict: when something else is answered at the same time, again and again.
        """
        if self._since is None:
            self._since = self.fleet.watch.sampler.clock()
        for _ in range(TRIES):
            rate, alone = await self._sung()
            if rate is None:
                raise _too_short(self.slot)
            if alone:
                return rate
        raise StateConflict(
            "other models answer all the time, so the rate of this one alone can not be measured; "
            "try again when it is quiet"
        )

    async def snapshot(self) -> Snapshot:
        """Return what is known around the canaries since the last snapshot."""
        since, self._since = self._since, None
        return await self.fleet.watch.snapshot(self.slot.key, since)

    async def _sung(self) -> tuple[float | None, bool]:
        """Return the rate of a canary, and whether it was alone."""
        with (
            closing(Ticket(DEADLINE_S, "being measured")) as ticket,
            self.fleet.watch.answering() as company,
            self.slot.answering(ticket),
        ):
            rate = await ticket.wait(sing(self.slot.instance, self.slot.model))
        return rate, company.alone


def as_loaded(slot: Slot) -> LoadRequest:
    """Return the request that loads a model again as it is loaded now."""
    loaded = slot.info.loaded or LoadedInfo()
    asked = slot.asked or LoadRequest(slot.model, loaded.context_length)
    return evolve(asked, keep_alive_s=slot.lifetime.keep_s)


def _too_short(slot: Slot) -> BackendError:
    return BackendError(
        f"{slot.model} ends its answers before {TOKENS // 2} tokens, or its engine tells no rate, "
        "so it can not be measured",
        instance=slot.instance.name,
        operation="generate",
    )
