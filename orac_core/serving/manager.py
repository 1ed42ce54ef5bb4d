"""The face of it all: which models there are, loading and unloading them, and answering."""

import math
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing

from attrs import Factory, define, evolve, field

from ..conversation import Answer, Chunk, Embedded, EmbedRequest, GenerateRequest
from ..devices import Machine, Sampler, Sensors
from ..doctor import Diagnosis
from ..doctor.experiment import CYCLES
from ..errors import ShuttingDown
from ..events import Events
from ..files import Adapters, ModelFiles
from ..health import Health, Required
from ..manifest import ActiveProfile, BenchmarkSettings, ModelsSettings
from ..memory import Plan
from ..outage import again_s
from ..plugins import Plugins
from ..provision import Provisioning
from ..registry import Registration
from ..state_directory import StateDirectory
from ..types import Loaded, LoadedInfo, LoadProgress, LoadRequest, ModelState, ServedModel, Unloaded
from . import registered
from . import repair as repairing
from .admission import Limits
from .breaker import Spell
from .census import Census
from .checkup import Checkup
from .clinic import Clinic, Examined, Treated
from .engines import Backends
from .fleet import Fleet
from .ledger import Ledger
from .lending import Lending
from .loans import Loans
from .names import Attempt, Names, Target
from .options import refuse_other_options
from .replies import Replies
from .slots import Slot
from .start import Start
from .supply import Supply
from .wardrobe import Wardrobe, kinds_of
from .watch import Watch


@define(eq=False)
class ModelManager(Lending):
    """Every model of every backend behind one interface. Make one with ``orac_core.open``.

    Names of models are resolved as documented: role, alias, ``instance/model``, model.

    Attributes:
        backends: The backends.
        plugins: The plugins they came from.
        files: The model files found on the search path.
        names: Roles and aliases.
        limits: Bounds of the service.
        settings: What the manifest wants of models.
        benchmark: What it wants of benchmarks.
        profile: The roles that hold, and those that are left out.
        adapters: The LoRA adapters of this machine.
        wall: Tells the time of day, in seconds since 1970.
        sensors: Tell what the machine does; they stay their maker's to close.
        required: What has to be usable for all to be well.
        state: Keeps what is learned over a restart.
        registry: Objects that the program which uses this has registered.
        events: Tells what happens: states, loads, answers, models that became slow.
        provisioning: Fetches the models of the roles.
        sampler: Samples the machine: once a second while it is entered, fast for who measures.
        start: Loads what is to be loaded from the start on.
        clinic: Finds out why models are slow.
        closing: True once no new work is taken.
    """

    backends: Backends
    plugins: Plugins
    files: ModelFiles
    names: Names = field(factory=Names)
    limits: Limits = field(factory=Limits)
    settings: ModelsSettings = field(factory=ModelsSettings)
    benchmark: BenchmarkSettings = field(factory=BenchmarkSettings, kw_only=True)
    profile: ActiveProfile = field(factory=ActiveProfile, kw_only=True)
    adapters: Adapters = field(
        default=Factory(lambda self: Adapters(self.files), takes_self=True), kw_only=True
    )
    wall: Callable[[], float] = time.time
    sensors: Sensors = field(factory=Sensors)
    required: Required = field(factory=Required)
    state: StateDirectory = field(factory=lambda: StateDirectory(None))
    events: Events = field(factory=Events)
    provisioning: Provisioning = field(factory=Provisioning, kw_only=True)
    sampler: Sampler = field(init=False)
    clinic: Clinic = field(init=False)
    closing: bool = field(default=False, init=False)
    _closes_at: float = field(default=0.0, init=False)
    _fleet: Fleet = field(init=False)
    _checkup: Checkup = field(init=False)
    _ledger: Ledger = field(init=False)
    _replies: Replies = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._ledger = Ledger(self.state)
        self.sampler = Sampler(self.sensors, self.events)
        self._fleet = Fleet(
            self.backends,
            self.names,
            self.settings,
            self.limits,
            self.sensors,
            self._ledger,
            self.wall,
            self.events,
            sampler=self.sampler,
            wardrobe=Wardrobe.of(
                self.adapters,
                self.profile.roles,
                lambda key: self._fleet.wanted(key).adapters,
                kinds_of(self.backends.kinds, self.plugins.kinds),
                self.settings,
            ),
        )
        self.start = Start(self._load_at_start, self.settings.retries)
        supply = Supply(self._fleet, self.provisioning)
        self._replies = Replies(self._fleet, self._aim, self._stages, lambda: self.closing, supply)
        self._checkup = Checkup(
            self._fleet,
            self.plugins,
            self.profile,
            self.start,
            self.provisioning,
            self.state,
        )
        self._loans = Loans(self._fleet, self._aim, self._stages, supply)
        for it in self.registry:
            self._adopt(it)
        self.clinic = Clinic(self._fleet, self.files, self._wanted, self._stages)

    @property
    def busy(self) -> bool:
        """Whether a model is being loaded or unloaded, or an answer is running."""
        return self._fleet.busy

    @property
    def watch(self) -> Watch:
        """How fast each model answers, and what else goes on."""
        return self._fleet.watch

    @property
    def closes_in_s(self) -> float:
        """Seconds until the last answer has ended, once ``closing``; at least one."""
        return again_s(self._closes_at - time.monotonic())

    @property
    def census(self) -> Census:
        """How everything stands, as far as it is known without asking any engine."""
        return self._fleet.census()

    def breaker(self, instance: str) -> Spell:
        """Return whether the backend of that name is spared, as it could not be reached."""
        return self._fleet.engines.breaker(instance).spell

    async def models(self, *, relayed: bool = False) -> list[ServedModel]:
        """List every model of every backend that answers, in the manifest's order.

        Args:
            relayed: Whether another ORAC asks, which is told nothing of what a third one serves.
        """
        models, _ = await self._fleet.survey(but=self._fleet.engines.relays if relayed else ())
        return [each for each in models if not (relayed and each.info.relayed)]

    async def find(self, name: str) -> ServedModel:
        """Return the model that *name* means.

        Raises:
            ModelNotFound: when there is none.
            BackendUnavailable: when a backend that might have it does not answer.
        """
        return await self._fleet.find(name)

    async def plan(self, request: LoadRequest) -> Plan:
        """Say whether a load would fit, and what would have to go; nothing is changed.

        Raises:
            ModelNotFound: when there is no such model.
            StateConflict: when it is loaded with other options.
            BackendUnavailable: when a backend that might have it does not answer.
        """
        await self._ledger.open()
        slot = self._fleet.slot(await self.find(request.model))
        found = await self._fleet.plan(slot.key, request)
        if found.loaded:
            asked = evolve(request, model=slot.model)
            refuse_other_options(asked, "is loaded", slot.asked, slot.info.loaded)
        return found

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
            StateConflict: when it is, or is being, loaded with other options, or is not to be
                pinned any more although the manifest says so.
            InsufficientMemory: when it does not fit, whatever may go.
            BackendError: when the engine fails.
        """
        started = time.perf_counter()
        self._refuse_when_closing()
        async with aclosing(self.provisioning.first_use(request.model)) as steps:
            async for step in steps:
                yield LoadProgress("fetch", step.completed, step.total, step.message)
        model, slot = await self._wanted(request.model)
        self._fleet.refuse_unpinning(slot.key, request)
        asked_s = math.inf if request.pinned else request.keep_alive_s
        keep_s = self._fleet.keep_s(slot.key, asked_s)
        name, request = request.model, evolve(request, model=slot.model, keep_alive_s=keep_s)
        already = slot.state is ModelState.READY
        if not already:
            slot.setbacks.forgive()
            async with aclosing(self._stages(slot, evolve(request, model=name))) as stages:
                async for stage in stages:
                    yield stage
        if not model.info.loaded:
            model = await self.find(f"{slot.instance.name}/{slot.model}")
        applied = model.info.loaded or LoadedInfo()
        refuse_other_options(request, "is loaded", slot.asked, applied)
        self._fleet.wardrobe.refuse_others(slot, name)
        self._fleet.pin(slot, request)
        slot.keep(request.keep_alive_s)
        yield Loaded(
            slot.model,
            slot.instance.name,
            time.perf_counter() - started,
            applied,
            already,
            model.info.warning,
            () if already else slot.evicted,
            model.needs_bytes,
        )

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

    def generate(
        self, request: GenerateRequest, *, deadline_s: float | None = None
    ) -> AsyncGenerator[Chunk | Answer, None]:
        """Answer *request*, loading its model when need be: pieces, then the whole Answer.

        Exactly one of two things ends it: the Answer, or an error. Closing it stops the engine.
        When the deadline passes after the first token, the Answer says so in its
        ``finish_reason``. No piece is ``done``.

        Raises:
            InvalidRequest: when the request makes no sense.
            ModelNotFound: when there is no such model.
            ModelFileInvalid: when its file can not be used.
            QueueFull: when too many wait for it.
            DeadlineExceeded: when the deadline passed before the first token.
            BackendError: when the engine fails, also in the middle of the answer.
            ShuttingDown: when ORAC is stopping.
        """
        return self._replies.generate(request, deadline_s)

    async def answer(
        self, request: GenerateRequest, *, deadline_s: float | None = None, repair: bool = False
    ) -> Answer:
        """Return the whole answer to *request*; raises as `generate` does.

        With *repair* a model whose answer misses the format asked for is told what is wrong and
        asked once more, as long as the deadline allows; when that fails the first answer holds.
        """
        if not repair:
            return await self._whole(request, deadline_s)
        allowed_s = self.limits.deadline_s if deadline_s is None else deadline_s
        return await repairing.repaired(self._whole, request, allowed_s)

    async def embed(self, request: EmbedRequest, *, deadline_s: float | None = None) -> Embedded:
        """Turn texts into vectors, loading the model when need be; raises as `generate` does.

        Raises:
            InvalidRequest: also when the model makes no vectors, or a text is too long for it.
        """
        return await self._replies.embed(request, deadline_s)

    async def diagnose(self, name: str) -> Diagnosis:
        """Say why a model is as fast as it is; see `Clinic.diagnose`."""
        return await self.clinic.diagnose(name)

    def examine(self, name: str, cycles: int = CYCLES) -> AsyncGenerator[Examined, None]:
        """Find out by experiment why a model is slow; see `Clinic.examine`."""
        return self.clinic.examine(name, cycles)

    def remedy(self, name: str) -> AsyncGenerator[Treated, None]:
        """Try what may help a slow model; see `Clinic.remedy`."""
        return self.clinic.remedy(name)

    async def health(self) -> Health:
        """Say how everything is. Never raises because a backend is down."""
        return await self._checkup.verdict(self.required)

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
        drain_s = self.limits.drain_s if drain_s is None else drain_s
        self._closes_at = time.monotonic() + drain_s
        await self.start.close()
        await self._replies.close()
        await self.provisioning.close()
        await self.watch.close()
        await self._fleet.stop(drain_s)
        await self._ledger.close()

    async def _whole(self, request: GenerateRequest, deadline_s: float | None) -> Answer:
        async with aclosing(self.generate(request, deadline_s=deadline_s)) as pieces:
            async for piece in pieces:
                if isinstance(piece, Answer):
                    return piece
        raise AssertionError("unreachable: generate ends with an Answer or raises")

    async def _stages(self, slot: Slot, request: LoadRequest) -> AsyncGenerator[LoadProgress, None]:
        """Load a model with what the manifest wants of it, and yield how far it is.

        The *request* may be for any name of it: its adapters hang on that.
        """
        await self._ledger.open()
        self._refuse_when_closing()
        dressed = await self._fleet.wardrobe.dressed(request, slot)
        asked = dressed if self._fleet.wardrobe.strict(request.model) else request
        asked = evolve(asked, model=slot.model)
        wanted = self._fleet.request(dressed, slot.key)
        async with aclosing(slot.ensure_ready(asked, wanted)) as stages:
            async for stage in stages:
                yield stage

    async def _load_at_start(self, name: str) -> None:
        await self.load(LoadRequest(name))

    async def _wanted(self, name: str) -> tuple[ServedModel, Slot]:
        self._refuse_when_closing()
        model = await self.find(name)
        self._refuse_when_closing()  # it may have begun to close meanwhile
        slot = self._fleet.slot(model)
        self._fleet.ward.refuse(slot.key)
        return model, slot

    async def _aim(self, attempt: Attempt) -> tuple[Target, Slot]:
        self._refuse_when_closing()
        target, slot = await self._fleet.aim(attempt)
        self._fleet.ward.refuse(slot.key)
        return target, slot

    def _adopt(self, it: Registration) -> None:
        self.settings = self._fleet.settings = registered.with_wishes(self.settings, it)
        self.required = registered.with_name(self.required, it)

    def _refuse_when_closing(self) -> None:
        if self.closing:
            text = "ORAC is stopping and takes no new work; ask again in a moment"
            raise ShuttingDown(text, self.closes_in_s)
