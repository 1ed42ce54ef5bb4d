"""The schemas of types, out of their annotations and their docstrings."""

import inspect
import re
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any

from .. import schema
from ..wire import Json
from .kinds import TEMPLATE

FIELD = re.compile(r"^(\w+): ", re.MULTILINE)
"""Where a field begins in the part ``Attributes:`` of a docstring."""

ATTRIBUTES = "\n\nAttributes:\n"


def bodies(types: Iterable[Any]) -> dict[str, Json]:
    """Return the components of what clients send."""
    return _published(types)


def answers(types: Iterable[Any]) -> dict[str, Json]:
    """Return the components of what clients get, in which every field is there."""
    return {name: _complete(it) for name, it in _published(types).items()}


@cache
def reference(cls: Any) -> Json:
    """Return the schema of a type, which refers to components."""
    (found,), _ = schema.components([cls], TEMPLATE)
    published: Json = _keywords(found)
    return published


def text(told: str) -> str:
    """Return a piece of a docstring as Markdown: code has one backtick, and None is JSON's null."""
    plain = re.sub(r":\w+:`~?(?:\w+\.)*(\w+)`", r"`\1`", told).replace("``", "`")
    return " ".join(re.sub(r"\bNone\b", "null", plain).split())


def _published(types: Iterable[Any]) -> dict[str, Json]:
    known = list(types)
    classes = {each.__name__: each for kind in known for each in schema.classes(kind)}
    _, found = schema.components(known, TEMPLATE)
    return {name: _keywords(_described(it, classes[name])) for name, it in found.items()}


def _described(component: Json, cls: type) -> Json:
    """Return *component* with what the docstrings of *cls* say of it and of its fields."""
    told = component | {"description": text(_docstring(cls).partition(ATTRIBUTES)[0])}
    if "properties" not in component:
        return told
    known = _fields(cls)
    fields = {
        name: {**found, "description": known[name]} if name in known else found
        for name, found in component["properties"].items()
    }
    return told | {"properties": fields}


@cache
def _fields(cls: type) -> Mapping[str, str]:
    """Return the descriptions of fields by name, also of those that are inherited."""
    found: dict[str, str] = {}
    for each in reversed(cls.__mro__):
        _, _, listed = _docstring(each).partition(ATTRIBUTES)
        _, *parts = FIELD.split(inspect.cleandoc(f"\n{listed}"))
        found |= {name: text(told) for name, told in zip(parts[::2], parts[1::2], strict=True)}
    return found


def _docstring(cls: type) -> str:
    return inspect.cleandoc(cls.__doc__ or "")


def _keywords(value: Any) -> Any:
    """Return a schema whose enumerations say their type, with the patterns that code checks."""
    if isinstance(value, list):
        return [_keywords(each) for each in value]
    if not isinstance(value, dict):
        return value
    found = {name: _keywords(each) for name, each in value.items()}
    if isinstance(options := found.get("enum"), list) and "type" not in found:
        found["type"] = "string" if isinstance(options[0], str) else "boolean"
    if "x-pattern" in found:
        found["pattern"] = found.pop("x-pattern")
    return found


def _complete(component: Json) -> Json:
    if "properties" not in component:
        return component
    fields = component["properties"].items()
    needed = [name for name, found in fields if not found.get("x-sometimes")]
    bare = {name: _without(found, "default", "x-sometimes") for name, found in fields}
    return component | {"properties": bare, "required": needed}


def _without(value: Json, *names: str) -> Json:
    return {name: each for name, each in value.items() if name not in names}
