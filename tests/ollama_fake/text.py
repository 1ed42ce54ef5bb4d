"""What the models say: the same words for the same prompt, or JSON after a schema."""

import hashlib
import json
import random
import re
from collections.abc import Iterator
from itertools import count
from typing import Any

_WORDS = (
    "robot",
    "sees",
    "left",
    "right",
    "moves",
    "the",
    "wall",
    "stops",
    "turns",
    "a",
    "to",
    "is",
)
_PIECES = re.compile(r"\w+|\s+|[^\w\s]")
_TEMPLATE_TOKENS = 22
_DEEPEST = 20


class BadSchema(Exception):
    """Nothing can be made after a schema."""


def prompt_tokens(prompt: str, *, raw: bool = False) -> int:
    """Return how many tokens a prompt has, a word or a sign being one."""
    pieces = sum(1 for piece in _PIECES.findall(prompt) if not piece.isspace())
    return max(1, pieces + (0 if raw else _TEMPLATE_TOKENS))


def words(prompt: str, seed: int | None) -> Iterator[str]:
    """Yield tokens without an end."""
    start = hashlib.sha256(f"{seed} {prompt}".encode(errors="replace")).digest()
    chosen = random.Random(start)
    for number in count():
        yield f"{' ' if number else ''}{chosen.choice(_WORDS)}"


def thoughts(prompt: str) -> list[str]:
    """Return the tokens of what a model thinks first."""
    return ["I", " think", *(f" {word}" for word in prompt.split()[:3]), "."]


def pieces(text: str) -> list[str]:
    """Return the tokens of a text."""
    return _PIECES.findall(text)


def vector(text: str, length: int, dimensions: int | None = None) -> list[float]:
    """Return an embedding: of length 1, the same for the same text, cut where that is asked for."""
    chosen = random.Random(hashlib.sha256(text.encode(errors="replace")).digest())
    numbers = [chosen.gauss(0, 1) for _ in range(length)][:dimensions]
    norm = sum(number * number for number in numbers) ** 0.5
    return [number / norm for number in numbers]


def json_after(schema: Any) -> str:
    """Return JSON that a schema allows.

    Raises:
        BadSchema: It is no schema, or none that this understands.
    """
    return json.dumps(_value(schema, schema, 0))


def _value(schema: Any, root: Any, depth: int) -> Any:
    if not isinstance(schema, dict) or depth > _DEEPEST:
        raise BadSchema(f"Unrecognized schema: {_compact(schema)}")
    if "$ref" in schema:
        return _value(_resolved(schema, root), root, depth + 1)
    for key in ("const", "enum"):
        if key in schema:
            return schema[key] if key == "const" else schema[key][0]
    for key in ("anyOf", "oneOf"):
        if key in schema:
            return _value(schema[key][0], root, depth + 1)
    return _of_type(schema, root, depth)


def _of_type(schema: dict, root: Any, depth: int) -> Any:
    kind = schema.get("type", "object")
    kind = kind[0] if isinstance(kind, list) and kind else kind
    match kind:
        case "object":
            parts = schema.get("properties", {})
            return {name: _value(part, root, depth + 1) for name, part in parts.items()}
        case "array":
            items = schema.get("items", {"type": "string"})
            many = range(schema.get("minItems", 1))
            return [_value(items, root, depth + 1) for _ in many]
        case "string" | "integer" | "number" | "boolean" | "null":
            return _simple(kind, schema)
    raise BadSchema(f"Unrecognized schema: {_compact(schema)}")


def _simple(kind: str, schema: dict) -> Any:
    if kind == "string":
        return "left".ljust(schema.get("minLength", 0), "t")[: schema.get("maxLength")]
    if kind in {"boolean", "null"}:
        return False if kind == "boolean" else None
    low = schema.get("minimum", schema.get("exclusiveMinimum", -1) + 1)
    low = min(low, schema["maximum"]) if "maximum" in schema else low
    return int(low) if kind == "integer" else float(low)


def _resolved(schema: dict, root: Any) -> Any:
    ref = schema["$ref"]
    found = root
    for name in ref.removeprefix("#/").split("/"):
        if name not in found:
            problem = f"Error resolving ref {ref}: {name} not in {_compact(found)}"
            raise BadSchema(problem)
        found = found[name]
    return found


def _compact(schema: Any) -> str:
    return json.dumps(schema, separators=(",", ":"))
