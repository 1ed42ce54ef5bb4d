"""Tasks: what is asked, and what is demanded of the answer."""

from collections.abc import Collection, Iterator
from hashlib import sha256
from typing import Any, Self

from attrs import Attribute, evolve, field, frozen
from attrs.validators import ge, le, matches_re, min_len

from ...conversation import Message
from .outcome import Check, Outcome
from .parts import FAMILIES
from .schemas import a_schema

MAX_ANSWER = 32_768
"""Characters; a longer answer is wrong without being looked at."""

MAX_TOKENS = 4096
"""That a task may ask for."""


def _a_format(asked: object, attribute: "Attribute[Any]", value: Any) -> None:
    if isinstance(value, dict):
        a_schema(asked, attribute, value)
    elif value not in (None, "json"):
        raise ValueError('format: must be "json" or a JSON schema')


@frozen
class Question:
    """What is asked.

    Attributes:
        id: By which reports name it: small letters, digits, dots, ``-`` and ``_``.
        prompt: One message of the user's …
        messages: … or a conversation instead.
        system: The system message before that; empty for none.
        format: ``"json"`` or a JSON schema that the engine is told to keep to; None leaves the
            model free, which is what shows how well it does by itself.
        max_tokens: Longest answer.
        reference: An answer that passes; None when the author gives none.
    """

    id: str = field(validator=matches_re(r"[a-z0-9][a-z0-9._-]{0,63}"))
    prompt: str = ""
    messages: tuple[Message, ...] = ()
    system: str = ""
    format: Any = field(default=None, validator=_a_format)
    max_tokens: int = field(default=256, validator=[ge(1), le(MAX_TOKENS)])
    reference: str | None = None

    def __attrs_post_init__(self) -> None:
        if bool(self.prompt.strip()) == bool(self.messages):
            raise ValueError("give either prompt or messages")
        if self.messages and self.messages[-1].role != "user":
            raise ValueError("the last of messages must be the user's")


@frozen
class Task:
    """A question with the checks of its answer.

    Attributes:
        question: What is asked.
        checks: What is demanded; each part is counted by one of them only.
    """

    question: Question
    checks: tuple[Check, ...] = field(validator=min_len(1))

    def __attrs_post_init__(self) -> None:
        parts = [part for check in self.checks for part in check.parts]
        if len(set(parts)) < len(parts):
            raise ValueError("two checks count to the same part; make two tasks of them")
        wrong = self._wrong_reference()
        if wrong:
            raise ValueError(f"the reference does not pass: {wrong}; correct it or the check")

    @property
    def id(self) -> str:
        """By which reports name it."""
        return self.question.id

    @property
    def kinds(self) -> frozenset[str]:
        """The families of the parts that it counts to."""
        return frozenset(FAMILIES[part] for check in self.checks for part in check.parts)

    @property
    def conversation(self) -> tuple[Message, ...]:
        """The messages to send: one of the system with what checks have to tell, then the rest."""
        told = [self.question.system, *(check.briefing for check in self.checks)]
        system = "\n\n".join(filter(None, told))
        asked = self.question.messages or (Message("user", self.question.prompt),)
        return (Message("system", system), *asked) if system else asked

    def outcome(self, answer: str) -> Outcome:
        """Return how an *answer* does, all checks together."""
        if len(answer) > MAX_ANSWER:
            return self.missed(f"the answer has over {MAX_ANSWER} characters")
        outcomes = [check.outcome(answer) for check in self.checks]
        problems = [each.problem for each in outcomes if each.problem is not None]
        marks = tuple(mark for each in outcomes for mark in each.marks)
        return Outcome(marks, "; ".join(problems) if problems else None)

    def missed(self, why: str) -> Outcome:
        """Return the outcome of no answer at all: nothing is right."""
        return evolve(self.outcome(""), problem=why)

    def _wrong_reference(self) -> str | None:
        reference = self.question.reference
        return None if reference is None else self.outcome(reference).problem


@frozen
class TaskSet:
    """Tasks in the order in which they are asked.

    Attributes:
        name: With its version: ``orac-tasks 1``.
        tasks: All of them, or those that were chosen.
        whole: How many there are in all.
    """

    name: str
    tasks: tuple[Task, ...]
    whole: int

    @classmethod
    def of(cls, name: str, tasks: Collection[Task]) -> Self:
        """Return all *tasks* as a set of that name."""
        return cls(name, tuple(tasks), len(tasks))

    def chosen(self, kinds: Collection[str] = (), limit: int | None = None) -> Self:
        """Return those of the *kinds*, all kinds when empty, and of them at most *limit*.

        What is left stands in the same order and is spread evenly over the whole.

        Raises:
            ValueError: There is no such kind, or the limit is under 1.
        """
        unknown = sorted(set(kinds) - set(FAMILIES.values()))
        if unknown or (limit is not None and limit < 1):
            raise ValueError(f"no kind {unknown[0]!r}" if unknown else "the limit is at least 1")
        found = [task for task in self.tasks if not kinds or task.kinds & set(kinds)]
        return evolve(self, tasks=tuple(_spread(found, limit or len(found))))

    def label(self, answered: int) -> str:
        """Return what the report calls a run of which so many tasks were *answered*.

        A run of less than the whole names its tasks by a checksum of their ids, so that it is only
        compared with a run of the same.
        """
        if answered == self.whole:
            return f"{self.name} ({self.whole})"
        ids = "\n".join(task.id for task in self.tasks[:answered])
        mark = sha256(ids.encode()).hexdigest()[:6]
        return f"{self.name} ({answered} of {self.whole}, {mark})"


def _spread(tasks: list[Task], limit: int) -> Iterator[Task]:
    n = min(limit, len(tasks))
    yield from (tasks[(2 * each + 1) * len(tasks) // (2 * n)] for each in range(n))
