"""The JSON Schema of the wire types: bodies are checked against it, then structured."""

import re
from collections.abc import Hashable, Iterable, Iterator, Mapping
from functools import cache
from itertools import islice
from typing import Any, TypeVar, cast, get_args

import attrs
import jsonschema_rs
import msgspec

from orac_core import InvalidRequest

T = TypeVar("T")

DIALECT = "https://json-schema.org/draft/2020-12/schema"

MAX_FAULTS = 50
"""A body made of faults is not answered with a book."""

MAX_SHOWN = 60
"""Characters of a client's own key that an error repeats."""

TYPES = {
    "array": "a list",
    "boolean": "true or false",
    "integer": "a whole number",
    "number": "a number",
    "object": "an object",
    "string": "text",
}
"""What the types of JSON are called in an error; null stands for leaving a field out."""

DIGITS = "must be a whole number of at most 64 bits, written in digits alone"

SENTENCES = {
    "minimum": "must be at least {limit}",
    "maximum": "must be at most {limit}",
    "exclusiveMinimum": "must be above {limit}",
    "minLength": "must not be empty",
    "minItems": "must not be empty",
    "maxLength": "must have at most {limit} characters",
    "maxItems": "must have at most {limit} entries",
    "pattern": "must match {pattern}",
}
"""What the keywords of a schema demand."""


class Open:
    """A wire type that takes keys which it does not have, and leaves them aside."""

    __slots__ = ()


def structure(data: object, cls: type[T]) -> T:
    """Return *data* as an instance of the wire type *cls*.

    Raises:
        InvalidRequest: with every fault and its path.
    """
    try:
        errors = list(islice(_validator(cast("Hashable", cls)).iter_errors(data), MAX_FAULTS))
    except ValueError as error:
        raise InvalidRequest("the body is nested too deeply to be checked") from error
    refuse(_faults(errors))
    try:
        # Not strict, as to JSON Schema 2.0 is a whole number and to msgspec it is not.
        return msgspec.convert(data, cls, strict=False)
    except msgspec.ValidationError as error:  # 1e18 is, too, but no float that far is exact
        path = _unread(str(error))
        raise InvalidRequest(f"{path}: {DIGITS}", {path: DIGITS}) from error


def refuse(faults: Iterable[tuple[str, str]]) -> None:
    """Return when there are no *faults*: paths, and what is wrong there.

    Raises:
        InvalidRequest: with each fault and its path.
    """
    if told := dict(islice(faults, MAX_FAULTS)):
        raise InvalidRequest(_summary(told), told)


def document(cls: Hashable) -> dict[str, Any]:
    """Return the JSON Schema of the wire type *cls*, by which bodies are checked."""
    (reference,), definitions = components((cls,), "#/$defs/{name}")
    return {"$schema": DIALECT, **reference, "$defs": definitions}


def components(types: Iterable[Any], template: str) -> tuple[list[Any], dict[str, dict[str, Any]]]:
    """Return the schemas of *types*, and by name those of the classes that they are made of.

    They refer to each other by *template*. Keys that a class does not have are refused, unless it
    is `Open`. A keyword that begins with ``x-`` is nothing that is checked here.
    """
    known = tuple(types)
    schemas, found = msgspec.json.schema_components(known, ref_template=template)
    made_of = {each.__name__: each for kind in known for each in classes(kind)}
    return list(schemas), {name: _bounded(it, made_of[name]) for name, it in found.items()}


def classes(kind: Any) -> Iterator[type]:
    """Yield the classes that an annotation is made of."""
    for part in get_args(kind):
        yield from classes(part)
    if isinstance(kind, type):
        yield kind
        if attrs.has(kind):
            for field in attrs.fields(attrs.resolve_types(kind)):
                yield from classes(field.type)


def _bounded(component: dict[str, Any], cls: type) -> dict[str, Any]:
    if "properties" not in component:
        return component
    return component | {"additionalProperties": issubclass(cls, Open)}


@cache
def _validator(cls: Hashable) -> Any:
    return jsonschema_rs.validator_for(document(cls))


def _faults(errors: Iterable[Any]) -> Iterator[tuple[str, str]]:
    """Yield the path and the message of each fault."""
    for error in errors:
        kind, path = error.kind, list(error.instance_path)
        match kind.name:
            case "required":
                yield _dotted([*path, kind.property]), "is missing"
            case "additionalProperties":
                yield from ((_dotted([*path, key]), "unknown field") for key in kind.unexpected)
            case "anyOf":
                yield from _of_alternatives(path, kind.context)
            case _:
                yield _dotted(path), _sentence(kind)


def _unread(message: str) -> str:
    """Return the path that msgspec names at the end of a message, as ``$.input[3]``."""
    found = message.rpartition("`$")[2].rstrip("`")
    return re.sub(r"\[(\d+)\]", r".\1", found).lstrip(".")


def _of_alternatives(path: list[str | int], branches: list[list[Any]]) -> Iterator[tuple[str, str]]:
    """Yield the faults of the alternative that was meant, or name the alternatives."""
    for branch in branches:
        if any(_is_deep(error, path) for error in branch):
            yield from _faults(branch)
            return
    expected = (_expected(error.kind) for branch in branches for error in branch)
    yield _dotted(path), "must be " + " or ".join(filter(None, expected))


def _is_deep(error: Any, path: list[str | int]) -> bool:
    return error.kind.name not in {"type", "enum"} or list(error.instance_path) != path


def _expected(kind: Any) -> str:
    if kind.name == "enum":
        return " or ".join(f'"{option}"' for option in kind.options)
    return " or ".join(TYPES[name] for name in kind.types if name in TYPES)


def _sentence(kind: Any) -> str:
    if kind.name in {"type", "enum"}:
        return f"must be {_expected(kind)}"
    sentence = SENTENCES.get(kind.name, "does not satisfy {name}")
    values = {name: getattr(kind, name, None) for name in ("name", "limit", "pattern")}
    return sentence.format(**values)


def _dotted(path: list[str | int]) -> str:
    return ".".join(_shown(str(part)) for part in path)


def _shown(key: str) -> str:
    key = re.sub(r"[^ -~]", "?", key)
    return key if len(key) <= MAX_SHOWN else f"{key[:MAX_SHOWN]}..."


def _summary(faults: Mapping[str, str]) -> str:
    path, message = next(iter(faults.items()))
    others = len(faults) - 1
    more = f" (and {others} more, see details)" if others else ""
    return f"{path or 'the body'}: {message}{more}"
