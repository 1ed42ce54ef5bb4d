"""Does the answer keep to instructions that a program can verify?

Prompt-level, instruction-level, strict and loose are meant as in IFEval (Zhou et al. 2023,
arXiv:2311.07911); the instructions are our own.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from itertools import product
from typing import ClassVar

from attrs import field, frozen
from attrs.validators import ge, in_, min_len, optional

from .json_text import NotJson, read
from .outcome import Mark, Outcome

_SENTENCE_ENDS = re.compile(r"(?<![.!?…])[.!?…]++[\"')\]]*+(?=\s|$)|[。\uff01\uff1f]+")
_BULLET = re.compile(r"^[ \t]*[-*•][ \t]+\S", re.MULTILINE)
_NUMBERED = re.compile(r"^[ \t]*(\d{1,4})[.)][ \t]+\S", re.MULTILINE)


def _sentences(text: str) -> int:
    whole = _SENTENCE_ENDS.split(text)
    return sum(any(map(str.isalnum, each)) for each in whole)


def _lines(text: str) -> int:
    return sum(bool(line.strip()) for line in text.splitlines())


def _paragraphs(text: str) -> int:
    return sum(bool(part.strip()) for part in re.split(r"\n[ \t]*\n", text))


def _numbered(text: str) -> int:
    """Return how many lines are numbered 1, 2, 3 …; 0 when the numbers are others."""
    numbers = [int(each) for each in _NUMBERED.findall(text)]
    return len(numbers) if numbers == list(range(1, len(numbers) + 1)) else 0


def _is_json(text: str) -> bool:
    try:
        return read(text) not in ({}, [])
    except NotJson:
        return False


COUNTED: Mapping[str, Callable[[str], int]] = {
    "words": lambda text: len(text.split()),
    "sentences": _sentences,
    "lines": _lines,
    "paragraphs": _paragraphs,
    "bullets": lambda text: len(_BULLET.findall(text)),
    "numbered": _numbered,
    "characters": lambda text: len(text.strip()),
}
"""Instructions about how many there are; they take ``at_least`` and ``at_most``."""

SPELT: Mapping[str, Callable[[str, Sequence[str]], bool]] = {
    "contains": lambda text, texts: all(each in text for each in texts),
    "lacks": lambda text, texts: not any(each in text for each in texts),
    "starts_with": lambda text, texts: text.lstrip().startswith(tuple(texts)),
    "ends_with": lambda text, texts: text.rstrip().endswith(tuple(texts)),
}
"""Instructions about words that are there; they take ``texts``."""

SHAPED: Mapping[str, Callable[[str], bool]] = {
    "lowercase": str.islower,
    "uppercase": str.isupper,
    "json": _is_json,
}
"""Instructions that take nothing."""


@frozen
class Instruction:
    """One instruction that can be verified.

    Attributes:
        rule: Which one.
        at_least: For those that count.
        at_most: For those that count.
        texts: For those about words: all for ``contains``, none for ``lacks``, else one of them.
        case: Whether capital and small letters differ in ``texts``.
    """

    rule: str = field(validator=in_([*COUNTED, *SPELT, *SHAPED]))
    at_least: int | None = field(default=None, validator=optional(ge(0)))
    at_most: int | None = field(default=None, validator=optional(ge(0)))
    texts: tuple[str, ...] = ()
    case: bool = False

    def __attrs_post_init__(self) -> None:
        bounds = [each for each in (self.at_least, self.at_most) if each is not None]
        if bool(bounds) != (self.rule in COUNTED) or bounds != sorted(bounds):
            raise ValueError(f"{self.rule}: at_least and at_most go with counts, the lesser first")
        if bool(self.texts) != (self.rule in SPELT) or not all(self.texts):
            raise ValueError(f"{self.rule}: texts, none of them empty, go with {', '.join(SPELT)}")

    def followed(self, text: str) -> bool:
        """Whether *text* keeps to it; one without any content never does."""
        if not text.strip():
            return False
        if self.rule in SHAPED:
            return SHAPED[self.rule](text)
        if self.rule in COUNTED:
            return self._bounds(COUNTED[self.rule](text))
        return SPELT[self.rule](self._folded(text), tuple(map(self._folded, self.texts)))

    def _bounds(self, count: int) -> bool:
        most = count if self.at_most is None else self.at_most
        return (self.at_least or 0) <= count <= most

    def _folded(self, text: str) -> str:
        return text if self.case else text.casefold()


@frozen
class InstructionCheck:
    """The answer keeps to all instructions.

    Attributes:
        instructions: All of them; the prompt says the same in words.
    """

    parts: ClassVar[tuple[str, ...]] = (
        "instruction_prompt_strict",
        "instruction_prompt_loose",
        "instruction_strict",
        "instruction_loose",
    )
    briefing: ClassVar[str] = ""

    instructions: tuple[Instruction, ...] = field(validator=min_len(1))

    def outcome(self, text: str) -> Outcome:
        """Return how *text* does."""
        strict = [each.followed(text) for each in self.instructions]
        loose = [any(map(each.followed, variants(text))) for each in self.instructions]
        n = len(strict)
        marks = (
            Mark(self.parts[0], all(strict)),
            Mark(self.parts[1], all(loose)),
            Mark(self.parts[2], sum(strict), n),
            Mark(self.parts[3], sum(loose), n),
        )
        return Outcome(marks, self._problem(strict))

    def _problem(self, strict: Sequence[bool]) -> str | None:
        broken = zip(self.instructions, strict, strict=True)
        rules = [each.rule for each, kept in broken if not kept]
        return f"not kept to: {', '.join(rules)}" if rules else None


def variants(text: str) -> tuple[str, ...]:
    """Return the eight texts of which the best counts loosely.

    First line, last line, both or neither left out, each with and without its asterisks.
    """
    lines = text.strip().split("\n")
    cuts = [
        "\n".join(lines[first : len(lines) - last]).strip()
        for first, last in product((0, 1), (0, 1))
    ]
    return (text, *cuts[1:], *(cut.replace("*", "") for cut in (text, *cuts[1:])))
