"""Is the answer JSON, and of the form that was asked for?"""

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from attrs import field, frozen

from .json_text import NotJson, read, read_loosely
from .outcome import Mark, Outcome
from .schemas import a_schema, fault

_ROOTS = {"object": dict, "list": list, "any": object}


@frozen
class JsonCheck:
    """The answer is JSON and not an empty object or list.

    A code block around it fails ``json_validity`` and passes ``json_validity_loose``.

    Attributes:
        root: What the whole has to be.
        keys: Keys that an object has to have.
    """

    parts: ClassVar[tuple[str, ...]] = ("json_validity", "json_validity_loose")
    briefing: ClassVar[str] = ""

    root: Literal["object", "list", "any"] = "object"
    keys: tuple[str, ...] = ()

    def outcome(self, text: str) -> Outcome:
        """Return how *text* does."""
        strict, loose = self._fault(text, loose=False), self._fault(text, loose=True)
        return Outcome(
            (
                Mark("json_validity", strict is None),
                Mark("json_validity_loose", loose is None),
            ),
            strict,
        )

    def _fault(self, text: str, *, loose: bool) -> str | None:
        value, problem = _content(text, loose=loose)
        if problem or not isinstance(value, _ROOTS[self.root]):
            return problem or f"the whole is no {self.root}"
        missing = [key for key in self.keys if not isinstance(value, dict) or key not in value]
        return f"lacks the key {missing[0]!r}" if missing else None


@frozen
class SchemaCheck:
    """The answer is JSON that is valid by a schema.

    A code block around it fails what is strict and passes what is loose.

    Attributes:
        schema: JSON Schema, Draft 2020-12, formats checked.
    """

    parts: ClassVar[tuple[str, ...]] = (
        *JsonCheck.parts,
        "schema_compliance",
        "schema_compliance_loose",
    )
    briefing: ClassVar[str] = ""

    schema: Mapping[str, Any] = field(validator=a_schema)

    def outcome(self, text: str) -> Outcome:
        """Return how *text* does."""
        value, strict = _content(text, loose=False)
        loose_value, loose = _content(text, loose=True)
        unfit = strict or fault(self.schema, value)
        loosely_unfit = loose or fault(self.schema, loose_value)
        faults = (strict, loose, unfit, loosely_unfit)
        marks = zip(self.parts, faults, strict=True)
        return Outcome(tuple(Mark(part, each is None) for part, each in marks), unfit)


def _content(text: str, *, loose: bool) -> tuple[Any, str | None]:
    """Return the value and no problem, or nothing and the problem."""
    try:
        value = read_loosely(text) if loose else read(text)
    except NotJson as error:
        return None, str(error)
    if value in ({}, []):
        return None, "an empty object or list is no answer"
    return value, None
