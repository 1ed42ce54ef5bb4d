"""Bodies of requests, read as leniently and refused as precisely as Go does."""

import json
from typing import Any

from .refusal import Refusal

_GO_KINDS = {
    bool: "bool",
    int: "number",
    float: "number",
    str: "string",
    list: "array",
    dict: "object",
}
_TEXT = ("string", (str,))
_SWITCH = ("bool", (bool,))
_OPTIONS = ("map[string]interface {}", (dict,))

FIELDS: dict[str, dict[str, tuple[str, tuple[type, ...]]]] = {
    "GenerateRequest": {
        "model": _TEXT,
        "prompt": _TEXT,
        "suffix": _TEXT,
        "system": _TEXT,
        "template": _TEXT,
        "raw": _SWITCH,
        "stream": _SWITCH,
        "truncate": _SWITCH,
        "options": _OPTIONS,
    },
    "ChatRequest": {
        "model": _TEXT,
        "messages": ("[]api.Message", (list,)),
        "stream": _SWITCH,
        "truncate": _SWITCH,
        "options": _OPTIONS,
    },
    "EmbedRequest": {"model": _TEXT, "truncate": _SWITCH, "options": _OPTIONS},
    "ShowRequest": {"model": _TEXT, "name": _TEXT, "verbose": _SWITCH},
    "CreateRequest": {
        "model": _TEXT,
        "name": _TEXT,
        "from": _TEXT,
        "stream": _SWITCH,
        "files": ("map[string]string", (dict,)),
        "quantize": _TEXT,
    },
    "CopyRequest": {"source": _TEXT, "destination": _TEXT},
    "DeleteRequest": {"model": _TEXT, "name": _TEXT},
    "PullRequest": {"model": _TEXT, "name": _TEXT, "stream": _SWITCH, "insecure": _SWITCH},
}

_INTEGERS = frozenset(
    {
        "num_ctx",
        "num_batch",
        "num_gpu",
        "main_gpu",
        "num_thread",
        "num_keep",
        "seed",
        "num_predict",
        "top_k",
        "repeat_last_n",
    }
)
_NUMBERS = frozenset(
    {
        "top_p",
        "min_p",
        "typical_p",
        "temperature",
        "repeat_penalty",
        "presence_penalty",
        "frequency_penalty",
    }
)


def parsed(raw: bytes, request_type: str) -> dict[str, Any]:
    """Return the object that a body is, whatever its type, encoding and end.

    Raises:
        Refusal: It is none, or a field has a wrong type.
    """
    text = raw.decode(errors="replace").strip()
    if not text:
        raise Refusal(400, "missing request body")
    try:
        body, _ = json.JSONDecoder().raw_decode(text)
    except json.JSONDecodeError as error:
        raise Refusal(400, _broken(text, error)) from None
    _check_types(body, request_type)
    return body


def _broken(text: str, error: json.JSONDecodeError) -> str:
    if error.pos >= len(text) or error.msg.startswith("Unterminated"):
        return "unexpected EOF"
    return f"invalid character {text[error.pos]!r} looking for beginning of value"


def _check_types(body: Any, request_type: str) -> None:
    if not isinstance(body, dict):
        kind = _GO_KINDS.get(type(body), "null")
        text = f"json: cannot unmarshal {kind} into Go value of type api.{request_type}"
        raise Refusal(400, text)
    for name, (go_type, types) in FIELDS[request_type].items():
        given = body.get(name)
        if given is not None and not isinstance(given, types):
            where = f"Go struct field {request_type}.{name} of type {go_type}"
            raise Refusal(400, f"json: cannot unmarshal {_GO_KINDS[type(given)]} into {where}")


def check_options(options: dict[str, Any]) -> None:
    """Refuse an option of a wrong type; one that nobody knows is fine."""
    for name, given in options.items():
        wanted = _wanted(name, given)
        if wanted is not None:
            raise Refusal(500, f'option "{name}" must be of type {wanted}')


def _wanted(name: str, given: Any) -> str | None:
    """Return the type that an option should have; None when it has it."""
    number = isinstance(given, int | float) and not isinstance(given, bool)
    if name in _INTEGERS:
        return None if number else "integer"
    if name in _NUMBERS:
        return None if number else "float32"
    if name == "stop":
        return None if isinstance(given, list) else "array"
    return None
