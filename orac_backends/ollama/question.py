"""A request as Ollama's API wants it. Pure.

Every request of a model carries the options that it was loaded with: with others Ollama would load
it anew without a word. Nothing is cut in silence (``truncate``, ``shift``), and no answer is
without a bound: to Ollama a limit of 0 or -1 means none.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from attrs import frozen

from orac_core import Adapter, EmbedRequest, GenerateRequest, InvalidRequest, Message, duration_s

from .._options import checked_fields
from .._request import check
from .._tools import as_mapping, callable_tools, functions, must_call, speaks_of_tools

_DEFAULT_CONTEXT = 4096
_UNBOUNDED = 1 << 17


@frozen
class Loading:
    """What Ollama is told about a model with every request.

    Attributes:
        name: What Ollama calls it.
        context_length: Tokens of prompt and answer; None leaves the model as it was found.
        gpu_layers: Layers on the GPU; None leaves it to Ollama.
        keep_alive: As in the settings; None leaves it as it is.
        adapters: What is put on it.
    """

    name: str
    context_length: int | None
    gpu_layers: int | None = None
    keep_alive: str | None = None
    adapters: tuple[Adapter, ...] = ()

    @property
    def fields(self) -> dict[str, Any]:
        """What goes into each request."""
        fields: dict[str, Any] = {"model": self.name, "options": self.options}
        if self.keep_alive is not None:
            fields["keep_alive"] = -1 if self.for_ever else duration_s(self.keep_alive)
        return fields

    @property
    def for_ever(self) -> bool:
        """Whether the model stays until it is unloaded."""
        return self.keep_alive is not None and duration_s(self.keep_alive) < 0

    @property
    def options(self) -> dict[str, Any]:
        """The options that decide how a model is loaded."""
        given = {"num_ctx": self.context_length, "num_gpu": self.gpu_layers}
        return {name: value for name, value in given.items() if value is not None}


def context_length(asked: int | None, configured: int | None, trained: int | None) -> int:
    """Return the context to load with: what is asked for, but no more than the model knows."""
    wanted = asked or configured or _DEFAULT_CONTEXT
    return min(wanted, trained or wanted)


def only_embeds(capabilities: Collection[str]) -> bool:
    """Whether a model makes vectors and no text."""
    return "embedding" in capabilities and "completion" not in capabilities


def load(loading: Loading, *, embeds: bool) -> tuple[str, dict[str, Any]]:
    """Return the path and the body that load a model; one that only embeds has its own."""
    if embeds:
        return "/api/embed", loading.fields
    return "/api/generate", loading.fields | {"stream": False}


def question(
    request: GenerateRequest, loading: Loading, capabilities: Collection[str]
) -> tuple[str, dict[str, Any]]:
    """Return the path to post to, and the body.

    Raises:
        InvalidRequest: naming what is wrong with the request.
    """
    check(request)
    _check_tools(request, capabilities)
    body = loading.fields | {"stream": True, "truncate": False, "shift": False}
    body["options"] = loading.options | _sampling(request, loading)
    if request.format is not None:
        body["format"] = _plain(request.format)
    if "thinking" in capabilities:
        body["think"] = False
    if request.top_logprobs is not None:
        body |= {"logprobs": True, "top_logprobs": request.top_logprobs}
    if request.prompt is not None:
        return "/api/generate", body | {"prompt": request.prompt, "raw": True}
    if tools := callable_tools(request):
        body["tools"] = functions(tools)
    return "/api/chat", body | {"messages": _turns(request.messages)}


def most_calls(request: GenerateRequest) -> int | None:
    """Return how many calls an answer may have; Ollama itself can not be told."""
    alone = request.toolbox is not None and request.toolbox.parallel is False
    return 1 if alone else None


def embedding(request: EmbedRequest, loading: Loading) -> dict[str, Any]:
    """Return the body of a request for vectors."""
    body = loading.fields | {"input": list(request.texts), "truncate": False}
    return body if request.dimensions is None else body | {"dimensions": request.dimensions}


def _check_tools(request: GenerateRequest, capabilities: Collection[str]) -> None:
    """Refuse what Ollama would pass over in silence."""
    if must_call(request):
        raise InvalidRequest(
            "Ollama can not be made to call a tool, only be offered some: ask with tool_choice "
            "auto, or ask a backend of kind llamacpp",
            {"tool_choice": "must be auto or none"},
        )
    if speaks_of_tools(request) and capabilities and "tools" not in capabilities:
        raise InvalidRequest(
            f"{request.model} has no place for tools; leave them out, or take a model that lists "
            "the capability `tools`",
            {"tools": "not known to the model"},
        )


def _turns(messages: Sequence[Message]) -> list[dict[str, Any]]:
    called = {call.id: call.name for message in messages for call in message.tool_calls}
    return [_turn(message, called) for message in messages]


def _turn(message: Message, called: Mapping[str, str]) -> dict[str, Any]:
    turn: dict[str, Any] = {"role": message.role, "content": message.content}
    if message.tool_call_id is not None:
        turn["tool_call_id"] = message.tool_call_id
        if name := called.get(message.tool_call_id):
            turn["tool_name"] = name
    if message.tool_calls:
        turn["tool_calls"] = [
            {"id": it.id, "function": {"name": it.name, "arguments": as_mapping(it.arguments)}}
            for it in message.tool_calls
        ]
    return turn


def _sampling(request: GenerateRequest, loading: Loading) -> dict[str, Any]:
    fields = checked_fields(request.options, loading.context_length or _UNBOUNDED)
    fields["num_predict"] = fields.pop("max_tokens")
    return fields


def _plain(wanted: Mapping[str, Any] | str) -> object:
    return wanted if isinstance(wanted, str) else dict(wanted)
