"""Replies: a request on its way from its turn in the queue to the last word of its answer."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from contextlib import aclosing, closing, contextmanager
from time import perf_counter
from typing import TypeVar

from attrs import define, evolve

from ..conversation import Answer, Chunk, Embedded, Embeddings, EmbedRequest, GenerateRequest
from ..errors import BackendUnavailable, DeadlineExceeded
from ..types import LoadProgress, LoadRequest, ModelState
from . import formats
from .admission import Ticket
from .draft import Course, Draft
from .fleet import Fleet
from .flight import exhaust
from .names import Target
from .news import telling
from .slots import Slot
from .watch import Company

T = TypeVar("T")

Aim = Callable[[str], Awaitable[tuple[Target, Slot]]]
Stages = Callable[[Slot, LoadRequest], AsyncGenerator[LoadProgress, None]]


@define(eq=False)
class Replies:
    """Answers requests, and loads the models that they need.

    Attributes:
        fleet: Has the models.
        aim: Finds who answers; raises when nothing new is taken.
        stages: Loads a model; raises when nothing new is taken.
        closing: Whether nothing new is taken.
    """

    fleet: Fleet
    aim: Aim
    stages: Stages
    closing: Callable[[], bool]

    async def generate(
        self, request: GenerateRequest, deadline_s: float | None = None
    ) -> AsyncGenerator[Chunk | Answer, None]:
        """Answer *request*; see `ModelManager.generate`."""
        course = Course(started=perf_counter())
        formats.check(request.format)
        with closing(self._ticket(deadline_s)) as ticket:
            target, slot = await ticket.wait(self.aim(request.model))
            draft = Draft(request, target, course)
            with telling(self.fleet.events, draft):
                async with slot.turn(ticket):
                    course.admitted()
                    work = self._answer(_meant(request, target), slot, ticket, draft)
                    async with aclosing(work) as pieces:
                        async for piece in pieces:
                            yield piece

    async def embed(self, request: EmbedRequest, deadline_s: float | None = None) -> Embedded:
        """Turn texts into vectors; see `ModelManager.embed`."""
        course = Course(started=perf_counter())
        with closing(self._ticket(deadline_s)) as ticket:
            target, slot = await ticket.wait(self.aim(request.model))
            async with slot.turn(ticket):
                course.admitted()
                request = evolve(request, model=target.model)
                found = await self._vectors(request, slot, ticket, course)
        spans = course.spans()
        return Embedded(
            found.vectors,
            found.usage,
            target.model,
            target.instance,
            spans.elapsed_s,
            spans.queue_s,
            spans.load_s,
            target.role,
        )

    def _ticket(self, deadline_s: float | None) -> Ticket:
        return Ticket(self.fleet.limits.deadline_s if deadline_s is None else deadline_s)

    async def _answer(
        self, request: GenerateRequest, slot: Slot, ticket: Ticket, draft: Draft
    ) -> AsyncGenerator[Chunk | Answer, None]:
        """Load and answer; once more when the engine turns out to have lost the model."""
        if await self._ready(slot, ticket, draft.course):
            try:
                async with aclosing(self._written(request, slot, ticket, draft)) as pieces:
                    async for piece in pieces:
                        yield piece
                    return
            except BackendUnavailable as error:
                slot.lost(error)
                if draft.begun or self.closing():
                    raise
            await self._ready(slot, ticket, draft.course)
        async with aclosing(self._written(request, slot, ticket, draft)) as pieces:
            async for piece in pieces:
                yield piece

    async def _vectors(
        self, request: EmbedRequest, slot: Slot, ticket: Ticket, course: Course
    ) -> Embeddings:
        """Load and embed; once more when the engine turns out to have lost the model."""
        if await self._ready(slot, ticket, course):
            try:
                return await self._embedded(request, slot, ticket)
            except BackendUnavailable as error:
                slot.lost(error)
                if self.closing():
                    raise
            await self._ready(slot, ticket, course)
        return await self._embedded(request, slot, ticket)

    async def _ready(self, slot: Slot, ticket: Ticket, course: Course) -> bool:
        """Load the model where it is not loaded, and return whether it was."""
        was_ready = slot.state is ModelState.READY
        while slot.state is not ModelState.READY:
            ticket.stage = "waiting for the model to be loaded"
            await ticket.wait(slot.respite())
            await ticket.wait(exhaust(self.stages(slot, LoadRequest(slot.model))))
            await ticket.wait(self.fleet.survey())  # where it ended up
        course.ready()
        return was_ready

    async def _written(
        self, request: GenerateRequest, slot: Slot, ticket: Ticket, draft: Draft
    ) -> AsyncGenerator[Chunk | Answer, None]:
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

    async def _embedded(self, request: EmbedRequest, slot: Slot, ticket: Ticket) -> Embeddings:
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


def _meant(request: GenerateRequest, target: Target) -> GenerateRequest:
    """Return *request* with the id of the model in place of a name of it."""
    return request if request.model == target.model else evolve(request, model=target.model)
