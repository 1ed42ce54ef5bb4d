"""One request, one sample: what the client's clock saw, and what the engine counted."""

import asyncio
import time
from collections.abc import Callable, Sequence
from contextlib import aclosing
from itertools import pairwise

from attrs import define, evolve, field, frozen

from ..conversation import Answer, GenerateRequest
from ..errors import OracError
from ..serving import ModelManager
from .meter import Meter, NoMeter
from .results import Energy, Sample

NS = 1_000_000_000


@frozen
class Label:
    """Which request it was: of which model and workload, in which round."""

    model: str
    workload: str
    round: int


@frozen
class Taken:
    """A sample with the text of its answer, which is empty when there is none."""

    sample: Sample
    text: str


@frozen
class Marks:
    """When what happened, in nanoseconds of one clock.

    Attributes:
        start: Just before the request was handed over.
        pieces: Each piece of text that is not empty.
        end: The end, good or bad.
    """

    start: int
    pieces: Sequence[int]
    end: int


def sample(label: Label, started_at: float, marks: Marks, answer: Answer | None) -> Sample:
    """Return what *marks* and *answer* come to; without an answer only how long that took (pure).

    TPOT is (end - first piece) / (completion tokens - 1), one value for each answer.
    """
    elapsed_s = (marks.end - marks.start) / NS
    timed = Sample(label.model, label.workload, label.round, started_at, elapsed_s)
    if answer is None:
        return timed
    ttft_s = (marks.pieces[0] - marks.start) / NS if marks.pieces else None
    return evolve(
        timed,
        queue_s=answer.queue_s,
        ttft_s=ttft_s,
        tpot_s=_tpot(elapsed_s, ttft_s, answer.usage.completion_tokens),
        gaps_s=tuple((later - sooner) / NS for sooner, later in pairwise(marks.pieces)),
        prompt_tokens=answer.usage.prompt_tokens,
        completion_tokens=answer.usage.completion_tokens,
        cached_tokens=answer.usage.cached_tokens,
        prefill_tokens_per_second=answer.rates.prefill_tokens_per_second,
        decode_tokens_per_second=answer.rates.decode_tokens_per_second,
        finish_reason=answer.finish_reason,
    )


def _tpot(elapsed_s: float, ttft_s: float | None, tokens: int | None) -> float | None:
    if ttft_s is None or tokens is None or tokens < 2:  # noqa: PLR2004 - one token has no next
        return None
    return (elapsed_s - ttft_s) / (tokens - 1)


@define(eq=False)
class Stopwatch:
    """A clock for spans that also tells the time of day, without its jumps.

    Attributes:
        clock_ns: Tells nanoseconds since whenever.
        wall: Tells the time of day, in seconds since 1970; asked once.
    """

    clock_ns: Callable[[], int] = time.perf_counter_ns
    wall: Callable[[], float] = time.time
    _offset_s: float = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._offset_s = self.wall() - self.now()

    def now(self) -> float:
        """Return seconds of the clock."""
        return self.clock_ns() / NS

    def at(self, now: float) -> float:
        """Return the time of day at that moment of the clock, in seconds since 1970."""
        return self._offset_s + now


@define(eq=False)
class Client:
    """Asks, and measures what comes.

    Attributes:
        manager: Is asked.
        watch: The client's clock.
        meter: Watches the power.
    """

    manager: ModelManager
    watch: Stopwatch = field(factory=Stopwatch)
    meter: Meter = field(factory=NoMeter)

    async def ask(self, label: Label, asked: Sequence[GenerateRequest]) -> list[Taken]:
        """Make all requests at once, and return what each came to; a failure is a sample, too."""
        before, start = self.manager.watch.traffic, self.watch.now()
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self._one(label, request)) for request in asked]
        taken = [task.result() for task in tasks]
        after, energy = self.manager.watch.traffic, self.meter.span(start, self.watch.now())
        others = before.running > 0 or after.begun - before.begun > len(asked)
        return [
            evolve(it, sample=evolve(it.sample, disturbed=others, energy=share))
            for it, share in zip(taken, shares(energy, [_tokens(it) for it in taken]), strict=True)
        ]

    async def _one(self, label: Label, request: GenerateRequest) -> Taken:
        clock, answer, error = self.watch.clock_ns, None, None
        pieces: list[int] = []
        start = clock()
        try:
            async with aclosing(self.manager.generate(request)) as stream:
                async for piece in stream:
                    if isinstance(piece, Answer):
                        answer = piece
                    elif piece.text:
                        pieces.append(clock())
        except OracError as failure:
            error = str(failure) or type(failure).__name__
        marks = Marks(start, pieces, clock())
        found = sample(label, self.watch.at(start / NS), marks, answer)
        return Taken(evolve(found, error=error), answer.text if answer else "")


def shares(energy: Energy | None, tokens: Sequence[int]) -> list[Energy | None]:
    """Return what each of several answers of one span took of its energy, by their tokens (pure).

    The parts sum up to the whole, in joules and in seconds.
    """
    if energy is None:
        return [None for _ in tokens]
    whole = sum(tokens)
    ratios = [it / whole if whole else 1 / len(tokens) for it in tokens]
    return [
        evolve(energy, joules=energy.joules * each, seconds=energy.seconds * each)
        for each in ratios
    ]


def _tokens(taken: Taken) -> int:
    return taken.sample.completion_tokens or 0
