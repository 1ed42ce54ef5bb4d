"""A slot for each model: its state, the one load it may have, and the answers that are running."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager

from attrs import define, evolve, field

from ..errors import BackendError, OracError, StateConflict
from ..plugins import Instance
from ..states import follow
from ..types import LoadedInfo, LoadProgress, LoadRequest, ModelInfo, ModelState
from . import proof
from .admission import Admission, Limits, Ticket
from .breaker import Breaker
from .flight import Flight, Report, forget_error

IN_FLIGHT = (ModelState.STARTING, ModelState.STOPPING)
"""States that the slot knows better than the engine."""


@define(eq=False)
class Slot:
    """What ORAC itself remembers of one model: what is in flight, and what came of it.

    Attributes:
        instance: The backend that serves the model.
        model: Its id there.
        limits: Bounds of the service.
        breaker: Spares the instance while it can not be reached.
        before_load: Called with what is about to be loaded.
        state: The last state that was reached or is being reached.
        reason: Why it is ``failed``.
        last_used_at: When its last answer began, in seconds since 1970.
        changes: Number of changes of state so far; tells an old report from a fresh one.
        asked: What the last load that ended well was asked for.
        capabilities: What the engine says that the model can do.
        admission: Its queue.
    """

    instance: Instance
    model: str
    limits: Limits
    breaker: Breaker
    before_load: Callable[[LoadRequest], Awaitable[None]]
    state: ModelState = ModelState.STOPPED
    reason: str | None = None
    last_used_at: float | None = None
    changes: int = 0
    asked: LoadRequest | None = None
    capabilities: tuple[str, ...] = ()
    admission: Admission = field(init=False)
    _flight: Flight | None = field(default=None, init=False)
    _unloading: asyncio.Task[None] | None = field(default=None, init=False)
    _running: set[Ticket] = field(factory=set, init=False)
    _idle: asyncio.Event = field(factory=asyncio.Event, init=False)
    _turn: asyncio.Lock = field(factory=asyncio.Lock, init=False)

    def __attrs_post_init__(self) -> None:
        self.admission = Admission(self.limits)
        self._idle.set()

    @property
    def key(self) -> tuple[str, str]:
        """Names of the instance and the model."""
        return self.instance.name, self.model

    @property
    def unused(self) -> bool:
        """Whether nothing would be lost if the slot were forgotten."""
        return self.state is ModelState.STOPPED and self._idle.is_set() and not self._under_way

    def reported(self, info: ModelInfo, as_of: int) -> ModelInfo:
        """Return *info*, the engine's own report, with what only the slot knows.

        The engine is the truth about what is loaded, so a slot that believed otherwise learns it
        here. A load or unload in flight, and the reason of a failure, only the slot knows. A report
        that was asked for before the slot's last change teaches it nothing.

        Args:
            info: The report.
            as_of: What ``changes`` was when the engine was asked.
        """
        self.capabilities = info.capabilities
        if self.state in IN_FLIGHT:
            return evolve(info, state=self.state)
        if self.state is ModelState.FAILED and info.state is ModelState.STOPPED:
            return evolve(info, state=self.state, state_reason=self.reason)
        if as_of != self.changes:
            return evolve(info, state=self.state, state_reason=self.reason)
        if info.state not in IN_FLIGHT:
            self.state, self.reason = info.state, info.state_reason
        return info

    async def ensure_ready(self, request: LoadRequest) -> AsyncGenerator[LoadProgress, None]:
        """Load the model unless it is loaded, joining a load that is under way.

        Raises:
            StateConflict: when a load under way was asked for with other options.
            OracError: what the load failed with.
        """
        while self.state is not ModelState.READY:
            flight = await self._boarding(request)
            async with aclosing(flight.follow()) as news:
                async for progress in news:
                    yield progress

    async def unload(self, *, force: bool) -> None:
        """Free the model's memory; running answers end first, or are ended when *force* is set.

        It goes on when its caller leaves. Many callers, one unload.

        Raises:
            OracError: what the unload failed with.
        """
        if force:
            self._stop_answers(StateConflict(f"{self.model} was unloaded by force"))
        if self._unloading is None:
            self._unloading = asyncio.create_task(self._unload(), name=f"unload {self.model}")
            self._unloading.add_done_callback(forget_error)
        await asyncio.shield(self._unloading)

    async def abandon(self, reason: OracError) -> None:
        """Give up a load under way and end all running answers with *reason*."""
        await self._give_up(reason)
        self._stop_answers(reason)
        await self._idle.wait()

    async def drained(self) -> None:
        """Wait until no answer is running."""
        await self._idle.wait()

    def lost(self, error: BackendError) -> None:
        """Take note that the engine no longer has the model."""
        if self.state is ModelState.READY:
            self._fail(error)

    @asynccontextmanager
    async def answering(self, ticket: Ticket) -> AsyncIterator[None]:
        """Keep the model from being unloaded while an answer is running."""
        self._running.add(ticket)
        self._idle.clear()
        try:
            yield
        finally:
            self._running.discard(ticket)
            if not self._running:
                self._idle.set()

    async def _give_up(self, reason: OracError) -> None:
        if flight := self._under_way:
            flight.give_up(reason)
            await flight.landed()

    @property
    def _under_way(self) -> Flight | None:
        if self._flight and self._flight.over:
            self._flight = None
        return self._flight

    async def _boarding(self, request: LoadRequest) -> Flight:
        while (flight := self._under_way) and flight.abandoned:
            await flight.landed()
        if flight is None:
            flight = self._flight = Flight(request)
            flight.start(lambda report: self._load(request, report))
        refuse_other_options(request, "is being loaded", flight.request)
        return flight

    async def _load(self, request: LoadRequest, report: Report) -> None:
        async with self._turn:
            if self.state is not ModelState.READY:
                await self._fly(request, report)

    async def _fly(self, request: LoadRequest, report: Report) -> None:
        self._become(ModelState.STARTING)
        try:
            await self.before_load(request)
            with self.breaker.watching():
                async with aclosing(self.instance.load(request)) as stages:
                    async for progress in stages:
                        report(progress)
            report(LoadProgress("verify", message=proof.announced(self.capabilities)))
            await proof.demand(self.instance, self.model, self.capabilities, self.limits.verify_s)
        except BaseException as error:
            await self._crash(error)
            raise
        self._become(ModelState.READY)
        self.asked = request

    async def _unload(self) -> None:
        try:
            await self._give_up(StateConflict(f"{self.model} was unloaded while it was loading"))
            async with self._turn:
                if self.state is not ModelState.STOPPED:
                    await self._land()
        finally:
            self._unloading = None

    async def _land(self) -> None:
        self._become(ModelState.STOPPING)
        try:
            await self._idle.wait()
            await self._free()
        except OracError as error:
            self._fail(error)
            raise
        self._become(ModelState.STOPPED)

    async def _crash(self, error: BaseException) -> None:
        """Leave nothing behind of a load that failed or was given up."""
        try:
            await self._free()
        except OracError as second:
            error.add_note(f"and freeing its memory failed: {second}")
        finally:
            if isinstance(error, OracError):
                self._fail(error)
            else:
                self._become(ModelState.STOPPING)
                self._become(ModelState.STOPPED)

    async def _free(self) -> None:
        try:
            async with asyncio.timeout(self.limits.unload_s):
                await self.instance.unload(self.model)
        except TimeoutError:
            raise BackendError(
                f"the engine did not free {self.model} within {self.limits.unload_s:g} s; "
                "restart the engine to get the memory back",
                instance=self.instance.name,
                operation="unload",
            ) from None

    def _stop_answers(self, reason: OracError) -> None:
        for ticket in tuple(self._running):
            ticket.stop(reason)

    def _become(self, state: ModelState) -> None:
        self.state = follow(self.state, state)
        self.reason = self.asked = None
        self.changes += 1

    def _fail(self, error: OracError) -> None:
        self._become(ModelState.FAILED)
        self.reason = str(error)


def refuse_other_options(
    asked: LoadRequest, how: str, *given: LoadRequest | LoadedInfo | None
) -> None:
    """Refuse to pass a model loaded one way for one asked for in another.

    Args:
        asked: What is asked for now.
        how: What the model is: loaded, or being loaded.
        given: What was asked for then, and what came of it. An engine may give less than it was
            asked for, so either of them will do.

    Raises:
        StateConflict: naming each option that differs.
    """
    differing = []
    for name in ("context_length", "gpu_layers", "parallel"):
        wanted = getattr(asked, name)
        had = [value for each in given if (value := getattr(each, name, None)) is not None]
        if wanted is not None and had and wanted not in had:
            differing.append(f"{name} {had[-1]} instead of {wanted}")
    if differing:
        raise StateConflict(
            f"{asked.model} {how} with {', '.join(differing)}; unload it first, then load it anew",
        )
