"""The memory of the machine: who may load into it, and who has to go before."""

import asyncio
import math
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Protocol

from attrs import define, field

from ..errors import BackendError, InsufficientMemory, OracError
from ..memory import Plan, Resident, Space, explained, size
from ..types import LoadProgress, LoadRequest
from .admission import Limits
from .flight import Report

Key = tuple[str, str]
"""Names of the instance and the model."""

RECOVERY_S = 5.0
"""Longest wait for the memory of a model that has gone; Ollama waits as long for its own."""

PATIENCE = 0.1
"""Share of the time of a load that a model is left alone after its last answer, for the next one of
those who keep asking: cheaper than to have it back (anticipatory scheduling, S. Iyer and
P. Druschel, SOSP 2001)."""

PAUSE_S = 0.1
LONGEST_GATHER_S = 60.0


class Tenant(Protocol):
    """A model that has memory and may have to give it back."""

    def idle_s(self) -> float:
        """Return the seconds since somebody used it or waited for it; infinity without memory."""

    async def vacate(self) -> bool:
        """Free its memory once its running answers have ended; return whether it had any."""


Planning = Callable[[Key, LoadRequest, Space, Mapping[str, str]], Awaitable[Plan]]
"""Plans a load beside others that have reserved space, and models that did not go, with why."""


@define(eq=False)
class Pool:
    """One memory that models are loaded into.

    Files are checked and handed over side by side, so many at once. Memory is then taken one load
    after another, first come first served; beside another only where both are known to fit
    without anybody having to go.

    Attributes:
        limits: Bounds of the service.
        planning: Plans a load.
        tenant: Finds the model of that name; None when there is none any more.
        evictions: How often each model had to go for another, by name.
    """

    limits: Limits
    planning: Planning
    tenant: Callable[[str], Tenant | None]
    evictions: Counter[str] = field(factory=Counter, init=False)
    _workers: asyncio.Semaphore = field(init=False)
    _turn: asyncio.Lock = field(factory=asyncio.Lock, init=False)
    _inside: dict[Key, Space | None] = field(factory=dict, init=False)
    _changed: asyncio.Event = field(factory=asyncio.Event, init=False)
    _freed_at: float = field(default=-math.inf, init=False)

    def __attrs_post_init__(self) -> None:
        self._workers = asyncio.Semaphore(self.limits.max_workers)

    @property
    def loading(self) -> bool:
        """Whether any load is taking memory."""
        return bool(self._inside)

    @asynccontextmanager
    async def entry(self, key: Key, request: LoadRequest, report: Report) -> AsyncIterator["Entry"]:
        """Let a load begin; it has no memory before `Entry.take`."""
        entry = Entry(self, key, request, report)
        await self._workers.acquire()
        try:
            yield entry
        except BaseException:
            if entry.taken:
                self.freed()
            raise
        finally:
            entry.leave()

    async def admit(self, key: Key, request: LoadRequest, report: Report) -> tuple[str, ...]:
        """Return when there is room, with the names of the models that had to go.

        Raises:
            InsufficientMemory: when there is none and none can be made.
            BackendError: when its turn does not come.
        """
        report(LoadProgress("plan", message="waiting for its turn"))
        try:
            async with asyncio.timeout(self.limits.turn_s) as waiting, self._turn:
                plan = await self._alone_or_beside(key, request)
                waiting.reschedule(None)
                report(LoadProgress("plan", message=explained(plan)))
                gone = await self._make_room(key, request, plan, report)
                self._inside[key] = plan.demand.largest if plan.demand else None
        except TimeoutError:
            raise self._no_turn(request) from None
        return gone

    def freed(self) -> None:
        """Take note that a model has gone: its memory may take a moment to come back."""
        self._freed_at = asyncio.get_running_loop().time()

    def leave(self, key: Key) -> None:
        """Take note that a load has its memory, or needs none any more."""
        self._inside.pop(key, None)
        self._changed.set()
        self._changed = asyncio.Event()

    def release_worker(self) -> None:
        """Let another load be prepared."""
        self._workers.release()

    async def _alone_or_beside(self, key: Key, request: LoadRequest) -> Plan:
        """Return the plan of a load that is alone, or fits beside those under way."""
        while self._inside:
            others = tuple(self._inside.values())
            if None not in others:
                reserved = sum((each for each in others if each), Space())
                plan = await self.planning(key, request, reserved, {})
                if plan.certain:
                    return plan
            if self._inside:
                await self._changed.wait()
        return await self.planning(key, request, Space(), {})

    async def _make_room(
        self, key: Key, request: LoadRequest, plan: Plan, report: Report
    ) -> tuple[str, ...]:
        gone: list[str] = []
        stayed: dict[str, str] = {}
        try:
            async with asyncio.timeout(self.limits.room_s):
                plan = await self._recovered(key, request, plan, stayed)
                while plan.evict:
                    went = [it.name for it in plan.evict if await self._evict(it, report, stayed)]
                    gone += went
                    await asyncio.sleep(0 if went else PAUSE_S)
                    plan = await self.planning(key, request, Space(), stayed)
                    plan = await self._recovered(key, request, plan, stayed)
        except TimeoutError:
            raise refused(plan, f"it did not come free within {self.limits.room_s:g} s") from None
        if not plan.fits and not request.force:
            raise refused(plan)
        return tuple(gone)

    async def _evict(self, resident: Resident, report: Report, stayed: dict[str, str]) -> bool:
        """Unload a model; return whether it went: another may do in place of one that stayed."""
        tenant = self.tenant(resident.name)
        if tenant is None:
            return False
        await self._gather(resident, tenant, report)
        try:
            went = await tenant.vacate()
        except OracError as error:
            stayed[resident.name] = f"kept by its engine: {error}"
            return False
        self.evictions[resident.name] += went
        return went

    async def _gather(self, resident: Resident, tenant: Tenant, report: Report) -> None:
        """Let a model that is asked all the time answer for a while, then no more."""
        what = f"unloading {resident.name} ({size(resident.space.total_bytes)})"
        report(LoadProgress("evict", message=what))
        clock = asyncio.get_running_loop().time
        ends_at = clock() + self._gather_s(resident)
        patience_s = PATIENCE * resident.reload_s
        while tenant.idle_s() <= patience_s and clock() < ends_at:  # noqa: ASYNC110 - rarely long
            await asyncio.sleep(PAUSE_S)
        if not tenant.idle_s():
            report(LoadProgress("evict", message=f"{what} once its running answers have ended"))

    async def _recovered(
        self, key: Key, request: LoadRequest, plan: Plan, stayed: Mapping[str, str]
    ) -> Plan:
        """Return a new plan, as soon as it needs nobody to go or no more memory comes back."""
        clock = asyncio.get_running_loop().time
        while (plan.evict or not plan.fits) and clock() < self._freed_at + RECOVERY_S:
            await asyncio.sleep(PAUSE_S)
            plan = await self.planning(key, request, Space(), stayed)
        return plan

    def _gather_s(self, resident: Resident) -> float:
        """Return how long a model in use may still answer before it has to make room.

        At least as long as it takes to have it back, else two models in turn would only be loaded.
        """
        return min(LONGEST_GATHER_S, max(self.limits.gather_s, 2 * resident.reload_s))

    def _no_turn(self, request: LoadRequest) -> BackendError:
        under_way = ", ".join("/".join(key) for key in self._inside) or "another model"
        return BackendError(
            f"{request.model} waited {self.limits.turn_s:g} s for its turn while {under_way} was "
            "being loaded; see whether that load hangs, and load it again",
            operation="load",
        )


@define(eq=False)
class Entry:
    """The way of one load into the memory.

    Attributes:
        evicted: Models that had to go for it, as ``instance/model``.
        taken: Whether it has its memory.
    """

    pool: Pool
    key: Key
    request: LoadRequest
    report: Report
    evicted: tuple[str, ...] = field(default=(), init=False)
    taken: bool = field(default=False, init=False)
    _prepares: bool = field(default=True, init=False)
    _since: float = field(default=0.0, init=False)

    async def take(self) -> None:
        """Return when the load may take memory.

        Raises:
            InsufficientMemory: when there is no room and none can be made.
            BackendError: when its turn does not come.
        """
        self._prepared()
        self.evicted = await self.pool.admit(self.key, self.request, self.report)
        self.taken = True
        self._since = asyncio.get_running_loop().time()

    def step_aside(self) -> None:
        """Keep no other load waiting: this one takes the memory of another machine."""
        self._prepared()

    def elapsed_s(self) -> float:
        """Return the seconds since it had its memory."""
        return asyncio.get_running_loop().time() - self._since if self.taken else 0.0

    def leave(self) -> None:
        """End, whatever came of it."""
        self._prepared()
        if self.taken:
            self.pool.leave(self.key)

    def _prepared(self) -> None:
        if self._prepares:
            self._prepares = False
            self.pool.release_worker()


def refused(plan: Plan, why: str = "") -> InsufficientMemory:
    """Return the error for a model that does not fit, with the numbers."""
    text = explained(plan) + (f"; {why}" if why else "") + "; `force` loads it all the same"
    return InsufficientMemory(
        text,
        needed_bytes=plan.demand.total_bytes if plan.demand else None,
        available_bytes=plan.capacity.space.total_bytes if plan.capacity else None,
        instance=plan.model.partition("/")[0],
        operation="load",
    )
