"""Values that answers are made of, beside those of JSON itself."""

from typing import Annotated, Any

from msgspec import Meta

Moment = Annotated[str, Meta(extra_json_schema={"format": "date-time"})]
"""A time in ISO 8601, UTC."""

Interval = tuple[float, float]
"""Both ends of a 95 % interval."""

Plain = dict[str, Any]
"""Plain JSON values that differ from machine to machine."""

TEMPLATE = "#/components/schemas/{name}"
"""How one schema refers to another."""

SOMETIMES = Meta(extra_json_schema={"x-sometimes": True})
"""On a field that is left out where there is nothing to say; every other one is always there."""


def one_of(*names: str) -> Any:
    """Return what says of an object that may be null which of several classes it is.

    An annotation can not tell them apart. Each of them has to be a part of another answer, too.
    """
    classes = [{"$ref": TEMPLATE.format(name=name)} for name in names]
    return Meta(extra_json_schema={"anyOf": [*classes, {"type": "null"}]})
