"""What the document says of one endpoint."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Literal

from attrs import field, frozen

Tag = Literal["models", "prompts", "benchmarks", "doctor", "health", "pages"]

NOTHING: Mapping[Any, Any] = MappingProxyType({})


@frozen(kw_only=True)
class Body:
    """What a client sends.

    Attributes:
        type: The wire type, by which it is checked; where it inherits from `schema.Open` the
            document says that unknown keys are accepted.
        optional: Whether it may be left out.
        rule: What else holds, as JSON Schema, where only code checks it.
    """

    type: Any
    optional: bool = False
    rule: Mapping[str, Any] = NOTHING


@frozen(kw_only=True)
class Operation:
    """What the document says of one endpoint, beside what the endpoint itself tells.

    Attributes:
        name: Name of the operation, for generated clients.
        tag: What it is about.
        summary: What it does, in a few words.
        description: What else to know, in Markdown.
        body: What a client sends; None for nothing.
        query: Wire type of what may stand behind the ``?``.
        answers: Types of the answer in JSON, of which it has one; none when it is no JSON.
        forms: Content types of answers that are no JSON, each with what they are.
        events: Types of the events of a stream by name; none when it does not stream.
        frame: Type of the frames of a stream of OpenAI's, which have no names and end with
            ``[DONE]``; None when there is no such stream.
        others: Types of answers with another status that are no errors; None when there is no body.
        errors: Errors of the library that are possible, as ``errors.RULES`` knows them.
    """

    name: str
    tag: Tag
    summary: str
    description: str = ""
    body: Body | None = None
    query: Any = None
    answers: tuple[Any, ...] = ()
    forms: Mapping[str, str] = NOTHING
    events: Mapping[str, Any] = NOTHING
    frame: Any = None
    others: Mapping[int, Any] = NOTHING
    errors: tuple[type[Exception], ...] = field(default=())

    @property
    def types(self) -> tuple[Any, ...]:
        """Every type of what a client gets."""
        some = (each for each in (self.frame, *self.others.values()) if each is not None)
        return (*self.answers, *self.events.values(), *some)

    @property
    def streams(self) -> bool:
        """Whether the answer may be a stream."""
        return bool(self.events) or self.frame is not None
