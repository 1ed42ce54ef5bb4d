"""A slot for each model: its state, the one load it may have, and the answers that are running."""

import asyncio
import math
import time
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import AsyncExitStack, aclosing, contextmanager
from functools import partial

from attrs import define, evolve, field

from ..errors import BackendError, InsufficientMemory, OracError, ShuttingDown, StateConflict
from ..plugins import Instance
from ..types import LoadProgress, LoadRequest, ModelInfo, ModelState
from . import proof
from .admission import Admission, Limits, Ticket, Turn
from .answers import Answers
from .breaker import Breaker
from .flight import Flight, Report, forget_error
from .lifetime import Lifetime
from .options import refuse_other_options
from .pool import Entry, Key, Pool
from .setbacks import Setbacks, enough
from .standing import IN_FLIGHT, Standing
from .watch import Watch

WITHOUT_MEMORY = ("validate", "upload")
"""Stages of a load that take no memory; before any other it waits until there is room."""


@define(eq=False)
class Slot(Standing):
    """What ORAC itself remembers of one model: what is in flight, and what came of it.

    Attributes:
        instance: The backend that serves the model.
        model: Its id there.
        limits: Bounds of the service.
        breaker: Spares the instance while it can not be reached.
        pool: The memory that the model is loaded into.
        watch: Watches how fast it answers.
        wall: Tells the time of day, in seconds since 1970.
        keep_s: How long it stays loaded without being used, unless somebody says otherwise.
        last_used_at: When its last answer began, in seconds since 1970.
        evicted: Models that had to go for the last load.
        load_s: Seconds that it took from the moment it had its memory.
        admission: Its queue.
        lifetime: How long it stays loaded.
        setbacks: How often it crashed lately.
    """

    instance: Instance
    model: str
    limits: Limits
    breaker: Breaker
    pool: Pool
    watch: Watch
    wall: Callable[[], float] = time.time
    keep_s: float = math.inf
    last_used_at: float | None = None
    evicted: tuple[str, ...] = ()
    load_s: float = 0.0
    admission: Admission = field(init=False)
    lifetime: Lifetime = field(init=False)
    setbacks: Setbacks = field(factory=Setbacks, init=False)
    _flight: Flight | None = field(default=None, init=False)
    _unloading: asyncio.Task[None] | None = field(default=None, init=False)
    _given_up: OracError | None = field(default=None, init=False)
    _answers: Answers = field(factory=Answers, init=False)
    _turn: asyncio.Lock = field(factory=asyncio.Lock, init=False)

    def __attrs_post_init__(self) -> None:
        self.admission = Admission(self.limits)
        self.lifetime = Lifetime(self._expire, wall=self.wall)

    @property
    def key(self) -> Key:
        """Names of the instance and the model."""
        return self.instance.name, self.model

    def idle_s(self) -> float:
        """Return the seconds since somebody used it or waited for it; infinity without memory."""
        if self.state is not ModelState.READY:
            return math.inf
        return 0.0 if self.admission.busy else self.lifetime.idle_s()

    @property
    def unused(self) -> bool:
        """Whether nothing would be lost if the slot were forgotten."""
        at_rest = not self._answers and not self._under_way
        return self.state is ModelState.STOPPED and at_rest and not self.admission.busy

    @property
    def busy(self) -> bool:
        """Whether it is being loaded or unloaded, or answers."""
        return self.state in IN_FLIGHT or bool(self._answers)

    def reported(self, info: ModelInfo, as_of: int) -> ModelInfo:
        """Return *info*, the engine's own report, with what only the slot knows.

        Args:
            info: The report, of which the slot learns.
            as_of: What ``changes`` was when the engine was asked.
        """
        before = self.state
        if as_of == self.changes:
            self.admission.suit(info.loaded)
        if not self.learn(info, as_of):
            reason = self._progress() if self.state in IN_FLIGHT else self.reason
            return evolve(info, state=self.state, state_reason=reason)
        if self.state is not before:
            self._turned(before)
        return evolve(info, expires_at=self.lifetime.expires_at or info.expires_at)

    async def ensure_ready(
        self, asked: LoadRequest, wanted: LoadRequest
    ) -> AsyncGenerator[LoadProgress, None]:
        """Load the model unless it is loaded, joining a load that is under way.

        Args:
            asked: What the caller asks for; a load under way has to be like that.
            wanted: The same with what the manifest wants, for a load of its own.

        Raises:
            StateConflict: when a load under way was asked for with other options.
            OracError: what the load failed with.
        """
        while self.state is not ModelState.READY:
            flight = await self._boarding(asked, wanted)
            async with aclosing(flight.follow()) as news:
                async for progress in news:
                    yield progress

    async def respite(self, *, hurried: bool = False) -> None:
        """Wait before a model that keeps failing is loaded again for a prompt.

        Raises:
            BackendUnavailable: when it failed too often, or who is *hurried* would have to wait; a
                load that is asked for starts anew.
        """
        now = asyncio.get_running_loop().time()
        if self._under_way or self._unloading:
            return
        if self.setbacks.exhausted(now) or (hurried and self.setbacks.pause_s(now)):
            raise enough(self.setbacks, now, "/".join(self.key), self.reason)
        await asyncio.sleep(self.setbacks.pause_s(now))

    def keep(self, keep_alive_s: float | None) -> None:
        """Keep the model loaded for so long from now on; None leaves the time as it is."""
        if keep_alive_s is not None:
            self.lifetime.keep_s = keep_alive_s
        if self.state is ModelState.READY and not self.admission.busy and not self._given_up:
            self.lifetime.renew()

    def turn(self, ticket: Ticket) -> Turn:
        """Return a turn in its queue; who waits for one keeps the model from expiring."""
        return self.admission.turn(ticket, partial(self.keep, None))

    async def vacate(self) -> bool:
        """Free the memory of a model that has any, once its running answers have ended.

        Returns:
            Whether it had any. A load under way is none of it.

        Raises:
            OracError: what the unload failed with.
        """
        if self.taken is None or (self._under_way and not self.leaving):
            return False
        await self.unload(force=False)
        return True

    async def unload(self, *, force: bool) -> None:
        """Free the model's memory; running answers end first, or are ended when *force* is set.

        It goes on when its caller leaves. Many callers, one unload.

        Raises:
            OracError: what the unload failed with.
        """
        self._refuse_when_given_up()
        if force:
            self._answers.stop(StateConflict(f"{self.model} was unloaded by force"))
        unloading = self._begin_unload()
        await asyncio.wait([unloading])
        if unloading.cancelled():
            raise ShuttingDown(f"ORAC stopped before the memory of {self.model} was back")
        unloading.result()

    async def abandon(self, reason: OracError) -> None:
        """End all running answers with *reason*, give up a load, wait for an unload under way.

        From now on the slot takes no more work; whoever comes gets *reason*.
        When it is cancelled, the engine gets no more time to give the memory back.
        """
        self._given_up = reason
        self.lifetime.stop()
        self._answers.stop(reason)
        try:
            await self._give_up(reason)
            await self._answers.ended()
            if self._unloading:
                await asyncio.wait([self._unloading])
        except asyncio.CancelledError:
            self._cut_short()
            raise

    async def drained(self) -> None:
        """Wait until no answer is running."""
        await self._answers.ended()

    def lost(self, error: BackendError) -> None:
        """Take note that the engine no longer has the model."""
        if self.state is ModelState.READY:
            self._set_back()
            self.fail(error)
            self.pool.freed()

    @contextmanager
    def answering(self, ticket: Ticket, keep_alive_s: float | None = None) -> Iterator[None]:
        """Keep the model from being unloaded while an answer is running, and some time after."""
        self._refuse_when_given_up()
        self.lifetime.stop()
        try:
            with self._answers.running(ticket):
                yield
        finally:
            self.keep(keep_alive_s)

    def _refuse_when_given_up(self) -> None:
        if self._given_up:
            raise self._given_up

    async def _give_up(self, reason: OracError) -> None:
        if flight := self._under_way:
            flight.give_up(reason)
            await flight.landed()

    def _cut_short(self) -> None:
        if flight := self._under_way:
            flight.cut_short()
        if self._unloading:
            self._unloading.cancel()

    @property
    def _under_way(self) -> Flight | None:
        if self._flight and self._flight.over:
            self._flight = None
        return self._flight

    async def _boarding(self, asked: LoadRequest, wanted: LoadRequest) -> Flight:
        while (flight := self._under_way) and flight.abandoned:
            await flight.landed()
        if flight is None:
            self._refuse_when_given_up()
            flight = self._flight = Flight(wanted)
            flight.start(lambda report: self._load(wanted, self.news.with_news(report)))
        refuse_other_options(asked, "is being loaded", flight.request)
        return flight

    async def _load(self, request: LoadRequest, report: Report) -> None:
        async with self._turn:
            if self.state is not ModelState.READY:
                await self._fly(request, report)

    async def _fly(self, request: LoadRequest, report: Report) -> None:
        self._begin(request)
        async with AsyncExitStack() as stack:
            try:
                entry = await stack.enter_async_context(self.pool.entry(self.key, request, report))
                await self._bring(request, report, entry)
            except BaseException as error:
                await self._crash(error)
                raise
        self.become(ModelState.READY)
        self.evicted, self.load_s = entry.evicted, entry.elapsed_s()
        self.keep(self._wanted_s(request))

    def _begin(self, request: LoadRequest) -> None:
        """Start; whatever comes of it, what the engine then has in memory is ORAC's."""
        if self.asked is None:
            self.lifetime.keep_s = self._wanted_s(request)
        self.become(ModelState.STARTING)
        self.asked = request

    def _wanted_s(self, request: LoadRequest) -> float:
        return self.keep_s if request.keep_alive_s is None else request.keep_alive_s

    async def _bring(self, request: LoadRequest, report: Report, entry: Entry) -> None:
        """Have the engine load the model, and prove that it answers."""
        with self.breaker.watching():
            async with aclosing(self.instance.load(request)) as stages:
                async for progress in stages:
                    if self.info.remote:
                        entry.step_aside()
                    elif progress.stage not in WITHOUT_MEMORY and not entry.taken:
                        await entry.take()
                        await self.watch.loading(self.key, request)
                    report(progress)
        if not self.metered:
            able = await proof.able(self.instance, self.info)
            await proof.demand(self.instance, self.model, able, self.limits.verify_s, report)

    async def _unload(self) -> None:
        try:
            await self._give_up(StateConflict(f"{self.model} was unloaded while it was loading"))
            async with self._turn:
                if self.state is not ModelState.STOPPED:
                    await self._land()
        finally:
            self._unloading = None

    async def _land(self) -> None:
        self.become(ModelState.STOPPING)
        try:
            await self._answers.ended()
            await self.watch.canaries.gone(self.key)
            await self._free()
        except OracError as error:
            self.fail(error)
            raise
        self.pool.freed()
        self.become(ModelState.STOPPED)

    async def _crash(self, error: BaseException) -> None:
        """Leave nothing behind of a load that failed or was given up.

        A model that still answers keeps its memory: it had not been lost, and is found again.
        """
        failure = error if isinstance(error, OracError) else None
        try:
            if self._answers:
                failure = failure or StateConflict(
                    f"{self.model} was lost and its load given up; the next prompt loads it again",
                )
            else:
                await self._free()
        except OracError as second:
            error.add_note(f"and freeing its memory failed: {second}")
            failure = failure or second
        finally:
            if isinstance(error, BackendError) and not isinstance(error, InsufficientMemory):
                self._set_back()
            self._ended(failure)

    def _ended(self, failure: OracError | None) -> None:
        if failure:
            self.fail(failure)
        else:
            self.become(ModelState.STOPPING)
            self.become(ModelState.STOPPED)

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

    def _begin_unload(self) -> asyncio.Task[None]:
        if self._unloading is None:
            self._unloading = asyncio.create_task(self._unload(), name=f"unload {self.model}")
            self._unloading.add_done_callback(forget_error)
        return self._unloading

    def _expire(self) -> None:
        """Unload the model as its time is over; who asks for it now has it loaded anew."""
        if self.state is ModelState.READY and not self.admission.busy:
            self._begin_unload()

    def _set_back(self) -> None:
        self.setbacks.add(asyncio.get_running_loop().time())

    def _turned(self, before: ModelState) -> None:
        """Note that a model which was *before* is found to be something else."""
        self.lifetime.end()
        if self.state is ModelState.READY:
            if self.asked is None:  # it is another program's
                self.lifetime.keep_s = math.inf
            self.keep(None)
        if before is ModelState.READY:
            self.pool.freed()
            if self.state is ModelState.FAILED:
                self._set_back()

    def _progress(self) -> str | None:
        """Return how far a load under way is."""
        latest = self._flight.latest if self._flight else None
        return str(latest) if latest else None

    def become(self, state: ModelState, reason: str | None = None) -> None:
        """Go over to *state*; raises as `Standing.become` does."""
        super().become(state, reason)
        self.lifetime.end()
        self.watch.turned(self, state)
