"""Several models that may answer a request: which errors pass it on, and what is told of that.

Only before the first piece of an answer, and never for what is the caller's own fault.
"""

from collections.abc import Sequence
from types import TracebackType
from typing import Self

from attrs import define, field

from ..errors import DeadlineExceeded, InvalidRequest, OracError, ShuttingDown
from ..events import Events
from .names import Attempt

NOBODY = Attempt("")

LONGEST_TEXT = 200
"""Characters that are told of what a fallback said."""


@define(eq=False)
class Tries:
    """What may be tried for one request, and what came of it.

    Attributes:
        attempts: What to try, in order.
        events: Where it is told when the request is passed on.
        settled: Whether a piece of an answer was given; nothing else is tried then.
    """

    attempts: tuple[Attempt, ...]
    events: Events
    settled: bool = False
    _trying: Attempt = field(default=NOBODY, init=False)
    _failures: list[tuple[Attempt, OracError]] = field(factory=list, init=False)

    def after(self, attempt: Attempt) -> tuple[Attempt, ...]:
        """Return what may be tried after *attempt*."""
        return self.attempts[self.attempts.index(attempt) + 1 :]

    def trying(self, attempt: Attempt) -> Self:
        """Return what to try *attempt* within.

        It ends without an error also when the next is to be tried, or none is left. An error that
        nothing else is to be tried for goes on.
        """
        self._trying = attempt
        return self

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _: type[BaseException] | None, error: BaseException | None, __: TracebackType | None
    ) -> bool:
        """End a try, and return whether its error is no reason to give up."""
        if not isinstance(error, OracError):
            return False
        attempt = self._trying
        if self.settled or not passes_on(error, fallback=attempt.fallback):
            return False
        self._failures.append((attempt, error))
        if others := self.after(attempt):
            self._tell(attempt, others[0], error)
        return True

    @property
    def failure(self) -> OracError:
        """The error of the first, once all have failed, with a note on the others."""
        return united(self._failures)

    def _tell(self, failed: Attempt, next_: Attempt, error: OracError) -> None:
        self.events.publish(
            "fallback",
            role=failed.role,
            failed=failed.name,
            next=next_.name,
            error=type(error).__name__,
        )


def passes_on(error: OracError, *, fallback: bool) -> bool:
    """Return whether another model may do what this one could not.

    What is wrong with a request is so for all models, as far as the first one says so; a *fallback*
    may only be too small for it.
    """
    if isinstance(error, InvalidRequest):
        return fallback
    return not isinstance(error, DeadlineExceeded | ShuttingDown)


def united(failures: Sequence[tuple[Attempt, OracError]]) -> OracError:
    """Return the first error with a note on the others, and with the soonest time to ask again."""
    (_, first), *others = failures
    if not others:
        return first
    said = "; ".join(f"{attempt.name}: {_short(str(error))}" for attempt, error in others)
    told = type(first).__new__(type(first))  # others may tell of the same error otherwise
    told.__dict__.update(first.__dict__)
    told.args = (f"{first} (nor did a fallback answer: {said})",)
    soonest = (error.retry_after_s for _, error in failures)
    told.retry_after_s = min((each for each in soonest if each is not None), default=None)
    told.__cause__ = first
    return told


def _short(text: str) -> str:
    return text if len(text) <= LONGEST_TEXT else f"{text[:LONGEST_TEXT]}…"
