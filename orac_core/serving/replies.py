"""Replies: a request on its way from its turn in the queue to the last word of its answer."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from contextlib import aclosing, closing, contextmanager
from time import perf_counter
from typing import TypeVar

from attrs import Factory, define, evolve

from ..conversation import Answer, Chunk, Embedded, Embeddings, EmbedRequest, GenerateRequest
from ..errors import BackendUnavailable, DeadlineExceeded, StateConflict
from ..types import LoadProgress, LoadRequest, ModelState
from . import formats, parameters
from .admission import Ticket
from .draft import Course, Draft, Spans
from .fleet import Fleet
from .flight import exhaust
from .growth import Growth
from .names import Attempt, Target
from .news import telling
from .slots import Slot
from .supply import Supply
from .tries import Tries
from .warm import Warm
from .watch import Company

T = TypeVar("T")

Aim = Callable[[Attempt], Awaitable[tuple[Target, Slot]]]
Stages = Callable[[Slot, LoadRequest], AsyncGenerator[LoadProgress, None]]


@define(eq=False)
class Errand:
    """A request on its way to one model.

    Attributes:
        attempt: What is tried.
        tries: All that may be tried for the request.
        ticket: Until when.
        course: When what happened.
        target: The model.
        slot: Its slot.
        as_of: What the slot's ``changes`` was when it was found.
    """

    attempt: Attempt
    tries: Tries
    ticket: Ticket
    course: Course
    target: Target
    slot: Slot
    as_of: int


@define(eq=False)
class Replies:
    """Answers requests, and loads the models that they need.

    Attributes:
        fleet: Has the models.
        aim: Finds who answers; raises when nothing new is taken.
        stages: Loads a model; raises when nothing new is taken.
        closing: Whether nothing new is taken.
        supply: Fetches models that are not there yet.
        warm: Finds who has a model loaded, for roles that prefer that.
        growth: Finds out whether models do more at once than they did.
    """

    fleet: Fleet
    aim: Aim
    stages: Stages
    closing: Callable[[], bool]
    supply: Supply
    warm: Warm = Factory(lambda self: Warm(self.fleet), takes_self=True)
    growth: Growth = Factory(lambda self: Growth(self.fleet), takes_self=True)

    async def close(self) -> None:
        """Ask the backends no more in the background."""
        await self.warm.close()
        await self.growth.close()

    async def generate(
        self, request: GenerateRequest, deadline_s: float | None = None
    ) -> AsyncGenerator[Chunk | Answer, None]:
        """Answer *request*; see `ModelManager.generate`."""
        course = Course(started=perf_counter())
        formats.check(request.format)
        request = self._with_parameters(request)
        with closing(self._ticket(deadline_s)) as ticket:
            tries = await self._tries(request.model, ticket)
            for attempt in tries.attempts:
                with tries.trying(attempt):
                    errand = await self._errand(attempt, tries, ticket, course)
                    _refuse_relaying(errand, relayed=request.relayed)
                    async with aclosing(self._in_turn(request, errand)) as pieces:
                        async for piece in pieces:
                            tries.settled = True
                            yield piece
                    return
        raise tries.failure

    async def embed(self, request: EmbedRequest, deadline_s: float | None = None) -> Embedded:
        """Turn texts into vectors; see `ModelManager.embed`."""
        course = Course(started=perf_counter())
        with closing(self._ticket(deadline_s)) as ticket:
            tries = await self._tries(request.model, ticket)
            for attempt in tries.attempts:
                with tries.trying(attempt):
                    errand = await self._errand(attempt, tries, ticket, course)
                    _refuse_relaying(errand, relayed=request.relayed)
                    async with errand.slot.turn(ticket):
                        course.admitted()
                        found = await self._vectors(request, errand)
                    return _embedded(found, errand.target, course.spans())
        raise tries.failure

    def _ticket(self, deadline_s: float | None) -> Ticket:
        return Ticket(self.fleet.limits.deadline_s if deadline_s is None else deadline_s)

    async def _tries(self, name: str, ticket: Ticket) -> Tries:
        names = self.fleet.names
        if name not in names.warm:
            return Tries(names.attempts(name), self.fleet.events)
        ticket.stage = "waiting to hear which backends have the model loaded"
        return Tries(await ticket.wait(self.warm.attempts(name)), self.fleet.events)

    def _with_parameters(self, request: GenerateRequest) -> GenerateRequest:
        """Return *request* with what the manifest says of how to choose where it does not."""
        general, of_roles = self.fleet.settings.parameters, self.fleet.names.parameters
        of_role = of_roles.get(request.model, parameters.NONE)
        if general == of_role == parameters.NONE:
            return request
        return evolve(request, options=parameters.merged(general, of_role, request.options))

    async def _errand(
        self, attempt: Attempt, tries: Tries, ticket: Ticket, course: Course
    ) -> Errand:
        ticket.go_on()
        await self.supply.wait(attempt, tries.after(attempt), ticket)
        target, slot = await ticket.wait(self.aim(attempt))
        self.growth.notice(slot)
        return Errand(attempt, tries, ticket, course, target, slot, slot.changes)

    async def _in_turn(
        self, request: GenerateRequest, errand: Errand
    ) -> AsyncGenerator[Chunk | Answer, None]:
        draft = Draft(request, errand.target, errand.course)
        with telling(self.fleet.events, draft):
            async with errand.slot.turn(errand.ticket):
                errand.course.admitted()
                work = self._answer(_meant(request, errand.target), errand, draft)
                async with aclosing(work) as pieces:
                    async for piece in pieces:
                        yield piece

    async def _answer(
        self, request: GenerateRequest, errand: Errand, draft: Draft
    ) -> AsyncGenerator[Chunk | Answer, None]:
        """Load and answer; once more when the engine turns out to have lost the model."""
        if await self._ready(errand):
            try:
                async with aclosing(self._written(request, errand, draft)) as pieces:
                    async for piece in pieces:
                        yield piece
                    return
            except BackendUnavailable as error:
                errand.slot.lost(error)
                if draft.begun or not self._again(errand):
                    raise
            errand.as_of = errand.slot.changes
            await self._ready(errand)
        async with aclosing(self._written(request, errand, draft)) as pieces:
            async for piece in pieces:
                yield piece

    async def _vectors(self, request: EmbedRequest, errand: Errand) -> Embeddings:
        """Load and embed; once more when the engine turns out to have lost the model."""
        request = evolve(request, model=errand.target.model)
        if await self._ready(errand):
            try:
                return await self._read(request, errand)
            except BackendUnavailable as error:
                errand.slot.lost(error)
                if not self._again(errand):
                    raise
            errand.as_of = errand.slot.changes
            await self._ready(errand)
        return await self._read(request, errand)

    def _again(self, errand: Errand) -> bool:
        """Whether to load a model that was lost, and ask it once more."""
        return not (self.closing() or errand.slot.breaker.spares or self._relieved(errand))

    def _relieved(self, errand: Errand) -> bool:
        """Whether a model that may answer in place of this one is loaded."""
        return any(map(self.fleet.stands_by, errand.tries.after(errand.attempt)))

    async def _dressed(self, slot: Slot, ticket: Ticket) -> None:
        """Load a model anew whose adapter has changed."""
        if self.fleet.wardrobe.outdated(slot):
            ticket.stage = "waiting for the model to be loaded with its new adapter"
            await ticket.wait(self.fleet.wardrobe.renew(slot))
            await ticket.wait(self.fleet.survey())

    async def _ready(self, errand: Errand) -> bool:
        """Load the model where it is not loaded, and return whether it was."""
        slot, ticket, name = errand.slot, errand.ticket, _name(errand.target)
        await self._dressed(slot, ticket)
        was_ready = slot.state is ModelState.READY
        while slot.state is not ModelState.READY:
            ticket.stage = "waiting for the model to be loaded"
            if slot.changes != errand.as_of:  # its engine may be gone as well
                await ticket.wait(self.aim(errand.attempt))
            await ticket.wait(slot.respite(hurried=self._relieved(errand)))
            await ticket.wait(exhaust(self.stages(slot, LoadRequest(name))))
            await ticket.wait(self.fleet.survey())  # where it ended up
        if not was_ready:
            self.growth.notice(slot)  # who came before could not know whether it grows
        self.fleet.wardrobe.refuse_others(slot, name)
        errand.course.ready()
        return was_ready

    async def _written(
        self, request: GenerateRequest, errand: Errand, draft: Draft
    ) -> AsyncGenerator[Chunk | Answer, None]:
        slot, ticket = errand.slot, errand.ticket
        ticket.stage = "waiting for the first token"
        with self._used(slot, ticket, request.keep_alive_s) as company:
            async with aclosing(slot.instance.generate(request)) as stream:
                while True:
                    try:
                        ticket.check()
                        chunk = await ticket.wait(anext(stream))
                    except DeadlineExceeded:
                        if not draft.begun:
                            raise
                        yield draft.finish(Chunk(done=True), "deadline")
                        return
                    if draft.add(chunk):
                        yield evolve(chunk, done=False) if chunk.done else chunk
                    if chunk.done:
                        answer = draft.finish(chunk, chunk.finish_reason or "stop")
                        self.fleet.watch.answered(slot.key, answer, company)
                        yield answer
                        return

    async def _read(self, request: EmbedRequest, errand: Errand) -> Embeddings:
        slot, ticket = errand.slot, errand.ticket
        ticket.stage = "waiting for the vectors"
        with self._used(slot, ticket, request.keep_alive_s):
            return await ticket.wait(slot.instance.embed(request))

    @contextmanager
    def _used(self, slot: Slot, ticket: Ticket, keep_alive_s: float | None) -> Iterator[Company]:
        """Keep the model while it is used, and some time after; yield what else goes on."""
        slot.last_used_at = self.fleet.wall()
        keep_s = self.fleet.keep_s(slot.key, keep_alive_s)
        kept, watched = slot.answering(ticket, keep_s), slot.breaker.watching()
        with kept, watched, self.fleet.watch.answering() as company:
            yield company


def _refuse_relaying(errand: Errand, *, relayed: bool) -> None:
    """Refuse what another ORAC asks for and a third one has: it could lead back to the first."""
    if relayed and errand.slot.info.relayed:
        raise StateConflict(
            f"{'/'.join(errand.slot.key)} is served by another ORAC, and another ORAC asked for "
            "it; let that one name it among its own backends",
        )


def _name(target: Target) -> str:
    """Return the name that says how the model is to be loaded: its role, if that is its own."""
    return target.model if target.fallback else target.role or target.model


def _meant(request: GenerateRequest, target: Target) -> GenerateRequest:
    """Return *request* with the id of the model in place of a name of it."""
    return request if request.model == target.model else evolve(request, model=target.model)


def _embedded(found: Embeddings, target: Target, spans: Spans) -> Embedded:
    return Embedded(
        found.vectors,
        found.usage,
        target.model,
        target.instance,
        spans.elapsed_s,
        spans.queue_s,
        spans.load_s,
        target.role,
        target.fallback,
    )
