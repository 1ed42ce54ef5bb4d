"""A model that crashes again and again: how long to wait, and when to stop trying. Pure."""

import math

from attrs import define, field

from ..errors import BackendUnavailable

WINDOW_S = 600.0
"""What is longer ago than this is forgotten."""

MOST = 5
"""So many within the window, and nobody tries any more until somebody asks for it."""

FIRST_S = 0.5
"""After a second setback; the first may be an accident, and is made good at once."""


@define(eq=False)
class Setbacks:
    """When a model crashed or could not be loaded, lately."""

    _at: list[float] = field(factory=list, init=False)

    def add(self, now: float) -> None:
        """Note one; *now* is in seconds of any clock that does not go back."""
        self._at = [*self._recent(now), now][-MOST:]

    def forgive(self) -> None:
        """Forget all."""
        self._at.clear()

    def count(self, now: float) -> int:
        """Return how many there were within the window."""
        return len(self._recent(now))

    def pause_s(self, now: float) -> float:
        """Return the seconds from *now* until it may be tried again: 0, 0.5, 1, 2 … after each."""
        recent = self._recent(now)
        if len(recent) < 2:  # noqa: PLR2004 - the first is free
            return 0.0
        return float(max(0.0, recent[-1] + FIRST_S * 2 ** (len(recent) - 2) - now))

    def exhausted(self, now: float) -> bool:
        """Whether it was tried often enough."""
        return self.count(now) >= MOST

    def over_s(self, now: float) -> float:
        """Return the seconds until one is forgotten; 0 when there is none."""
        recent = self._recent(now)
        return recent[0] + WINDOW_S - now if recent else 0.0

    def _recent(self, now: float) -> list[float]:
        return [at for at in self._at if now - at < WINDOW_S]


def enough(setbacks: Setbacks, now: float, model: str, reason: str | None) -> BackendUnavailable:
    """Return the error for a prompt to a *model* that is not tried any more."""
    error = BackendUnavailable(
        f"{model} failed {setbacks.count(now)} times in a row, the last time: "
        f"{reason or 'it stopped'}; see to that, then load it (`orac load {model}`)",
        instance=model.partition("/")[0],
        operation="load",
    )
    error.retry_after_s = math.ceil(setbacks.over_s(now))
    return error
