"""JSON schemas that come from outside: no more than an engine can bear. Pure."""

from collections.abc import Mapping

import orjson

from orac_core import InvalidRequest

_MAX_BYTES = 256 << 10
_MAX_DEPTH = 64


def check_schema(name: str, schema: object) -> None:
    """Refuse what could exhaust the stack of the engine, or is no schema at all.

    Args:
        name: What it is called in the request.
        schema: What should be a schema.

    Raises:
        InvalidRequest: when it is none, or too large.
    """
    if not isinstance(schema, Mapping):
        raise InvalidRequest(f"{name} must be a JSON schema", {name: "wrong type"})
    try:
        size = len(orjson.dumps(dict(schema)))
    except (TypeError, ValueError) as error:
        raise InvalidRequest(f"{name} is not JSON: {error}", {name: "not JSON"}) from error
    if size > _MAX_BYTES or _deeper_than(schema, _MAX_DEPTH):
        problem = f"at most {_MAX_BYTES} bytes and {_MAX_DEPTH} levels"
        raise InvalidRequest(f"{name} is too large: {problem}", {name: problem})


def _deeper_than(value: object, levels: int) -> bool:
    if not isinstance(value, (Mapping, list, tuple)):
        return False
    inner = value.values() if isinstance(value, Mapping) else value
    return levels == 0 or any(_deeper_than(item, levels - 1) for item in inner)
