"""Is one model better than another, or can that not be told? Pure."""

from typing import Literal

from attrs import frozen

from ...statistics import distinguishable
from ..results import Quality, Rate

Word = Literal["better", "worse", "not distinguishable", "not comparable"]


@frozen
class Difference:
    """How one figure of two models compares.

    Attributes:
        name: ``score``, or the name of a part.
        one: Of the first model: 0 to 100 for the score, 0 to 1 for a part; None where it has none.
        other: Of the second model.
        distinguishable: Whether their 95 % intervals are apart; None where they are not comparable.
    """

    name: str
    one: float | None
    other: float | None
    distinguishable: bool | None

    @property
    def verdict(self) -> Word:
        """How the first model stands to the second, in words."""
        if self.distinguishable is None or self.one is None or self.other is None:
            return "not comparable"
        if not self.distinguishable:
            return "not distinguishable"
        return "better" if self.one > self.other else "worse"


@frozen
class Comparison:
    """How two models compare.

    Attributes:
        score: Overall.
        parts: One for each part that either of them has.
    """

    score: Difference
    parts: tuple[Difference, ...]


def compare(one: Quality, other: Quality) -> Comparison:
    """Return how *one* stands to *other*; of different tasks or weights nothing can be told.

    Intervals that overlap may belong to models that do differ: this errs on the side of silence.
    """
    same_tasks = one.tasks == other.tasks
    same_weights = dict(one.weights) == dict(other.weights)
    apart = distinguishable(one.ci95, other.ci95) if same_tasks and same_weights else None
    names = dict.fromkeys([*one.parts, *other.parts])
    return Comparison(
        Difference("score", one.score, other.score, apart),
        tuple(
            _of_part(name, one.parts.get(name), other.parts.get(name), same_tasks=same_tasks)
            for name in names
        ),
    )


def _of_part(name: str, one: Rate | None, other: Rate | None, *, same_tasks: bool) -> Difference:
    ours, theirs = (each.ci95 if each else None for each in (one, other))
    apart = distinguishable(ours, theirs) if same_tasks else None
    return Difference(name, _share(one), _share(other), apart)


def _share(rate: Rate | None) -> float | None:
    return rate.hits / rate.n if rate and rate.n else None
