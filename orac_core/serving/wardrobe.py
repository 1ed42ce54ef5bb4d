"""Which LoRA adapters each model is loaded with, and whether those it has are still the ones."""

import asyncio
import logging
import os
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from time import monotonic
from typing import Self

from attrs import define, evolve, field, frozen

from ..errors import InvalidRequest, ModelFileInvalid, OracError
from ..files.adapters import Adapters, BaseModel
from ..files.ledger import key as digest_key
from ..files.remembered import FileState
from ..kinds import BackendKind
from ..manifest import AdapterSettings, ModelsSettings, RoleSettings
from ..types import Adapter, LoadRequest, ModelInfo, ModelState
from .flight import exhaust
from .options import refuse_other_options
from .pool import Key
from .slots import Slot

logger = logging.getLogger("orac.serving")

Wishes = tuple[AdapterSettings, ...]

_AGAIN_S = 30.0


@frozen
class _Looked:
    """A file as it was looked at last: None for one that is gone, or can not be used."""

    state: tuple[int, ...] | None
    sha256: str | None


@define(eq=False)
class Wardrobe:
    """The adapters that models wear.

    A role that names adapters is answered with just those, and one that names none with those of
    the model's own table. Who asks for a model by another name takes it as ORAC has
    loaded it.

    Attributes:
        adapters: Finds and examines them.
        roles: The roles of the active profile.
        own: Says what the table of a model wants.
        able: The backends that put adapters on models.
        changing: Those that change a loaded model while it answers on.
        used: Whether the manifest names any.
    """

    adapters: Adapters
    roles: Mapping[str, RoleSettings]
    own: Callable[[Key], Wishes]
    able: Collection[str]
    changing: Collection[str] = ()
    used: bool = False
    _owners: Mapping[str, Key] = field(factory=dict, init=False)
    _wishes: dict[tuple[Key, str], AdapterSettings] = field(factory=dict, init=False)
    _paths: dict[tuple[Key, AdapterSettings], str] = field(factory=dict, init=False)
    _looked: dict[tuple[Key, str], _Looked] = field(factory=dict, init=False)
    _right: dict[tuple[Key, str], LoadRequest] = field(factory=dict, init=False)
    _renewals: dict[Key, asyncio.Task[None]] = field(factory=dict, init=False)
    _failed_at: dict[Key, float] = field(factory=dict, init=False)

    @classmethod
    def of(
        cls,
        adapters: Adapters,
        roles: Mapping[str, RoleSettings],
        own: Callable[[Key], Wishes],
        kinds: Mapping[str, BackendKind],
        settings: ModelsSettings,
    ) -> Self:
        """Return the wardrobe of a manifest; the attributes say what is what."""
        by_role = any(each.adapters for each in roles.values())
        used = by_role or any(each.adapters for each in settings.files.values())
        able = frozenset(name for name, kind in kinds.items() if kind.adapters)
        changing = frozenset(name for name, kind in kinds.items() if kind.changes)
        return cls(adapters, roles, own, able, changing, used)

    def remember(self, meant: Callable[[str], Key | None]) -> None:
        """Learn which model each role stands for, by what a name means now."""
        if self.used:
            wearing = {role: it for role, it in self.roles.items() if it.adapters}
            keys = {role: meant(it.model) for role, it in wearing.items()}
            self._owners = {role: key for role, key in keys.items() if key}

    def wishes(self, key: Key, name: str) -> Wishes:
        """Return what a model is to wear that is asked for by that *name*."""
        return self.roles[name].adapters if self._owners.get(name) == key else self.own(key)

    async def dressed(self, request: LoadRequest, slot: Slot) -> LoadRequest:
        """Return a request with the adapters that its name asks for, checked.

        Raises:
            ModelFileInvalid: when one can not be put on the model, naming it.
            InvalidRequest: when the backend puts none on models.
        """
        if not self.used or request.adapters is not None:
            return request
        wishes = self.wishes(slot.key, request.model)
        if wishes and slot.instance.name not in self.able:
            raise InvalidRequest(_unable(slot.instance.name))
        return evolve(request, adapters=tuple([await self._fitted(slot, it) for it in wishes]))

    def strict(self, name: str) -> bool:
        """Whether a name stands for a model with just the adapters that it names."""
        return self.used and name in self.roles

    def refuse_others(self, slot: Slot, name: str) -> None:
        """Refuse to answer for a role by a model that is loaded with other adapters.

        Whoever else asks is only kept from one that another program has loaded.

        Raises:
            StateConflict: saying which.
        """
        if not self.used or (slot.asked and not self.strict(name)):
            return
        key = slot.key
        if slot.asked and self._right.get((key, name)) is slot.asked:
            return
        wishes = self.wishes(key, name)
        wanted = tuple(Adapter(self._paths.get((key, it), it.path), it.scale) for it in wishes)
        asked = LoadRequest(slot.model, adapters=wanted)
        refuse_other_options(asked, "is loaded", slot.asked or slot.info.loaded)
        if slot.asked:
            self._right[key, name] = slot.asked

    def outdated(self, slot: Slot) -> bool:
        """Whether a model wears what has changed since, or is being loaded anew for that.

        It costs a look at each file, and nothing for a model without adapters.
        """
        changing = slot.instance.name in self.changing
        if slot.key in self._renewals or (changing and not self._may_try(slot.key)):
            return not changing
        if slot.state is not ModelState.READY:
            return False
        if slot.asked is None:  # an ORAC that was killed may have left it
            return not changing and bool(slot.info.loaded and slot.info.loaded.adapters)
        worn = slot.asked.adapters
        return worn is not None and any(self._differs(slot.key, each) for each in worn)

    async def renew(self, slot: Slot) -> None:
        """Load a model anew whose adapters changed, once its running answers have ended.

        Many callers, one load; it goes on when its callers leave. An adapter that became unusable
        is left alone: the model answers on as it is. Never raises: what fails shows in the next
        load. Nobody waits for a model that answers on while it is changed.
        """
        task = self._renewals.get(slot.key)
        if task is None:
            task = asyncio.create_task(self._renewed(slot), name=f"renew {slot.model}")
            self._renewals[slot.key] = task
            task.add_done_callback(lambda _: self._renewals.pop(slot.key, None))
        if slot.instance.name not in self.changing:
            await asyncio.wait([task])

    async def told(
        self, reports: Mapping[str, list[ModelInfo]], slots: Mapping[Key, Slot]
    ) -> Mapping[str, list[ModelInfo]]:
        """Return the reports of backends with what is known of adapters."""
        if not self.used:
            return reports
        return {
            name: [await self._told(key, info, slots.get(key)) for key, info in _keyed(name, infos)]
            for name, infos in reports.items()
        }

    async def _told(self, key: Key, info: ModelInfo, slot: Slot | None) -> ModelInfo:
        ready = info.state is ModelState.READY
        worn = slot.asked.adapters if slot and slot.asked and ready else None
        wishes = self.own(key) if worn is None else [self._again(key, each) for each in worn]
        if not wishes:
            return info
        looks = [await self.adapters.look(each, _base(info)) for each in wishes]
        if worn is not None:
            looks = [evolve(it, sha256=had.sha256) for it, had in zip(looks, worn, strict=True)]
        elif key[0] not in self.able:
            looks = [evolve(it, problem=_unable(key[0])) for it in looks]
        return _warned(evolve(info, adapters=tuple(looks)))

    async def _fitted(self, slot: Slot, wish: AdapterSettings) -> Adapter:
        found = await self.adapters.examined(wish, _base(slot.info))
        self._wishes[slot.key, found.path] = wish
        self._paths[slot.key, wish] = found.path
        await self._note(slot.key, found)
        return found

    async def _note(self, key: Key, found: Adapter) -> None:
        """Remember the state of a file in which it hashes to that."""
        state = await asyncio.to_thread(self._hashed, found)
        self._looked[key, found.path] = _Looked(state, found.sha256)

    def _hashed(self, found: Adapter) -> tuple[int, ...] | None:
        try:
            state = FileState.of(Path(found.path))
        except ModelFileInvalid:
            return None
        known = self.adapters.files.digests.ledger.known(digest_key([state], "sha256"))
        return state.contents if known == found.sha256 else None

    def _differs(self, key: Key, worn: Adapter) -> bool:
        known = self._looked.get((key, worn.path))
        if known is None:  # it was not the manifest that named it
            return False
        return known.state != _state(worn.path) or known.sha256 not in (None, worn.sha256)

    async def _renewed(self, slot: Slot) -> None:
        asked = slot.asked
        if asked is None:
            await _let_go(slot)
            return
        now = [await self._now(slot, each) for each in asked.adapters or ()]
        usable = tuple(each for each in now if each)
        as_before = slot.asked is asked and slot.state is ModelState.READY
        if len(usable) < len(now) or usable == asked.adapters or not as_before:
            return
        logger.info("an adapter of %s has changed; it is loaded anew", slot.model)
        try:
            await self._reload(slot, evolve(asked, adapters=usable))
        except OracError as error:
            self._failed_at[slot.key] = monotonic()
            logger.warning("%s could not be loaded with its new adapter: %s", slot.model, error)

    async def _reload(self, slot: Slot, request: LoadRequest) -> None:
        changing = slot.instance.name in self.changing
        await (_change(slot, request) if changing else _reload(slot, request))

    def _may_try(self, key: Key) -> bool:
        """Whether a change that failed may be tried again."""
        return monotonic() - self._failed_at.get(key, float("-inf")) > _AGAIN_S

    async def _now(self, slot: Slot, worn: Adapter) -> Adapter | None:
        """Return an adapter as it is now; None when that can not be used."""
        state = await asyncio.to_thread(_state, worn.path)
        try:
            found = await self.adapters.examined(self._again(slot.key, worn), _base(slot.info))
        except ModelFileInvalid as error:
            self._looked[slot.key, worn.path] = _Looked(state, None)
            logger.warning("%s keeps its adapter as it was loaded: %s", slot.model, error)
            return None
        await self._note(slot.key, found)
        return found

    def _again(self, key: Key, worn: Adapter) -> AdapterSettings:
        """Return the wish for just the file that a model wears."""
        wish = self._wishes.get((key, worn.path))
        return AdapterSettings(worn.path, worn.scale, wish.checksum if wish else None)


def kinds_of(
    kinds: Mapping[str, str], offered: Mapping[str, BackendKind]
) -> Mapping[str, BackendKind]:
    """Return the kind of each backend, by the names of both."""
    return {name: offered[kind] for name, kind in kinds.items() if kind in offered}


async def _let_go(slot: Slot) -> None:
    """Take a model out of memory that wears nobody knows what; the next prompt loads it anew."""
    if slot.state is ModelState.READY:
        with suppress(OracError):
            await slot.unload(force=False)


async def _change(slot: Slot, request: LoadRequest) -> None:
    """Load a model otherwise that answers on meanwhile."""
    await exhaust(slot.instance.load(request))
    if slot.state is ModelState.READY:
        slot.asked = request
    elif slot.state is ModelState.STOPPED:  # it was unloaded meanwhile, and may be there again
        await slot.instance.unload(slot.model)


async def _reload(slot: Slot, request: LoadRequest) -> None:
    """Load a model anew in the way it was loaded."""
    pinned = slot.lifetime.pinned
    request = evolve(request, keep_alive_s=slot.lifetime.keep_s)
    await slot.unload(force=False)
    await exhaust(slot.ensure_ready(LoadRequest(slot.model), request))
    if pinned:
        slot.lifetime.pin(slot.keep_s, pinned=True)


def failing(info: ModelInfo) -> ModelInfo:
    """Return a model as ``failed`` that can not be loaded with its adapters."""
    problem = _problem(info)
    if problem is None or info.state is not ModelState.STOPPED:
        return info
    return evolve(info, state=ModelState.FAILED, state_reason=problem)


def _warned(info: ModelInfo) -> ModelInfo:
    """Return a model with a warning when it wears what has become unusable."""
    problem = _problem(info)
    if problem is None or info.state is not ModelState.READY:
        return info
    kept = f"{problem}; until that is mended it answers with the adapter as it was loaded"
    return evolve(info, warning="; ".join(filter(None, (info.warning, kept))))


def _problem(info: ModelInfo) -> str | None:
    return next((it.problem for it in info.adapters if it.problem), None)


def _keyed(name: str, infos: Sequence[ModelInfo]) -> list[tuple[Key, ModelInfo]]:
    return [((name, info.id), info) for info in infos]


def _base(info: ModelInfo) -> BaseModel:
    if info.file is None:
        return BaseModel(info.architecture)
    return BaseModel(info.architecture, Path(info.file.path), info.file.sha256)


def _state(path: str) -> tuple[int, ...] | None:
    """Return `FileState.contents`, in a tenth of the time: it is asked for with each prompt."""
    try:
        found = os.stat(path)  # noqa: PTH116
    except OSError:
        return None
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns


def _unable(instance: str) -> str:
    return (
        f"the backend {instance} puts no adapters on models; take `adapters` out of the manifest, "
        "or serve the model by a backend of kind llamacpp or ollama"
    )
