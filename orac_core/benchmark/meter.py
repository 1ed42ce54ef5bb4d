"""What a run is given to measure with besides the clock: power, and the quality of answers."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Literal, Protocol, Self

from attrs import frozen

from ..conversation import Message
from .progress import Progress
from .results import Energy, EnergyUse, Quality

Ask = Callable[[Sequence[Message], Literal["json"] | Mapping[str, Any] | None, int], Awaitable[str]]
"""Asks the model under test: messages, format, most tokens; returns the text of the answer."""

Tell = Callable[[Progress], None]
"""Told how many tasks are done, and of how many."""


class Examination(Protocol):
    """The tasks that one model is asked, and what its answers were worth so far."""

    @property
    def quality(self) -> Quality | None:
        """How good the answers are that there are by now; None before the first."""

    async def run(self, ask: Ask, on_progress: Tell, /) -> Quality:
        """Ask all tasks, and return how good the answers are."""


MeasuresQuality = Callable[[], Examination]
"""Makes the examination of one model."""


class Meter(Protocol):
    """Watches the machine from entering to leaving it. Times are ``perf_counter`` seconds."""

    @property
    def idle_watts(self) -> float | None:
        """What the machine takes doing nothing; None before `rested`, and without a sensor."""

    @property
    def samples(self) -> Sequence[Mapping[str, Any]]:
        """What was seen, in plain JSON values."""

    async def __aenter__(self) -> Self:
        """Begin to watch."""

    async def __aexit__(self, *_: object) -> None:
        """Stop watching."""

    def rested(self, start: float, end: float) -> None:
        """Take note that the machine did nothing in that span."""

    def span(self, start: float, end: float) -> Energy | None:
        """Return the energy of that span; None without a sensor."""

    def use(self, spent: Sequence[tuple[Energy, int, int]]) -> EnergyUse | None:
        """Return what the energy of answers comes to, each with its tokens read and written."""


@frozen
class NoMeter:
    """A machine without sensors."""

    idle_watts: None = None
    samples: tuple[Mapping[str, Any], ...] = ()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        return None

    def rested(self, start: float, end: float) -> None:
        """Take no note."""

    def span(self, start: float, end: float) -> None:
        """Return None."""

    def use(self, spent: Sequence[tuple[Energy, int, int]]) -> None:
        """Return None."""
