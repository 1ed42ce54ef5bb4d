"""Parts of a request as OpenAI's API has them, for all servers that speak it. Pure.

See https://platform.openai.com/docs/api-reference/chat/create.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from orac_core import GenerateRequest, Message

from ._tools import callable_tools, functions, must_call

# llama.cpp's compiler for schemas has an option of its own against white space without end.
_COMPACT = {"x-guidance": {"whitespace_flexible": False}}


def turns(messages: Sequence[Message]) -> list[dict[str, Any]]:
    """Return a conversation."""
    return [_turn(message) for message in messages]


def tools(request: GenerateRequest) -> dict[str, Any]:
    """Return the fields about tools; none where no tool may be called."""
    offered = callable_tools(request)
    if not offered or request.toolbox is None:
        return {}
    choice = "required" if must_call(request) else "auto"
    fields = {"tools": functions(offered), "tool_choice": choice}
    parallel = request.toolbox.parallel
    return fields if parallel is None else fields | {"parallel_tool_calls": parallel}


def probabilities(request: GenerateRequest) -> dict[str, Any]:
    """Return the fields about probabilities.

    llama.cpp tells nothing at all of a token when none of the likeliest is asked for.
    """
    if request.top_logprobs is None:
        return {}
    return {"logprobs": True, "top_logprobs": max(1, request.top_logprobs)}


def of_schema(schema: Mapping[str, Any], *, strict: bool = True) -> dict[str, Any]:
    """Return the field that holds the answer of a chat to a schema."""
    named = {"name": "answer", "schema": dict(schema), "strict": strict}
    return {"response_format": {"type": "json_schema", "json_schema": named}}


def of_text_schema(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return the field that holds the continuation of a text to a schema, for llama.cpp.

    It takes a schema under a name of its own there, and ignores OpenAI's.
    """
    return {"json_schema": dict(schema) | _COMPACT}


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
