"""Is the answer the right one, word for word or by a pattern?"""

import unicodedata
from typing import Any, ClassVar

from attrs import Attribute, field, frozen

from .outcome import Mark, Outcome
from .schemas import a_pattern, matches


def _not_blank(_: object, __: "Attribute[Any]", answers: tuple[str, ...]) -> None:
    if not answers or not all(map(normalised, answers)):
        raise ValueError("give at least one answer, none of them blank")


@frozen
class ExactCheck:
    """The answer is one of those that are right, once both are normalised.

    Attributes:
        answers: Any of them is right.
        case: Whether capital and small letters differ.
    """

    parts: ClassVar[tuple[str, ...]] = ("exact",)
    briefing: ClassVar[str] = ""

    answers: tuple[str, ...] = field(validator=_not_blank)
    case: bool = False

    def outcome(self, text: str) -> Outcome:
        """Return how *text* does."""
        given = normalised(text, case=self.case)
        right = bool(given) and given in {normalised(each, case=self.case) for each in self.answers}
        problem = None if right else f"{given[:60]!r} where {self.answers[0]!r} is right"
        return Outcome((Mark("exact", right),), problem)


@frozen
class RegexCheck:
    """All of the answer, but for white space around it, matches a pattern.

    Attributes:
        pattern: In the syntax of Rust's ``regex``, which always ends in time.
    """

    parts: ClassVar[tuple[str, ...]] = ("regex",)
    briefing: ClassVar[str] = ""

    pattern: str = field(validator=a_pattern)

    def __attrs_post_init__(self) -> None:
        if matches(self.pattern, ""):
            raise ValueError("the pattern matches an empty answer; demand something")

    def outcome(self, text: str) -> Outcome:
        """Return how *text* does."""
        given = text.strip()
        right = matches(self.pattern, given)
        problem = None if right else f"{given[:60]!r} does not match"
        return Outcome((Mark("regex", right),), problem)


def normalised(text: str, *, case: bool = False) -> str:
    """Return *text* as it is compared.

    In Unicode's form NFC, each run of white space one space, none around it, without one full stop
    at its end, and in small letters unless *case*.
    """
    words = " ".join(unicodedata.normalize("NFC", text).split())
    bare = words.removesuffix(".").rstrip()
    return bare if case else bare.casefold()
