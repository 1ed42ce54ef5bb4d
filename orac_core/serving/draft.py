"""An answer that is being written: its text, and when what happened."""

from collections.abc import Callable
from time import perf_counter

from attrs import Factory, define, field, frozen

from ..types import Answer, Chunk, FinishReason, GenerateRequest
from .formats import satisfies
from .names import Target


@frozen
class Spans:
    """Seconds that an answer took: in all, waiting for its turn, waiting for its model."""

    elapsed_s: float
    queue_s: float
    load_s: float


@define(eq=False)
class Draft:
    """Collects the chunks of one answer and the time of each step on the way to it.

    Attributes:
        request: What was asked.
        target: Who answers.
        text: What has been written so far, piece by piece.
        started: When the request came, by the clock.
        answer: The whole answer, once there is one.
    """

    request: GenerateRequest
    target: Target
    clock: Callable[[], float] = perf_counter
    text: list[str] = field(factory=list)
    started: float = field(default=Factory(lambda self: self.clock(), takes_self=True))
    answer: Answer | None = field(default=None, init=False)
    _admitted: float | None = field(default=None, init=False)
    _ready: float | None = field(default=None, init=False)
    _first: float | None = field(default=None, init=False)

    def admitted(self) -> None:
        """Its turn has come."""
        self._admitted = self.clock()

    def ready(self) -> None:
        """The model is loaded."""
        self._ready = self.clock()

    def add(self, text: str) -> None:
        """A piece of the answer has come."""
        if self._first is None:
            self._first = self.clock()
        self.text.append(text)

    @property
    def ttft_s(self) -> float | None:
        """Seconds from the request to the first piece; None as long as there is none."""
        return None if self._first is None else self._first - self.started

    def spans(self) -> Spans:
        """Return what it took until now."""
        now = self.clock()
        admitted = now if self._admitted is None else self._admitted
        ready = now if self._ready is None else self._ready
        return Spans(now - self.started, admitted - self.started, ready - admitted)

    def finish(self, last: Chunk, reason: FinishReason) -> Answer:
        """Return the whole answer; *last* is its last chunk."""
        spans = self.spans()
        text = "".join(self.text)
        wanted = self.request.format
        self.answer = Answer(
            text=text,
            model=self.target.model,
            instance=self.target.instance,
            role=self.target.role,
            finish_reason=reason,
            elapsed_s=spans.elapsed_s,
            queue_s=spans.queue_s,
            load_s=spans.load_s,
            ttft_s=self.ttft_s,
            usage=last.usage,
            rates=last.rates,
            truncated_prompt=last.truncated_prompt,
            format_valid=None if wanted is None else satisfies(text, wanted),
        )
        return self.answer
