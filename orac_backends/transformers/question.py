"""A request as the worker wants it. Pure."""

from typing import Any

from orac_core import GenerateRequest, InvalidRequest, Message

from .._options import checked_fields
from .._request import check, empty_prompt
from .._tools import speaks_of_tools


def question(
    request: GenerateRequest, context_length: int, *, has_template: bool
) -> dict[str, Any]:
    """Return the body to post.

    A base model has no chat template and knows no roles: the contents of the messages, with blank
    lines between them, are a text for it to continue.

    Raises:
        InvalidRequest: naming what is wrong with the request, or can not be had here.
    """
    body = checked_fields(request.options, context_length)
    if request.options.ignore_eos is not None:
        body["ignore_eos"] = request.options.ignore_eos
    check(request)
    if request.format is not None:
        raise _not_here("format", "transformers can not hold an answer to a format")
    if speaks_of_tools(request):
        raise _not_here("tools", "transformers can not tell calls of tools from other text")
    if request.prompt is None and has_template:
        return body | {"messages": [_turn(message) for message in request.messages]}
    prompt = request.prompt
    if prompt is None:
        prompt = "\n\n".join(message.content for message in request.messages)
    if not prompt:
        raise empty_prompt()
    return body | {"prompt": prompt}


def _turn(message: Message) -> dict[str, str]:
    return {"role": message.role, "content": message.content}


def _not_here(field: str, why: str) -> InvalidRequest:
    return InvalidRequest(
        f"{why}: leave `{field}` out, or ask a model of llama.cpp or Ollama",
        {field: "not with a backend of kind transformers"},
    )
