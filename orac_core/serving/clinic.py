"""Where slow models are diagnosed, examined by experiment, and given what may help."""

import asyncio
import os
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from contextlib import aclosing, asynccontextmanager, closing
from pathlib import Path
from typing import TypeVar

from attrs import define

from ..doctor import (
    Diagnosis,
    Doing,
    Experiment,
    Outcome,
    Remedies,
    Report,
    Step,
    Tried,
    Trying,
)
from ..doctor.experiment import CYCLES
from ..doctor.patient import CANARIES
from ..errors import BackendError, StateConflict
from ..files import ModelFiles
from ..types import ModelState, ServedModel
from .admission import Ticket
from .bed import Bed, Bring
from .fleet import Fleet
from .pool import PAUSE_S
from .slots import Slot

T = TypeVar("T")

Found = Callable[[str], Awaitable[tuple[ServedModel, Slot]]]
"""Finds the model that a name means, and its slot."""

Examined = Diagnosis | Doing | Step | Report
Treated = Diagnosis | Trying | Tried | Outcome


@define(eq=False)
class Clinic:
    """Finds out why models are slow.

    Attributes:
        fleet: All models.
        files: The model files found on the search path.
        found: Finds a model by its name.
        bring: Loads one.
    """

    fleet: Fleet
    files: ModelFiles
    found: Found
    bring: Bring

    @property
    def diagnoses(self) -> Mapping[str, Diagnosis]:
        """Why models are slow that are, by ``instance/model``, as it was found when they became."""
        return {"/".join(key): found for key, found in self.fleet.watch.diagnoses.items()}

    async def diagnose(self, name: str) -> Diagnosis:
        """Say why a model is as fast as it is; while nothing else goes on it is asked a few times.

        Raises:
            ModelNotFound: when there is no such model.
            StateConflict: when it is not loaded, or is being examined.
            BackendError: when it does not answer.
        """
        _, slot = await self._loaded(name)
        return await self._diagnosed(slot)

    async def forget(self, name: str) -> None:
        """Forget how fast a model was: what it does from now on is the usual.

        Raises:
            ModelNotFound: when there is no such model.
            StateConflict: when it is being examined.
        """
        _, slot = await self.found(name)
        self.fleet.watch.forget(slot, loaded=slot.state is ModelState.READY)

    async def examine(self, name: str, cycles: int = CYCLES) -> AsyncGenerator[Examined, None]:
        """Find out by experiment why a model is slow: its diagnosis, each step, the report.

        Nobody else can use the model meanwhile. Closing this ends the experiment; the model is
        left as it was found.

        Args:
            name: Name of the model.
            cycles: How often it is unloaded and loaded at once.

        Raises:
            ModelNotFound: when there is no such model.
            StateConflict: when it is not loaded, or a model is being examined.
            DeadlineExceeded: when its running answers do not end.
            BackendError: when it does not answer.
        """
        async with self._alone(name) as bed:
            yield await self._diagnosed(bed.slot)
            witness = self.fleet.watch.witness(bed.slot.key)
            experiment = Experiment(bed, witness.usual, witness.then, cycles)
            async with self._undisturbed(experiment.run()) as steps:
                async for each in steps:
                    yield each

    async def remedy(self, name: str) -> AsyncGenerator[Treated, None]:
        """Try what may help a slow model: its diagnosis, each attempt, the outcome.

        What makes it faster stays, the rest is undone. Raises, and is ended, as `examine`.
        """
        async with self._alone(name) as bed:
            diagnosis = await self._diagnosed(bed.slot)
            yield diagnosis
            usual = self.fleet.watch.witness(bed.slot.key).usual
            remedies = Remedies(bed, diagnosis.findings, usual)
            async with self._undisturbed(remedies.run()) as attempts:
                async for each in attempts:
                    yield each

    async def _diagnosed(self, slot: Slot) -> Diagnosis:
        watch = self.fleet.watch
        try:
            rates = await watch.canaries.at_once(slot, CANARIES)
        except TimeoutError as error:
            text = f"{slot.model} does not answer in time; unload it, and load it again"
            raise BackendError(text, instance=slot.instance.name) from error
        return await watch.diagnosed(slot.key, rates)

    async def _loaded(self, name: str) -> tuple[ServedModel, Slot]:
        model, slot = await self.found(name)
        if slot.state is not ModelState.READY:
            shown = "/".join(slot.key)
            raise StateConflict(f"{shown} is {slot.state}; load it first: `orac load {shown}`")
        return model, slot

    @asynccontextmanager
    async def _alone(self, name: str) -> AsyncIterator[Bed]:
        """Have a model examined once its running answers have ended; it does not expire."""
        model, slot = await self._loaded(name)
        with self.fleet.ward.taken(slot.key):
            try:
                with slot.admission.held():
                    stage = "waiting for running answers to end"
                    with closing(Ticket(self.fleet.limits.room_s, stage)) as ticket:
                        await ticket.wait(_at_rest(slot))
                    yield Bed(self.fleet, slot, self.bring, await self._readable(model))
            finally:
                slot.keep(None)

    @asynccontextmanager
    async def _undisturbed(
        self, work: AsyncGenerator[T, None]
    ) -> AsyncIterator[AsyncGenerator[T, None]]:
        """Have no canaries beside *work*, and close it at the end."""
        with self.fleet.watch.canaries.held():
            async with aclosing(work):
                yield work

    async def _readable(self, model: ServedModel) -> tuple[Path, ...]:
        """Return the files of a model that can be read here; none where one can not."""
        file = await self.files.find(model.info.id) if model.info.file else None
        parts = file.parts if file else ()
        readable = await asyncio.to_thread(lambda: [os.access(it, os.R_OK) for it in parts])
        return parts if all(readable) else ()


async def _at_rest(slot: Slot) -> None:
    """Wait until nobody uses a model who has come before it was taken."""
    admission = slot.admission
    while slot.busy or admission.waiting or admission.active > 1:  # noqa: ASYNC110 - rarely long
        await asyncio.sleep(PAUSE_S)
