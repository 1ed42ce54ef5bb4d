"""What is noted while a backend is driven through many orders of calls."""

from collections.abc import Iterator
from contextlib import contextmanager
from math import inf
from time import monotonic

from attrs import define, field, frozen


class TimeIsUp(BaseException):
    """No further step is taken; no `Exception`, so that Hypothesis lets it pass at once."""


@frozen
class Failure:
    """Steps that ended in a failure.

    Attributes:
        steps: What was done, one after another; the last failed.
        seen: What was seen.
    """

    steps: tuple[str, ...]
    seen: str


@define(eq=False)
class Journal:
    """The steps of one order of calls after another, and the shortest order that failed.

    Attributes:
        ends_at: When no further step is begun, in seconds of `monotonic`.
        shortens_for_s: How long a shorter order is looked for, once one has failed.
        steps: What was done in this order so far.
        failed: Whether a step of this order failed.
        taken: How many steps were taken, all orders together.
        over: Whether a step was not taken, as it was too late.
        shortest: The shortest order that failed, of equal ones the last.
    """

    ends_at: float = inf
    shortens_for_s: float = 0.0
    steps: list[str] = field(factory=list, init=False)
    failed: bool = field(default=False, init=False)
    taken: int = field(default=0, init=False)
    over: bool = field(default=False, init=False)
    shortest: Failure | None = field(default=None, init=False)

    def begin(self) -> None:
        """Begin another order."""
        self.steps, self.failed = [], False

    @contextmanager
    def step(self, told: str) -> Iterator[None]:
        """Note a step that is taken now, and how it fails.

        Raises:
            TimeIsUp: when it is too late to take one.
        """
        self.over = self.over or monotonic() > self.ends_at
        if self.over:
            raise TimeIsUp
        self.steps.append(told)
        self.taken += 1
        try:
            yield
        except Exception as error:
            self._fail(error)
            raise

    def _fail(self, error: Exception) -> None:
        """Keep the failure; what never ended would take as long in every shorter order."""
        endless, first = isinstance(error, TimeoutError), self.shortest is None
        if self.ends_at < inf and (endless or first):
            self.ends_at = monotonic() + (0.0 if endless else self.shortens_for_s)
        if self.shortest is None or len(self.steps) <= len(self.shortest.steps):
            self.shortest = Failure(tuple(self.steps), _seen(error))
        self.failed = True


def _seen(error: Exception) -> str:
    return str(error) if isinstance(error, AssertionError) else f"{type(error).__name__}: {error}"
