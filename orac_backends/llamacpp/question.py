"""A request as the engine's own API wants it. Pure.

The chat template is the engine's business: it runs inside the worker, never in ORAC.
"""

from collections.abc import Callable, Mapping
from typing import Any

import orjson

from orac_core import GenerateRequest, InvalidRequest

from .options import engine_fields

_ROLES = ("system", "user", "assistant")
_MAX_SCHEMA_BYTES = 256 << 10
_MAX_SCHEMA_DEPTH = 64

# A JSON object (RFC 8259) in the engine's notation, with little white space: small models get lost
# in it. The engine's own JSON mode fails when an answer is cut inside of a letter.
_ANY_OBJECT = r"""
root ::= object
object ::= "{" space (pair ("," space pair)*)? "}" space
pair ::= string ":" space value
array ::= "[" space (value ("," space value)*)? "]" space
value ::= object | array | string | number | ("true" | "false" | "null") space
string ::= "\"" ([^"\\\x00-\x1F] | "\\" (["\\/bfnrt] | "u" [0-9a-fA-F]{4}))* "\"" space
number ::= "-"? ("0" | [1-9] [0-9]*) ("." [0-9]+)? ([eE] [-+]? [0-9]+)? space
space ::= " "?
"""
# The compiler for schemas of raw text has an option of its own against white space without end.
_COMPACT = {"x-guidance": {"whitespace_flexible": False}}

_ALWAYS = {
    "stream": True,
    "stream_options": {"include_usage": True},
    "cache_prompt": True,
    "return_progress": True,
}


def question(
    request: GenerateRequest, context_length: int, *, has_template: bool
) -> tuple[str, dict[str, Any]]:
    """Return the path to post to, and the body.

    A base model has no chat template and knows no roles: the contents of the messages, with blank
    lines between them, are a text for it to continue.

    Raises:
        InvalidRequest: naming what is wrong with the request.
    """
    body = _ALWAYS | engine_fields(request.options, context_length)
    _check(request)
    if request.prompt is None and has_template:
        messages = [{"role": it.role, "content": it.content} for it in request.messages]
        return "/v1/chat/completions", body | {"messages": messages} | _format(
            request.format, _chat_format
        )
    prompt = request.prompt
    if prompt is None:
        prompt = "\n\n".join(message.content for message in request.messages)
    if not prompt:
        raise InvalidRequest("the prompt is empty", {"prompt": "must not be empty"})
    return "/v1/completions", body | {"prompt": prompt} | _format(request.format, _raw_format)


def _check(request: GenerateRequest) -> None:
    if (request.prompt is None) == (not request.messages):
        raise InvalidRequest("give either messages or a prompt", {"messages": "or prompt"})
    for number, message in enumerate(request.messages):
        if message.role not in _ROLES:
            problem = f"must be one of {', '.join(_ROLES)}"
            raise InvalidRequest(f"role {problem}", {f"messages.{number}.role": problem})
    if request.format is not None and request.format != "json":
        _check_schema(request.format)


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


def _chat_format(schema: Mapping[str, Any]) -> dict[str, Any]:
    named = {"name": "answer", "schema": schema, "strict": True}
    return {"response_format": {"type": "json_schema", "json_schema": named}}


def _raw_format(schema: Mapping[str, Any]) -> dict[str, Any]:
    """The path for raw text takes a schema under a name of its own, and ignores OpenAI's."""
    return {"json_schema": dict(schema) | _COMPACT}


def _format(
    wanted: Any, of_schema: Callable[[Mapping[str, Any]], dict[str, Any]]
) -> dict[str, Any]:
    if wanted is None:
        return {}
    return {"grammar": _ANY_OBJECT} if wanted == "json" else of_schema(wanted)
