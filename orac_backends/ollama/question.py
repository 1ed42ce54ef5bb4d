"""A request as Ollama's API wants it. Pure.

Every request of a model carries the options that it was loaded with: with others Ollama would load
it anew without a word. Nothing is cut in silence (``truncate``, ``shift``), and no answer is
without a bound: to Ollama a limit of 0 or -1 means none.
"""

from collections.abc import Collection, Mapping
from typing import Any

from attrs import frozen

from orac_core import EmbedRequest, GenerateRequest, duration_s

from .._options import checked_fields
from .._request import check

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
    """

    name: str
    context_length: int | None
    gpu_layers: int | None = None
    keep_alive: str | None = None

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
    body = loading.fields | {"stream": True, "truncate": False, "shift": False}
    body["options"] = loading.options | _sampling(request, loading)
    if request.format is not None:
        body["format"] = _plain(request.format)
    if "thinking" in capabilities:
        body["think"] = False
    if request.prompt is not None:
        return "/api/generate", body | {"prompt": request.prompt, "raw": True}
    messages = [{"role": it.role, "content": it.content} for it in request.messages]
    return "/api/chat", body | {"messages": messages}


def embedding(request: EmbedRequest, loading: Loading) -> dict[str, Any]:
    """Return the body of a request for vectors."""
    body = loading.fields | {"input": list(request.texts), "truncate": False}
    return body if request.dimensions is None else body | {"dimensions": request.dimensions}


def _sampling(request: GenerateRequest, loading: Loading) -> dict[str, Any]:
    fields = checked_fields(request.options, loading.context_length or _UNBOUNDED)
    fields["num_predict"] = fields.pop("max_tokens")
    return fields


def _plain(wanted: Mapping[str, Any] | str) -> object:
    return wanted if isinstance(wanted, str) else dict(wanted)
