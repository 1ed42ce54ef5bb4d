"""An answer that is being written: its pieces, and when what happened."""

from collections import defaultdict
from collections.abc import Callable, Iterable
from time import perf_counter

from attrs import Factory, define, field, frozen

from ..conversation import (
    Answer,
    CallPiece,
    Chunk,
    FinishReason,
    GenerateRequest,
    Token,
    ToolCall,
)
from .formats import satisfies
from .names import Target


@frozen
class Spans:
    """Seconds that an answer took: in all, waiting for its turn, waiting for its model."""

    elapsed_s: float
    queue_s: float
    load_s: float


@define(eq=False)
class Course:
    """When a request came, had its turn, and had its model.

    Attributes:
        clock: Tells the time.
        started: When the request came, by the clock.
    """

    clock: Callable[[], float] = perf_counter
    started: float = field(default=Factory(lambda self: self.clock(), takes_self=True))
    _admitted: float | None = field(default=None, init=False)
    _ready: float | None = field(default=None, init=False)

    def admitted(self) -> None:
        """Its turn has come; with a second model it comes a second time."""
        self._admitted, self._ready = self.clock(), None

    def ready(self) -> None:
        """The model is loaded."""
        self._ready = self.clock()

    def spans(self) -> Spans:
        """Return what it took until now."""
        now = self.clock()
        admitted = now if self._admitted is None else self._admitted
        ready = now if self._ready is None else self._ready
        return Spans(now - self.started, admitted - self.started, ready - admitted)


@define(eq=False)
class Draft:
    """Collects the chunks of one answer.

    Attributes:
        request: What was asked.
        target: Who answers.
        course: When what happened on the way to it.
        text: What has been written so far, piece by piece.
        answer: The whole answer, once there is one.
    """

    request: GenerateRequest
    target: Target
    course: Course = field(factory=Course)
    text: list[str] = field(factory=list)
    answer: Answer | None = field(default=None, init=False)
    _calls: list[CallPiece] = field(factory=list, init=False)
    _tokens: list[Token] = field(factory=list, init=False)
    _first: float | None = field(default=None, init=False)

    def add(self, chunk: Chunk) -> bool:
        """Take a chunk in, and return whether it brought a piece of the answer."""
        if not (chunk.text or chunk.calls or chunk.tokens):
            return False
        if self._first is None:
            self._first = self.course.clock()
        if chunk.text:
            self.text.append(chunk.text)
        self._calls.extend(chunk.calls)
        self._tokens.extend(chunk.tokens)
        return True

    @property
    def begun(self) -> bool:
        """Whether there is any piece of it."""
        return self._first is not None

    @property
    def ttft_s(self) -> float | None:
        """Seconds from the request to the first piece; None as long as there is none."""
        return None if self._first is None else self._first - self.course.started

    def finish(self, last: Chunk, reason: FinishReason) -> Answer:
        """Return the whole answer; *last* is its last chunk."""
        spans = self.course.spans()
        text, calls = "".join(self.text), joined(self._calls)
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
            format_valid=None if calls else self._is_valid(text),
            tool_calls=calls,
            tokens=tuple(self._tokens),
            served_by_fallback=self.target.fallback,
        )
        return self.answer

    def _is_valid(self, text: str) -> bool | None:
        wanted = self.request.format
        return None if wanted is None else satisfies(text, wanted)


def joined(pieces: Iterable[CallPiece]) -> tuple[ToolCall, ...]:
    """Return the calls that *pieces* make, in the order in which they began."""
    of_call: defaultdict[int, list[CallPiece]] = defaultdict(list)
    for piece in pieces:
        of_call[piece.index].append(piece)
    return tuple(
        ToolCall(
            next((each.id for each in found if each.id), ""),
            next((each.name for each in found if each.name), ""),
            "".join(each.arguments for each in found),
        )
        for found in of_call.values()
    )
