"""All models of all engines: what the engines report, joined with what the slots know."""

import asyncio
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from types import MappingProxyType

from attrs import define, evolve, field

from ..devices import Sampler, Sensors
from ..durations import keep_alive
from ..errors import ModelNotFound, OracError, ShuttingDown, StateConflict
from ..events import Events
from ..files.names import look_up
from ..manifest import FileSettings, ModelsSettings
from ..memory import Plan, Resident, Space, capacity, demand, plan
from ..types import LoadedInfo, LoadRequest, ModelInfo, ModelState, ServedModel
from .admission import Limits
from .canaries import Canaries
from .census import BackendNow, Census, ModelNow
from .engines import Backends, Engines, silence
from .ledger import Ledger
from .names import Attempt, Known, Names, Target, known
from .news import News
from .pool import Key, Pool, Tenant
from .slots import Slot
from .ward import Ward
from .wardrobe import Wardrobe, failing
from .watch import Watch

NOTHING = Space()


@define(eq=False)
class Fleet:
    """The models there are, each with its slot, and the memory that they share.

    Attributes:
        backends: The backends.
        names: Roles and aliases.
        settings: What the manifest wants of models.
        limits: Bounds of the service.
        sensors: Tell what the machine does.
        ledger: What models took in memory.
        wall: Tells the time of day, in seconds since 1970.
        events: Where it is told what happens to models.
        sampler: Tells the same once a second, where it runs.
        wardrobe: The adapters that models wear.
        engines: The backends, asked within limits.
        watch: How fast each model answers.
        ward: The model that is being examined.
        pool: The memory.
        slots: What is known of each model beyond the reports.
        available: What the models of each backend were called when they were last asked.
    """

    backends: Backends
    names: Names
    settings: ModelsSettings
    limits: Limits
    sensors: Sensors
    ledger: Ledger
    wall: Callable[[], float] = time.time
    events: Events = field(factory=Events)
    sampler: Sampler = field(kw_only=True)
    wardrobe: Wardrobe = field(kw_only=True)
    engines: Engines = field(init=False)
    watch: Watch = field(init=False)
    ward: Ward = field(factory=Ward, init=False)
    pool: Pool = field(init=False)
    slots: dict[Key, Slot] = field(factory=dict, init=False)
    available: Mapping[str, Known] = field(factory=dict, init=False)
    _meant: Mapping[str, Key] = field(factory=dict, init=False)

    def __attrs_post_init__(self) -> None:
        self.engines = Engines(self.backends, self.limits, self.events, self.wall)
        self.watch = Watch(
            self.sensors,
            self.sampler,
            self.events,
            self.ledger.state,
            Canaries(lambda: self.busy, on=self.settings.canaries),
            self.backends.kinds,
            self.engines.health_of,
            self.wall,
        )
        self.pool = Pool(self.limits, self.plan, self._tenant)

    @property
    def busy(self) -> bool:
        """Whether a model is being loaded or unloaded, or an answer is running."""
        return any(slot.busy for slot in self.slots.values())

    def census(self) -> Census:
        """Return how everything stands, as far as it is known without asking."""
        return Census(
            tuple(self._now(key, slot) for key, slot in self.slots.items()),
            tuple(
                BackendNow(name, told.usable, self.engines.breaker(name).spell)
                for name, told in self.engines.latest.items()
            ),
        )

    async def stop(self, drain_s: float) -> None:
        """Let running answers end for so long, then end the rest; nothing is begun any more."""
        await self.engines.close()
        slots = tuple(self.slots.values())
        if not slots:
            return
        waits = [asyncio.ensure_future(slot.drained()) for slot in slots]
        _, late = await asyncio.wait(waits, timeout=drain_s)
        for wait in late:
            wait.cancel()
        reason = ShuttingDown("ORAC is stopping and ended this answer; ask again in a moment")
        ends = [asyncio.ensure_future(slot.abandon(reason)) for slot in slots]
        _, stuck = await asyncio.wait(ends, timeout=self.limits.list_s)
        for end in stuck:
            end.cancel()

    async def survey(
        self, *, but: Collection[str] = ()
    ) -> tuple[list[ServedModel], Mapping[str, OracError]]:
        """Ask every backend, *but* those, for its models; return them, and why some are silent."""
        await self.watch.open()
        as_of = {key: slot.changes for key, slot in self.slots.items()}
        found = await self.engines.survey(but=but)
        self._remember(found.reports)
        reports = await self.wardrobe.told(found.reports, self.slots)
        return self._listing(reports, as_of), found.silent

    async def find(self, name: str) -> ServedModel:
        """Return the model that *name* means.

        Raises:
            ModelNotFound: when there is none.
            BackendUnavailable: when a backend that might have it does not answer.
        """
        models, silent = await self.survey()
        target = self._resolved(self.names.attempts(name), silent)
        for model in models:
            if (model.instance, model.info.id) == (target.instance, target.model):
                return model
        raise ModelNotFound(name)

    async def aim(self, attempt: Attempt) -> tuple[Target, Slot]:
        """Find the slot of a model, without asking the backends when it is ready.

        Raises:
            ModelNotFound: when there is no such model.
            BackendUnavailable: when a backend that might have it is spared, or does not answer.
        """
        target = self.names.target(attempt, self.available)
        slot = self.slots.get((target.instance, target.model)) if target else None
        if target and slot and slot.state is ModelState.READY:
            slot.breaker.refuse()
            return target, slot
        _, silent = await self.survey(but=self._others(attempt.name, target))
        target = self._resolved((attempt,), silent)
        return target, self.slots[target.instance, target.model]

    def stands_by(self, attempt: Attempt) -> bool:
        """Whether a model is loaded, and its backend not spared."""
        target = self.names.target(attempt, self.available)
        slot = self.slots.get((target.instance, target.model)) if target else None
        return slot is not None and slot.state is ModelState.READY and not slot.breaker.spares

    def slot(self, model: ServedModel) -> Slot:
        """Return the slot of a model that was found."""
        return self.slots[model.instance, model.info.id]

    def missing(self, wish: Callable[[FileSettings], bool]) -> list[str]:
        """Return the names for which the manifest has that *wish* and that mean no model."""
        files = self.settings.files.items()
        return [name for name, it in files if wish(it) and name not in self._meant]

    def state(self, name: str) -> ModelState | None:
        """Return the state of the model that a name of the manifest means; None for no model."""
        key = self._meant.get(name)
        return self.slots[key].state if key in self.slots else None

    def wanted(self, key: Key) -> FileSettings:
        """Return what the manifest wants of a model, under whatever name it says so."""
        files, (instance, model) = self.settings.files, key
        return (
            look_up(files, f"{instance}/{model}")
            or look_up(files, model)
            or next((files[name] for name, it in self._meant.items() if it == key), FileSettings())
        )

    def request(self, request: LoadRequest, key: Key) -> LoadRequest:
        """Return *request* with what the manifest wants where it leaves a choice."""
        wanted = self.wanted(key)
        context = request.context_length or wanted.context_length
        return evolve(request, model=key[1], context_length=context)

    def keep_s(self, key: Key, asked_s: float | None) -> float | None:
        """Return how long a model is to stay from now on that a request *asked* to keep so long.

        None leaves that as it is; so does any request for a model that is pinned.
        """
        return None if self.pinned(key) else asked_s

    def pinned(self, key: Key) -> bool:
        """Whether a model stays loaded whatever else needs the memory."""
        return self.wanted(key).pinned or (key in self.slots and self.slots[key].lifetime.pinned)

    def pin(self, slot: Slot, request: LoadRequest) -> None:
        """Let a model that is loaded stay from now on, or no longer, as *request* says."""
        if request.pinned is not None and slot.state is ModelState.READY:
            slot.lifetime.pin(slot.keep_s, pinned=request.pinned)

    def refuse_unpinning(self, key: Key, request: LoadRequest) -> None:
        """Refuse to give up what the manifest has pinned.

        Raises:
            StateConflict: when that is what *request* wants.
        """
        if request.pinned is False and self.wanted(key).pinned:
            raise StateConflict(
                f"{'/'.join(key)} is pinned by the manifest; take `pinned` out of its table there"
            )

    async def plan(
        self,
        key: Key,
        request: LoadRequest,
        reserved: Space = NOTHING,
        stayed: Mapping[str, str] = MappingProxyType({}),
    ) -> Plan:
        """Plan a load of the model *key*.

        Args:
            key: The model.
            request: How it is to be loaded.
            reserved: Memory of loads under way.
            stayed: Models that should have gone and did not, each with why.

        Raises:
            ModelNotFound: when it is gone meanwhile.
        """
        await self.survey()
        machine = await self.sensors.look()
        if key not in self.slots:
            raise ModelNotFound("/".join(key))
        loaded = {key: taken for key, slot in self.slots.items() if (taken := slot.taken)}
        there = capacity(machine, [taken.mapped_bytes or 0 for taken in loaded.values()])
        name, slot = "/".join(key), self.slots[key]
        if slot.state is ModelState.READY:
            return Plan(name, capacity=there, loaded=True)
        needs = demand(slot.info, self.request(request, key), self.ledger.of(key))
        if there is not None:
            there = there.without(reserved)
        unified = there is None or there.unified
        others = [it for it in loaded if it != key]
        residents = [self._resident(it, unified=unified) for it in others]
        staying = [evolve(it, kept=stayed.get(it.name, it.kept)) for it in residents]
        return plan(name, needs, there, staying)

    def _now(self, key: Key, slot: Slot) -> ModelNow:
        pace = self.watch.pace(key) if slot.state is ModelState.READY else None
        ratio = pace.ratio if pace else None
        slow = pace.slowdown if pace else None
        return ModelNow(
            *key,
            slot.state,
            slot.admission.waiting,
            slot.admission.active,
            slot.taken.memory_bytes if slot.taken else None,
            self.pool.evictions["/".join(key)],
            ratio,
            None if ratio is None else slow is not None and slow.verdict == "degraded",
        )

    def _resident(self, key: Key, *, unified: bool) -> Resident:
        slot, loaded = self.slots[key], self.slots[key].taken or LoadedInfo()
        taken = loaded.memory_bytes or 0
        on_gpu = 0 if unified else int(taken * (loaded.on_gpu_ratio or 0.0))
        return Resident(
            "/".join(key),
            Space(taken - on_gpu, on_gpu),
            slot.lifetime.idle_s(),
            slot.load_s,
            None if slot.leaving else self._kept(key),
            slot.admission.busy and not slot.leaving,
            slot.leaving,
        )

    def _kept(self, key: Key) -> str | None:
        if key == self.ward.patient:
            return "being examined"
        if self.pinned(key):
            return "pinned"
        if self._is_required(key):
            return "required"
        if self.slots[key].asked is None:
            return f"loaded by another program; `orac unload {'/'.join(key)}` frees it"
        return None

    def _others(self, name: str, target: Target | None) -> Collection[str]:
        """Return the backends that have no say in what *name* means: it names another."""
        certain = target is not None and name.startswith(f"{target.instance}/")
        return () if target is None or not certain else {*self.backends.open} - {target.instance}

    def _resolved(self, attempts: Sequence[Attempt], silent: Mapping[str, OracError]) -> Target:
        """Return the first that there is of what is to be tried."""
        for attempt in attempts:
            target = self.names.target(attempt, self.available)
            meant = target.instance if target else self._named(attempt)
            for instance in [meant] if meant else silent:
                if error := silent.get(instance):
                    raise silence(attempt.name, instance, error, known=target is not None)
            if target is not None:
                return target
        lacking = self.backends.lacking(self._named(attempts[0]))
        raise self.names.missing(attempts[0], lacking)

    def _named(self, attempt: Attempt) -> str | None:
        return self.names.instance(attempt, self.backends.kinds)

    def _remember(self, reports: Mapping[str, list[ModelInfo]]) -> None:
        self.available = {
            name: known(reports[name]) if name in reports else self.available.get(name, {})
            for name in self.backends.open
        }
        targets = {name: self.names.resolve(name, self.available) for name in self.settings.files}
        self._meant = {name: (it.instance, it.model) for name, it in targets.items() if it}
        self.wardrobe.remember(self._key)
        for key in [key for key, slot in self.slots.items() if slot.unused]:
            if key[1] not in self.available[key[0]]:
                del self.slots[key]

    def _key(self, name: str) -> Key | None:
        target = self.names.resolve(name, self.available)
        return (target.instance, target.model) if target else None

    def _listing(
        self, reports: Mapping[str, list[ModelInfo]], as_of: Mapping[Key, int]
    ) -> list[ServedModel]:
        roles = self.names.table(self.available)
        return [
            self._served((name, info.id), info, as_of, roles.get((name, info.id), ()))
            for name, infos in reports.items()
            for info in infos
        ]

    def _served(
        self, key: Key, info: ModelInfo, as_of: Mapping[Key, int], roles: tuple[str, ...]
    ) -> ServedModel:
        slot, wanted = self._slot(key), self.wanted(key)
        now = failing(slot.reported(info, as_of.get(key, 0)))
        if slot.asked is not None and now.state is ModelState.READY:
            self.ledger.seen(key, now, slot.asked)
        load = self.request(slot.asked or LoadRequest(key[1]), key)
        needs = demand(now, load, self.ledger.of(key))
        return ServedModel(
            evolve(now, warning=self.watch.seen(key, now)),
            key[0],
            self.backends.kinds[key[0]],
            roles,
            slot.last_used_at,
            self._is_required(key),
            wanted.pinned or slot.lifetime.pinned,
            needs.total_bytes if needs else None,
            self.watch.speed(key, now),
            *slot.admission.counts,
        )

    def _is_required(self, key: Key) -> bool:
        return any(
            self.settings.files[name].required for name, it in self._meant.items() if it == key
        )

    def _slot(self, key: Key) -> Slot:
        slot = self.slots.get(key)
        if slot is None:
            instance, breaker = self.backends.open[key[0]], self.engines.breaker(key[0])
            slot = Slot(instance, key[1], self.limits, breaker, self.pool, self.watch, self.wall)
            slot.keep_s = self._keep_s(self.wanted(key))
            slot.news = News(self.events, *key)
            self.slots[key] = slot
        return slot

    def _keep_s(self, wanted: FileSettings) -> float:
        if wanted.pinned:
            return keep_alive(-1)
        own = wanted.keep_alive
        return keep_alive(self.settings.keep_alive if own is None else own)

    def _tenant(self, name: str) -> Tenant | None:
        return next((slot for key, slot in self.slots.items() if "/".join(key) == name), None)
