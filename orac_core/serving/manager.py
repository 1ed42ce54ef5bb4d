"""The face of it all: which models there are, loading and unloading them, and answering."""

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Collection, Mapping
from contextlib import aclosing, asynccontextmanager
from functools import partial

from attrs import define, evolve, field

from ..devices import Machine, Sensors
from ..errors import (
    BackendUnavailable,
    DeadlineExceeded,
    ModelNotFound,
    OracError,
    ShuttingDown,
)
from ..files import ModelFiles
from ..files.names import look_up
from ..health import Health, Required, fold
from ..plugins import Plugins
from ..types import (
    Answer,
    Chunk,
    GenerateRequest,
    Loaded,
    LoadedInfo,
    LoadProgress,
    LoadRequest,
    ModelInfo,
    ModelState,
    ServedModel,
    Unloaded,
)
from . import formats
from .admission import Limits, Ticket
from .draft import Draft
from .engines import Backends, Engines
from .names import Known, Names, Target, known
from .slots import Slot, refuse_other_options
from .watch import Company, Key, Watch


@define(eq=False)
class ModelManager:
    """Every model of every backend behind one interface. Make one with ``orac_core.open``.

    Names of models are resolved as documented: role, alias, ``instance/model``, model.

    Attributes:
        backends: The backends.
        plugins: The plugins they came from.
        files: The model files found on the search path.
        names: Roles and aliases.
        limits: Bounds of the service.
        context_lengths: Context to load a model with when the caller names none.
        wall: Tells the time of day, in seconds since 1970.
        sensors: Tell what the machine does; they stay their maker's to close.
        required: What has to be usable for all to be well.
        closing: True once no new work is taken.
    """

    backends: Backends
    plugins: Plugins
    files: ModelFiles
    names: Names = field(factory=Names)
    limits: Limits = field(factory=Limits)
    context_lengths: Mapping[str, int] = field(factory=dict)
    wall: Callable[[], float] = time.time
    sensors: Sensors = field(factory=Sensors)
    required: Required = field(factory=Required)
    closing: bool = field(default=False, init=False)
    _engines: Engines = field(init=False)
    _watch: Watch = field(init=False)
    _slots: dict[tuple[str, str], Slot] = field(factory=dict, init=False)
    _available: Mapping[str, Known] = field(factory=dict, init=False)

    def __attrs_post_init__(self) -> None:
        self._engines = Engines(self.backends, self.limits)
        self._watch = Watch(self.sensors)

    async def models(self) -> list[ServedModel]:
        """List every model of every backend that answers, in the manifest's order."""
        models, _ = await self._survey()
        return models

    async def find(self, name: str) -> ServedModel:
        """Return the model that *name* means.

        Raises:
            ModelNotFound: when there is none.
            BackendUnavailable: when a backend that might have it does not answer.
        """
        models, silent = await self._survey()
        target = self._resolve(name, silent)
        for model in models:
            if (model.instance, model.info.id) == (target.instance, target.model):
                return model
        raise ModelNotFound(name)

    async def load(self, request: LoadRequest) -> Loaded:
        """Bring a model into memory and prove that it answers; raises as `load_progress` does."""
        async with aclosing(self.load_progress(request)) as stages:
            async for stage in stages:
                if isinstance(stage, Loaded):
                    return stage
        raise AssertionError("unreachable: a load ends with Loaded or raises")

    async def load_progress(
        self, request: LoadRequest
    ) -> AsyncGenerator[LoadProgress | Loaded, None]:
        """Bring a model into memory, saying how far it is; the last item is the Loaded.

        Many callers, one load. A model that is loaded already is left as it is. The load is given
        up when all who wait for it have left.

        Raises:
            ModelNotFound: when there is no such model.
            ModelFileInvalid: when its file can not be used.
            StateConflict: when it is, or is being, loaded with other options.
            BackendError: when the engine fails.
        """
        started = time.perf_counter()
        model, slot = await self._wanted(request.model)
        request = evolve(request, model=slot.model)
        already = slot.state is ModelState.READY
        if not already:
            async with aclosing(slot.ensure_ready(self._with_defaults(request))) as stages:
                async for stage in stages:
                    yield stage
        if not model.info.loaded:
            model = await self.find(f"{slot.instance.name}/{slot.model}")
        applied = model.info.loaded or LoadedInfo()
        refuse_other_options(request, "is loaded", slot.asked, applied)
        took = time.perf_counter() - started
        yield Loaded(slot.model, slot.instance.name, took, applied, already, model.info.warning)

    async def unload(self, name: str, *, force: bool = False) -> Unloaded:
        """Free the memory of a model, and return when it is back. No error when it has none.

        Args:
            name: Name of the model.
            force: End its running answers with an error instead of waiting for them.

        Raises:
            ModelNotFound: when there is no such model.
            BackendError: when the engine does not give the memory back.
        """
        started = time.perf_counter()
        model, slot = await self._wanted(name)
        await slot.unload(force=force)
        freed = model.info.loaded.memory_bytes if model.info.loaded else 0
        return Unloaded(slot.model, slot.instance.name, time.perf_counter() - started, freed)

    async def generate(
        self, request: GenerateRequest, *, deadline_s: float | None = None
    ) -> AsyncGenerator[str | Answer, None]:
        """Answer *request*, loading its model when need be: pieces of text, then the Answer.

        Exactly one of two things ends it: the Answer, or an error. Closing it stops the engine.
        When the deadline passes after the first token, the Answer says so in its
        ``finish_reason``.

        Raises:
            InvalidRequest: when the request makes no sense.
            ModelNotFound: when there is no such model.
            ModelFileInvalid: when its file can not be used.
            QueueFull: when too many wait for it.
            DeadlineExceeded: when the deadline passed before the first token.
            BackendError: when the engine fails, also in the middle of the answer.
            ShuttingDown: when ORAC is stopping.
        """
        formats.check(request.format)
        ticket = Ticket(self.limits.deadline_s if deadline_s is None else deadline_s)
        target, slot = await ticket.wait(self._aim(request.model))
        draft = Draft(request, target)
        async with slot.admission.turn(ticket):
            draft.admitted()
            work = self._answer(evolve(request, model=target.model), slot, ticket, draft)
            async with aclosing(work) as pieces:
                async for piece in pieces:
                    yield piece

    async def answer(self, request: GenerateRequest, *, deadline_s: float | None = None) -> Answer:
        """Return the whole answer to *request*; raises as `generate` does."""
        async with aclosing(self.generate(request, deadline_s=deadline_s)) as pieces:
            async for piece in pieces:
                if isinstance(piece, Answer):
                    return piece
        raise AssertionError("unreachable: generate ends with an Answer or raises")

    async def health(self) -> Health:
        """Say how everything is. Never raises because a backend is down."""
        instances = await self._engines.health()
        self._watch.versions |= {name: it.version for name, it in instances.items() if it.version}
        down = {name for name, health in instances.items() if not health.usable}
        models, silent = await self._survey(but=down)
        for name, error in silent.items():
            if instances[name].usable:
                instances[name] = evolve(instances[name], usable=False, message=str(error))
        return fold(
            instances,
            models,
            self.plugins.broken,
            required=self.required.instances,
            unknown=[name for name, target in self._needed().items() if target is None],
        )

    async def machine(self) -> Machine:
        """Return what the machine says of itself; never raises, what is not known is None."""
        return await self.sensors.look()

    async def close(self, *, drain_s: float | None = None) -> None:
        """Take no new work, let running answers end, then end the rest.

        Args:
            drain_s: Time that running answers get; None for ``limits.drain_s``. A second call may
                cut short a first one.
        """
        self.closing = True
        slots = tuple(self._slots.values())
        if not slots:
            return
        waits = [asyncio.ensure_future(slot.drained()) for slot in slots]
        timeout = self.limits.drain_s if drain_s is None else drain_s
        _, late = await asyncio.wait(waits, timeout=timeout)
        for wait in late:
            wait.cancel()
        reason = ShuttingDown("ORAC is stopping and ended this answer; ask again in a moment")
        ends = [asyncio.ensure_future(slot.abandon(reason)) for slot in slots]
        _, stuck = await asyncio.wait(ends, timeout=self.limits.list_s)
        for end in stuck:
            end.cancel()

    async def _answer(
        self, request: GenerateRequest, slot: Slot, ticket: Ticket, draft: Draft
    ) -> AsyncGenerator[str | Answer, None]:
        """Load and answer; once more when the engine turns out to have lost the model."""
        was_ready = slot.state is ModelState.READY
        await self._ready(slot, ticket, draft)
        try:
            async with aclosing(self._written(request, slot, ticket, draft)) as pieces:
                async for piece in pieces:
                    yield piece
                return
        except BackendUnavailable as error:
            slot.lost(error)
            if draft.text or not was_ready or self.closing:
                raise
        await self._ready(slot, ticket, draft)
        async with aclosing(self._written(request, slot, ticket, draft)) as pieces:
            async for piece in pieces:
                yield piece

    async def _ready(self, slot: Slot, ticket: Ticket, draft: Draft) -> None:
        self._refuse_when_closing()
        if slot.state is not ModelState.READY:
            ticket.stage = "waiting for the model to be loaded"
            request = self._with_defaults(LoadRequest(slot.model))
            await ticket.wait(_exhaust(slot.ensure_ready(request)))
            await ticket.wait(self._survey())  # where it ended up
        draft.ready()

    async def _written(
        self, request: GenerateRequest, slot: Slot, ticket: Ticket, draft: Draft
    ) -> AsyncGenerator[str | Answer, None]:
        ticket.stage = "waiting for the first token"
        slot.last_used_at = self.wall()
        async with slot.answering(ticket), self._stream(slot, request) as (stream, company):
            while True:
                try:
                    chunk = await ticket.wait(anext(stream))
                except DeadlineExceeded:
                    if not draft.text:
                        raise
                    yield draft.finish(Chunk(done=True), "deadline")
                    return
                if chunk.text:
                    draft.add(chunk.text)
                    yield chunk.text
                if chunk.done:
                    answer = draft.finish(chunk, chunk.finish_reason or "stop")
                    self._watch.answered(slot.key, answer, company)
                    yield answer
                    return

    @asynccontextmanager
    async def _stream(
        self, slot: Slot, request: GenerateRequest
    ) -> AsyncIterator[tuple[AsyncGenerator[Chunk, None], Company]]:
        with slot.breaker.watching(), self._watch.answering() as company:
            async with aclosing(slot.instance.generate(request)) as stream:
                yield stream, company

    async def _aim(self, name: str) -> tuple[Target, Slot]:
        """Find the slot of *name*, without asking the backends when its model is ready."""
        self._refuse_when_closing()
        target = self.names.resolve(name, self._available)
        slot = self._slots.get((target.instance, target.model)) if target else None
        if target and slot and slot.state is ModelState.READY:
            return target, slot
        _, silent = await self._survey()
        target = self._resolve(name, silent)
        return target, self._slots[target.instance, target.model]

    async def _wanted(self, name: str) -> tuple[ServedModel, Slot]:
        self._refuse_when_closing()
        model = await self.find(name)
        return model, self._slots[model.instance, model.info.id]

    def _refuse_when_closing(self) -> None:
        if self.closing:
            raise ShuttingDown("ORAC is stopping and takes no new work; ask again in a moment")

    def _resolve(self, name: str, silent: Mapping[str, OracError]) -> Target:
        target = self.names.resolve(name, self._available)
        if target is not None:
            return target
        for instance, error in silent.items():
            raise BackendUnavailable(
                f"{name!r} is not known, but {instance} might have it and does not answer: {error}",
                instance=instance,
                operation="models",
            ) from error
        raise ModelNotFound(name)

    def _with_defaults(self, request: LoadRequest) -> LoadRequest:
        default = look_up(self.context_lengths, request.model)
        return request if request.context_length else evolve(request, context_length=default)

    async def _survey(
        self, *, but: Collection[str] = ()
    ) -> tuple[list[ServedModel], Mapping[str, OracError]]:
        """Ask every backend, *but* those, for its models; return them, and why some are silent."""
        as_of = {key: slot.changes for key, slot in self._slots.items()}
        found = await self._engines.survey(but=but)
        self._remember(found.reports, but)
        return self._listing(found.reports, as_of), found.silent

    def _remember(self, reports: Mapping[str, list[ModelInfo]], but: Collection[str]) -> None:
        self._available = {
            name: self._available.get(name, {}) if name in but else known(reports.get(name, ()))
            for name in self.backends.open
        }
        for key in [key for key, slot in self._slots.items() if slot.unused]:
            if key[1] not in self._available[key[0]]:
                del self._slots[key]

    def _listing(
        self, reports: Mapping[str, list[ModelInfo]], as_of: Mapping[tuple[str, str], int]
    ) -> list[ServedModel]:
        roles = self.names.table(self._available)
        needed = {(it.instance, it.model) for it in self._needed().values() if it}
        listing = []
        for name, infos in reports.items():
            for info in infos:
                key = name, info.id
                slot = self._slot(key)
                now = slot.reported(info, as_of.get(key, 0))
                now = evolve(now, warning=self._watch.seen(key, now))
                kind, used = self.backends.kinds[name], slot.last_used_at
                served = ServedModel(now, name, kind, roles.get(key, ()), used, key in needed)
                listing.append(served)
        return listing

    def _needed(self) -> dict[str, Target | None]:
        return {name: self.names.resolve(name, self._available) for name in self.required.models}

    def _slot(self, key: tuple[str, str]) -> Slot:
        slot = self._slots.get(key)
        if slot is None:
            instance, breaker = self.backends.open[key[0]], self._engines.breaker(key[0])
            slot = Slot(instance, key[1], self.limits, breaker, partial(self._before_load, key))
            self._slots[key] = slot
        return slot

    async def _before_load(self, key: Key, request: LoadRequest) -> None:
        await self._watch.loading(key, (request.context_length, request.gpu_layers))


async def _exhaust(stages: AsyncGenerator[LoadProgress, None]) -> None:
    async with aclosing(stages):
        async for _ in stages:
            pass
