"""JSON Schema in words (pure)."""

import json
from collections.abc import Iterator
from typing import Any

from orac_server.wire import Json

from .events import referred
from .limits import between
from .markdown import code

WORDS = {
    "string": "text",
    "integer": "whole number",
    "number": "number",
    "boolean": "`true` or `false`",
    "object": "object",
}


def parameters(schema: Json, schemas: Json, before: str = "") -> Iterator[tuple[str, ...]]:
    """Yield a row for each property: name, type, default and meaning; then those within it."""
    needed = schema.get("required", ())
    for name, found in schema["properties"].items():
        default = "has to be there" if name in needed else shown(found.get("default"))
        yield code(before + name), words(found), default, found.get("description", "")
        for inner, place in within(found, schemas):
            yield from parameters(inner, schemas, f"{before}{name}{place}.")


def within(found: Json, schemas: Json) -> Iterator[tuple[Json, str]]:
    """Yield the objects that a property has in it, and what stands between the names."""
    for each in found.get("anyOf", (found,)):
        place = "[]" if "items" in each else ""
        inner = schemas.get(referred(each.get("items", each)), {})
        if "properties" in inner:
            yield inner, place


def words(found: Json) -> str:
    """Return what a value has to be."""
    if "anyOf" in found:
        kinds = [words(each) for each in found["anyOf"] if each != {"type": "null"}]
        return " or ".join(dict.fromkeys(kinds))
    if "$ref" in found:
        return "object"
    if "enum" in found or "const" in found:
        return " or ".join(map(shown, found.get("enum", [found.get("const")])))
    told = _list(found) if found.get("type") == "array" else WORDS.get(found.get("type", ""), "any")
    return ", ".join(filter(None, (told, limits(found))))


def limits(found: Json) -> str:
    """Return the limits of a value; nothing where it has none."""
    if "exclusiveMinimum" in found:
        return "above 0" if found["exclusiveMinimum"] < 1 else ""
    if found.get("type") == "string":
        most = found.get("maxLength")
        return f"at most {most} characters" if most else ""
    if found.get("type") == "array":
        return between(found.get("minItems"), found.get("maxItems"))
    return between(found.get("minimum"), found.get("maximum"))


def shown(value: Any) -> str:
    """Return a plain value as JSON; nothing for others."""
    return "" if value is None or isinstance(value, dict | list) else code(json.dumps(value))


def _list(found: Json) -> str:
    items = found.get("items", {})
    return f"list of {words(items).partition(',')[0]}" if items else "list"
