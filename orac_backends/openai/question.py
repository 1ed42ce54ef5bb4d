"""A request as a server that speaks OpenAI's API wants it. Pure.

Servers differ in small things, and say so only by refusing a request: a `Quirk` is what was learned
from that.
"""

from collections.abc import Collection, Mapping
from typing import Any, Literal

from orac_core import GenerateRequest, InvalidRequest

from .._chat import of_schema, of_text_schema, probabilities, tools, turns
from .._options import checked_fields
from .._request import check
from .dialect import SPECIFIC, Dialect

Quirk = Literal["max_completion_tokens", "no_stream_options", "no_json_object"]
"""What a server wants otherwise: another name for the limit of tokens; nothing about the stream; a
schema in place of JSON mode."""

_ANY_OBJECT = {"type": "object"}


def question(
    request: GenerateRequest,
    model: str,
    dialect: Dialect,
    quirks: Collection[Quirk] = (),
    context_length: int | None = None,
) -> tuple[str, dict[str, Any]]:
    """Return the path to post to, and the body.

    An answer without a limit of tokens has the server's own.

    Args:
        request: What is asked.
        model: What the server calls the model.
        dialect: What the server knows beyond OpenAI's API.
        quirks: What it wants otherwise.
        context_length: Tokens of prompt and answer; None where that is not known.

    Raises:
        InvalidRequest: naming what is wrong with the request.
    """
    options = _options(request, dialect, context_length)
    check(request)
    body = {"model": model, "stream": True, **options}
    if request.prompt is None:
        path, told = "chat/completions", _chat(request, quirks)
    else:
        path, told = "completions", _text(request, dialect)
    return path, _as_wanted(body | told, quirks)


def learned(why: str, body: Mapping[str, Any]) -> Quirk | None:
    """Return what a refusal of *body* teaches; None when it is about something else."""
    if "max_completion_tokens" in why and "max_tokens" in body:
        return "max_completion_tokens"
    if "stream_options" in why and "stream_options" in body:
        return "no_stream_options"
    asked = body.get("response_format") or {}
    if asked.get("type") == "json_object" and ("json_object" in why or "response_format" in why):
        return "no_json_object"
    return None


def _options(
    request: GenerateRequest, dialect: Dialect, context_length: int | None
) -> dict[str, Any]:
    fields = checked_fields(request.options, context_length)
    if request.options.max_tokens is None:
        fields.pop("max_tokens", None)
    if request.options.ignore_eos is not None:
        fields["ignore_eos"] = request.options.ignore_eos
    special = {name: fields.pop(name) for name in SPECIFIC if name in fields}
    return fields | dialect.fields(special)


def _chat(request: GenerateRequest, quirks: Collection[Quirk]) -> dict[str, Any]:
    body = {"messages": turns(request.messages)} | tools(request) | probabilities(request)
    if request.format is None:
        return body
    if request.format != "json":
        return body | of_schema(request.format, strict=keeps_rules(request.format))
    if "no_json_object" in quirks:
        return body | of_schema(_ANY_OBJECT, strict=False)
    return body | {"response_format": {"type": "json_object"}}


def _text(request: GenerateRequest, dialect: Dialect) -> dict[str, Any]:
    body: dict[str, Any] = {"prompt": request.prompt}
    if request.top_logprobs is not None:
        body["logprobs"] = max(1, request.top_logprobs)
    if request.format is None:
        return body
    schema = _ANY_OBJECT if request.format == "json" else dict(request.format)
    match dialect.raw_schema:
        case "json_schema":
            return body | of_text_schema(schema)
        case "response_format":
            return body | of_schema(schema)
    raise InvalidRequest(
        f"{request.model} holds only chats to a format; ask with messages in place of a raw prompt",
        {"format": "needs messages"},
    )


def _as_wanted(body: dict[str, Any], quirks: Collection[Quirk]) -> dict[str, Any]:
    if "no_stream_options" not in quirks:
        body["stream_options"] = {"include_usage": True}
    if "max_completion_tokens" in quirks and "max_tokens" in body:
        body["max_completion_tokens"] = body.pop("max_tokens")
    return body


def keeps_rules(schema: object) -> bool:
    """Whether a schema keeps the rules of OpenAI's strict mode, which refuses every other one.

    Each object names all its keys, requires them, and takes no others. See
    https://platform.openai.com/docs/guides/structured-outputs#supported-schemas.
    """
    if isinstance(schema, list | tuple):
        return all(map(keeps_rules, schema))
    if not isinstance(schema, Mapping):
        return True
    if schema.get("type") == "object" or "properties" in schema:
        keys = schema.get("properties")
        closed = schema.get("additionalProperties") is False
        if not closed or not isinstance(keys, Mapping) or {*keys} != {*schema.get("required", ())}:
            return False
    return all(map(keeps_rules, schema.values()))
