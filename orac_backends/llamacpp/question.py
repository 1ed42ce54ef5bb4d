"""A request as the engine's own API wants it. Pure.

The chat template is the engine's business: it runs inside the worker, never in ORAC.
"""

from collections.abc import Callable, Mapping
from typing import Any

from orac_core import GenerateRequest

from .._options import checked_fields
from .._request import check, empty_prompt

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
    body = _ALWAYS | checked_fields(request.options, context_length)
    if request.options.ignore_eos is not None:
        body["ignore_eos"] = request.options.ignore_eos
    check(request)
    if request.prompt is None and has_template:
        messages = [{"role": it.role, "content": it.content} for it in request.messages]
        return "/v1/chat/completions", body | {"messages": messages} | _format(
            request.format, _chat_format
        )
    prompt = request.prompt
    if prompt is None:
        prompt = "\n\n".join(message.content for message in request.messages)
    if not prompt:
        raise empty_prompt()
    return "/v1/completions", body | {"prompt": prompt} | _format(request.format, _raw_format)


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
