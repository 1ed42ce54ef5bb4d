"""What a request has to satisfy before any engine sees it. Pure."""

from collections.abc import Mapping

import orjson

from orac_core import GenerateRequest, InvalidRequest, LoadRequest

_ROLES = ("system", "user", "assistant")
_MAX_SCHEMA_BYTES = 256 << 10
_MAX_SCHEMA_DEPTH = 64
_LOAD_RANGES = {
    "context_length": (1, 16 << 20),
    "gpu_layers": (0, 10_000),
    "parallel": (1, 64),
}


def check(request: GenerateRequest) -> None:
    """Return when the request has either messages or a prompt, known roles and a sane format.

    Raises:
        InvalidRequest: naming what is wrong with the request.
    """
    if (request.prompt is None) == (not request.messages):
        raise InvalidRequest("give either messages or a prompt", {"messages": "or prompt"})
    if request.prompt == "":
        raise empty_prompt()
    for number, message in enumerate(request.messages):
        if message.role not in _ROLES:
            problem = f"must be one of {', '.join(_ROLES)}"
            raise InvalidRequest(f"role {problem}", {f"messages.{number}.role": problem})
    if request.format is not None and request.format != "json":
        _check_schema(request.format)


def check_load(request: LoadRequest) -> None:
    """Return when the options of a load are numbers that make sense.

    Raises:
        InvalidRequest: naming the option that is out of range.
    """
    for name, (low, high) in _LOAD_RANGES.items():
        value = getattr(request, name)
        if value is None:
            continue
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            problem = f"must be a whole number from {low} to {high}"
            raise InvalidRequest(f"{name}: {problem}", {name: problem})


def empty_prompt() -> InvalidRequest:
    """Return the error for a prompt without a letter."""
    return InvalidRequest("the prompt is empty", {"prompt": "must not be empty"})


def _check_schema(schema: object) -> None:
    """Refuse what could exhaust the stack of the engine, or is no schema at all."""
    if not isinstance(schema, Mapping):
        raise InvalidRequest('format must be "json" or a JSON schema', {"format": "wrong type"})
    try:
        size = len(orjson.dumps(schema))
    except (TypeError, ValueError) as error:
        raise InvalidRequest(f"format is not JSON: {error}", {"format": "not JSON"}) from error
    if size > _MAX_SCHEMA_BYTES or _deeper_than(schema, _MAX_SCHEMA_DEPTH):
        problem = f"at most {_MAX_SCHEMA_BYTES} bytes and {_MAX_SCHEMA_DEPTH} levels"
        raise InvalidRequest(f"format is too large: {problem}", {"format": problem})


def _deeper_than(value: object, levels: int) -> bool:
    if not isinstance(value, (Mapping, list, tuple)):
        return False
    inner = value.values() if isinstance(value, Mapping) else value
    return levels == 0 or any(_deeper_than(item, levels - 1) for item in inner)
