"""What a request has to satisfy before any engine sees it. Pure."""

from collections.abc import Mapping

from orac_core import EmbedRequest, GenerateRequest, InvalidRequest, LoadRequest

from ._schemas import check_schema
from ._tools import check_tools

_MAX_TOP_LOGPROBS = 20
_MAX_TEXTS = 2048
_MAX_DIMENSIONS = 1 << 20
_LOAD_RANGES = {
    "context_length": (1, 16 << 20),
    "gpu_layers": (0, 10_000),
    "parallel": (1, 64),
}


def check(request: GenerateRequest) -> None:
    """Return when the request has either messages or a prompt, and both them and it make sense.

    Raises:
        InvalidRequest: naming what is wrong with the request.
    """
    if (request.prompt is None) == (not request.messages):
        raise InvalidRequest("give either messages or a prompt", {"messages": "or prompt"})
    if request.prompt == "":
        raise empty_prompt()
    check_tools(request)
    if request.format is not None and request.format != "json":
        if not isinstance(request.format, Mapping):
            raise InvalidRequest('format must be "json" or a JSON schema', {"format": "wrong type"})
        check_schema("format", request.format)
    if request.top_logprobs is not None:
        _require_whole("top_logprobs", request.top_logprobs, 0, _MAX_TOP_LOGPROBS)


def check_embed(request: EmbedRequest) -> None:
    """Return when there are texts, not too many, and none of them is empty.

    Raises:
        InvalidRequest: naming what is wrong with the request.
    """
    if not 0 < len(request.texts) <= _MAX_TEXTS:
        problem = f"must be 1 to {_MAX_TEXTS}"
        raise InvalidRequest(f"the texts {problem}, not {len(request.texts)}", {"texts": problem})
    for number, text in enumerate(request.texts):
        if not text.strip():
            told = f"text {number + 1} of {len(request.texts)} is empty"
            raise InvalidRequest(told, {f"texts.{number}": "must be a text that is not empty"})
    if request.dimensions is not None:
        _require_whole("dimensions", request.dimensions, 1, _MAX_DIMENSIONS)


def check_load(request: LoadRequest) -> None:
    """Return when the options of a load are numbers that make sense.

    Raises:
        InvalidRequest: naming the option that is out of range.
    """
    for name, (low, high) in _LOAD_RANGES.items():
        value = getattr(request, name)
        if value is not None:
            _require_whole(name, value, low, high)


def _require_whole(name: str, value: object, low: int, high: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        problem = f"must be a whole number from {low} to {high}"
        raise InvalidRequest(f"{name}: {problem}", {name: problem})


def empty_prompt() -> InvalidRequest:
    """Return the error for a prompt without a letter."""
    return InvalidRequest("the prompt is empty", {"prompt": "must not be empty"})
