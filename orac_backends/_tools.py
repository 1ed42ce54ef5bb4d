"""Tools and their calls in a request: checked, and written as OpenAI's API has them. Pure.

See https://platform.openai.com/docs/guides/function-calling. A tool that must not be called is left
out: its description costs tokens, and a model may call it all the same.
"""

import re
from collections.abc import Mapping
from typing import Any

import orjson

from orac_core import GenerateRequest, InvalidRequest, Message, Tool, Toolbox, ToolCall

from ._schemas import check_schema

_CHOICES = ("auto", "none", "required")
_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
_MAX_TOOLS = 128
_MAX_BYTES = 256 << 10
_ROLES = ("system", "user", "assistant", "tool")


def callable_tools(request: GenerateRequest) -> tuple[Tool, ...]:
    """Return the tools that the model may call."""
    box = request.toolbox
    if box is None or box.choice == "none":
        return ()
    if box.choice in _CHOICES:
        return box.tools
    # An engine may be told to call some tool, but not which: so it knows only that one.
    return tuple(tool for tool in box.tools if tool.name == box.choice)


def must_call(request: GenerateRequest) -> bool:
    """Whether the answer has to be a call."""
    return request.toolbox is not None and request.toolbox.choice not in ("auto", "none")


def speaks_of_tools(request: GenerateRequest) -> bool:
    """Whether the model has to know what tools are: may call some, or called some before."""
    told = any(it.tool_calls or it.role == "tool" for it in request.messages)
    return told or bool(callable_tools(request))


def functions(tools: tuple[Tool, ...]) -> list[dict[str, Any]]:
    """Return tools as OpenAI's API, llama.cpp and Ollama take them."""
    return [{"type": "function", "function": _function(tool)} for tool in tools]


def check_tools(request: GenerateRequest) -> None:
    """Return when tools, calls and their results make sense.

    Raises:
        InvalidRequest: naming what does not.
    """
    for number, message in enumerate(request.messages):
        _check_message(f"messages.{number}", message)
    if request.toolbox is not None:
        _check_toolbox(request.toolbox)
    if callable_tools(request):
        _check_company(request)


def _function(tool: Tool) -> dict[str, Any]:
    parameters = dict(tool.parameters) or {"type": "object", "properties": {}}
    described = {"description": tool.description} if tool.description else {}
    return {"name": tool.name, **described, "parameters": parameters}


def _check_message(at: str, message: Message) -> None:
    if message.role not in _ROLES:
        raise _wrong(f"{at}.role", f"must be one of {', '.join(_ROLES)}")
    if not isinstance(message.content, str):
        raise _wrong(f"{at}.content", "must be a text")
    if (message.role == "tool") != bool(message.tool_call_id):
        raise _wrong(f"{at}.tool_call_id", "must be told by the role tool, and by no other")
    if message.tool_calls and message.role != "assistant":
        raise _wrong(f"{at}.tool_calls", "may be told by the role assistant only")
    for number, call in enumerate(message.tool_calls):
        _check_call(f"{at}.tool_calls.{number}", call)


def _check_call(at: str, call: ToolCall) -> None:
    if not call.id:
        raise _wrong(f"{at}.id", "must not be empty")
    _check_name(f"{at}.name", call.name)
    try:
        arguments = orjson.loads(call.arguments)
    except (TypeError, ValueError):
        arguments = None
    if not isinstance(arguments, dict):
        raise _wrong(f"{at}.arguments", "must be the text of a JSON object")


def _check_toolbox(box: Toolbox) -> None:
    if len(box.tools) > _MAX_TOOLS:
        raise _wrong("tools", f"may be at most {_MAX_TOOLS}")
    for number, tool in enumerate(box.tools):
        _check_tool(f"tools.{number}", tool)
    names = [tool.name for tool in box.tools]
    if len(set(names)) < len(names):
        raise _wrong("tools", "must have names that differ")
    if sum(_size(tool) for tool in box.tools) > _MAX_BYTES:
        raise _wrong("tools", f"may have at most {_MAX_BYTES} bytes together")
    if box.choice not in (*_CHOICES, *names):
        raise _wrong("tool_choice", f"must be one of {', '.join(_CHOICES)}, or the name of a tool")
    if box.choice == "required" and not names:
        raise _wrong("tool_choice", "can not be required without tools")
    if not isinstance(box.parallel, bool | None):
        raise _wrong("parallel_tool_calls", "must be true or false")


def _check_tool(at: str, tool: Tool) -> None:
    _check_name(f"{at}.name", tool.name)
    if not isinstance(tool.description, str):
        raise _wrong(f"{at}.description", "must be a text")
    check_schema(f"{at}.parameters", tool.parameters)


def _check_name(at: str, name: object) -> None:
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise _wrong(at, "must be 1 to 64 letters, digits, - or _")


def _size(tool: Tool) -> int:
    return len(tool.description) + len(orjson.dumps(dict(tool.parameters)))


def _check_company(request: GenerateRequest) -> None:
    """Refuse what no engine does together: one of the two would be ignored without a word."""
    if request.prompt is not None:
        raise _wrong("tools", "need messages: a raw prompt has no place for them")
    if request.format is not None:
        raise _wrong("tools", "can not be had together with a format; ask for one of them")
    if request.top_logprobs is not None:
        raise _wrong("tools", "can not be had together with probabilities; ask for one of them")


def _wrong(at: str, problem: str) -> InvalidRequest:
    return InvalidRequest(f"{at} {problem}", {at: problem})


def as_mapping(arguments: str) -> Mapping[str, Any]:
    """Return checked arguments as an object, which some engines want."""
    told: Mapping[str, Any] = orjson.loads(arguments)
    return told
