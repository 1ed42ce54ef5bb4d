"""What one check says of one answer."""

from typing import Protocol

from attrs import field, frozen


@frozen
class Mark:
    """How one answer did in one part.

    Attributes:
        part: Name of the part.
        hits: What went right.
        n: Of how many: 1, but for instructions, of which an answer has several.
    """

    part: str
    hits: int = field(converter=int)
    n: int = 1


@frozen
class Outcome:
    """What a check says of an answer.

    Attributes:
        marks: One for each part that the check counts to.
        problem: What is wrong with the answer; None when it passed.
    """

    marks: tuple[Mark, ...]
    problem: str | None = None

    @property
    def passed(self) -> bool:
        """Whether nothing is wrong with the answer."""
        return self.problem is None


class Check(Protocol):
    """What is demanded of an answer."""

    @property
    def parts(self) -> tuple[str, ...]:
        """The parts that it counts to."""

    @property
    def briefing(self) -> str:
        """What the model has to be told beside the prompt; empty for nothing."""

    def outcome(self, text: str) -> Outcome:
        """Return how *text* does; an empty one passes nothing."""
