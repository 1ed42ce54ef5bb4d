"""A request as the engine's own API wants it. Pure.

The chat template is the engine's business: it runs inside the worker, never in ORAC.
"""

from collections.abc import Callable, Mapping
from typing import Any

from orac_core import GenerateRequest, InvalidRequest, Message

from .._options import checked_fields
from .._request import check, empty_prompt
from .._tools import callable_tools, functions, must_call, speaks_of_tools

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
        request.format, _raw_format
    )


def _chat(request: GenerateRequest) -> dict[str, Any]:
    told = {"messages": [_turn(message) for message in request.messages]}
    return told | _tools(request) | _probabilities(request) | _format(request.format, _chat_format)


def _turn(message: Message) -> dict[str, Any]:
    turn: dict[str, Any] = {"role": message.role, "content": message.content}
    if message.tool_call_id is not None:
        turn["tool_call_id"] = message.tool_call_id
    if message.tool_calls:
        turn["tool_calls"] = [
            {
                "id": call.id,
                "type": "function",
                "function": {"name": call.name, "arguments": call.arguments},
            }
            for call in message.tool_calls
        ]
    return turn


def _tools(request: GenerateRequest) -> dict[str, Any]:
    tools = callable_tools(request)
    if not tools or request.toolbox is None:
        return {}
    choice = "required" if must_call(request) else "auto"
    fields = {"tools": functions(tools), "tool_choice": choice}
    parallel = request.toolbox.parallel
    return fields if parallel is None else fields | {"parallel_tool_calls": parallel}


def _probabilities(request: GenerateRequest) -> dict[str, Any]:
    """The engine tells nothing at all of a token when none of the likeliest is asked for."""
    if request.top_logprobs is None:
        return {}
    return {"logprobs": True, "top_logprobs": max(1, request.top_logprobs)}


def _knows_no_tools(model: str) -> InvalidRequest:
    return InvalidRequest(
        f"the chat template of {model} has no place for tools; leave them out, or take a model "
        "that lists the capability `tools`",
        {"tools": "not known to the model"},
    )


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
