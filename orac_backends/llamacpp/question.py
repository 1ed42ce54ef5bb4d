"""A request as the engine's own API wants it. Pure.

The chat template is the engine's business: it runs inside the worker, never in ORAC.
"""

from collections.abc import Callable, Mapping
from typing import Any

from orac_core import GenerateRequest, InvalidRequest

from .._chat import of_schema, of_text_schema, probabilities, tools, turns
from .._options import checked_fields
from .._request import check, empty_prompt
from .._tools import speaks_of_tools

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

_ALWAYS = {
    "stream": True,
    "stream_options": {"include_usage": True},
    "cache_prompt": True,
    "return_progress": True,
}


def question(
    request: GenerateRequest,
    context_length: int,
    *,
    has_template: bool,
    knows_tools: bool = False,
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
    if speaks_of_tools(request) and not knows_tools:
        raise _knows_no_tools(request.model)
    if request.prompt is None and has_template:
        return "/v1/chat/completions", body | _chat(request)
    prompt = request.prompt
    if prompt is None:
        prompt = "\n\n".join(message.content for message in request.messages)
    if not prompt:
        raise empty_prompt()
    told = {} if request.top_logprobs is None else {"logprobs": max(1, request.top_logprobs)}
    return "/v1/completions", body | {"prompt": prompt} | told | _format(
        request.format, of_text_schema
    )


def _chat(request: GenerateRequest) -> dict[str, Any]:
    told = {"messages": turns(request.messages)}
    return told | tools(request) | probabilities(request) | _format(request.format, of_schema)


def _knows_no_tools(model: str) -> InvalidRequest:
    return InvalidRequest(
        f"the chat template of {model} has no place for tools; leave them out, or take a model "
        "that lists the capability `tools`",
        {"tools": "not known to the model"},
    )


def _format(wanted: Any, held_to: Callable[[Mapping[str, Any]], dict[str, Any]]) -> dict[str, Any]:
    if wanted is None:
        return {}
    return {"grammar": _ANY_OBJECT} if wanted == "json" else held_to(wanted)
