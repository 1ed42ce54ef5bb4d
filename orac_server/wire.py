"""What goes over the wire: the types of request bodies, and core's values as JSON-able dicts.

A body's type says its own limits; ``schema.py`` makes the JSON Schema of it that a body has to
satisfy. A unit stands in the name of each number. What is not known is null, never 0.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from attrs import asdict, frozen
from msgspec import Meta

from orac_core import (
    Answer,
    FileInfo,
    GenerateOptions,
    GenerateRequest,
    InvalidRequest,
    Loaded,
    LoadedInfo,
    LoadProgress,
    LoadRequest,
    Message,
    ServedModel,
    Unloaded,
)
from orac_core.durations import LONGEST_S, keep_alive

Json = dict[str, Any]

Name = Annotated[str, Meta(min_length=1, max_length=1024)]
Tokens = Annotated[int, Meta(ge=1, le=16_777_216)]
StopText = Annotated[str, Meta(min_length=1, max_length=256)]
StopTexts = Annotated[tuple[StopText, ...], Meta(max_length=16)]
Share = Annotated[float, Meta(ge=0, le=1)]
Span = (
    Annotated[str, Meta(min_length=1, max_length=64)] | Annotated[float, Meta(ge=-1, le=LONGEST_S)]
)
"""Seconds, or a text such as ``5m``; below 0 for ever."""

MILLISECONDS = 1000
ONE_ONLY = "give either `prompt` or `messages`"


@frozen(kw_only=True)
class Setup:
    """How to load a model; null leaves the choice to the manifest or the backend."""

    context_length: Tokens | None = None
    gpu_layers: Annotated[int, Meta(ge=0, le=65_535)] | None = None
    parallel: Annotated[int, Meta(ge=1, le=1024)] | None = None


@frozen(kw_only=True)
class LoadBody(Setup):
    """The body of ``POST /v1/models/{id}/load``."""

    keep_alive: Span | None = None
    force: bool = False
    stream: bool = False

    def request(self, model: str) -> LoadRequest:
        """Return what to load for the library.

        Raises:
            InvalidRequest: when ``keep_alive`` is no span of time.
        """
        return LoadRequest(
            model,
            self.context_length,
            self.gpu_layers,
            self.parallel,
            seconds(self.keep_alive, "keep_alive"),
            self.force,
        )


@frozen(kw_only=True)
class NamedLoadBody(LoadBody):
    """The body of ``POST /v1/models/load``."""

    model: Name


@frozen(kw_only=True)
class UnloadBody:
    """The body of ``POST /v1/models/{id}/unload``."""

    force: bool = False
    stream: bool = False


@frozen(kw_only=True)
class NamedUnloadBody(UnloadBody):
    """The body of ``POST /v1/models/unload``."""

    model: Name


@frozen
class Turn:
    """One turn of a conversation."""

    role: Literal["system", "user", "assistant"]
    content: str


@frozen(kw_only=True)
class Options:
    """How to choose the next token; null leaves the choice to the model or the engine."""

    temperature: Annotated[float, Meta(ge=0, le=5)] | None = None
    top_p: Share | None = None
    top_k: Annotated[int, Meta(ge=0, le=1_000_000)] | None = None
    min_p: Share | None = None
    seed: Annotated[int, Meta(ge=0, le=4_294_967_294)] | None = None
    max_tokens: Tokens | None = None
    stop: StopText | StopTexts | None = None
    repeat_penalty: Annotated[float, Meta(ge=0.1, le=10)] | None = None

    @property
    def core(self) -> GenerateOptions:
        """The same for the library."""
        stop = (self.stop,) if isinstance(self.stop, str) else self.stop or ()
        given = asdict(self, filter=lambda field, _: field.name != "stop")
        return GenerateOptions(**given, stop=stop)


@frozen(kw_only=True)
class PromptBody:
    """The body of ``POST /v1/prompt``; it has either ``prompt`` or ``messages``."""

    model: Name
    prompt: Annotated[str, Meta(min_length=1)] | None = None
    system: str | None = None
    messages: Annotated[tuple[Turn, ...], Meta(min_length=1, max_length=1000)] | None = None
    format: Literal["json"] | dict[str, Any] | None = None
    options: Options | None = None
    keep_alive: Span | None = None
    deadline_ms: Annotated[int, Meta(ge=1, le=86_400_000)] | None = None
    stream: bool = False

    @property
    def request(self) -> GenerateRequest:
        """What to answer, for the library; ``system`` goes before all messages.

        Raises:
            InvalidRequest: when there are both a prompt and messages, or neither, or ``keep_alive``
                is no span of time.
        """
        system = (Message("system", self.system),) if self.system else ()
        return GenerateRequest(
            self.model,
            system + self._said(),
            format=self.format,
            options=(self.options or Options()).core,
            keep_alive_s=seconds(self.keep_alive, "keep_alive"),
        )

    @property
    def deadline_s(self) -> float | None:
        """Longest time that the answer may take; None for the service's own limit."""
        return self.deadline_ms / MILLISECONDS if self.deadline_ms else None

    def _said(self) -> tuple[Message, ...]:
        if self.prompt is not None and self.messages is not None:
            raise InvalidRequest(f"{ONE_ONLY}, not both", {"messages": "beside `prompt`"})
        if self.messages is not None:
            return tuple(Message(turn.role, turn.content) for turn in self.messages)
        if self.prompt is None:
            raise InvalidRequest(f"{ONE_ONLY}; both are missing", {"prompt": "is missing"})
        return (Message("user", self.prompt),)


def seconds(span: Span | None, path: str) -> float | None:
    """Return a span of time in seconds, infinity for ever; *path* is where the body has it.

    Raises:
        InvalidRequest: when it is none.
    """
    if span is None:
        return None
    try:
        return keep_alive(span)
    except ValueError as error:
        raise InvalidRequest(f"{path}: {error}", {path: str(error)}) from error


def model(served: ServedModel) -> Json:
    """Return a model as ``GET /v1/models/{id}`` shows it."""
    info = served.info
    return {
        "id": info.id,
        "object": "model",
        "created": None if info.modified_at is None else int(info.modified_at),
        "owned_by": served.instance,
        "instance": served.instance,
        "kind": served.kind,
        "state": info.state.value,
        "state_reason": info.state_reason,
        "required": served.required,
        "pinned": served.pinned,
        "roles": list(served.roles),
        "size_bytes": info.size_bytes,
        "architecture": info.architecture,
        "parameters": info.parameters,
        "quantization": info.quantization,
        "context_length": info.context_length,
        "memory": memory(info.loaded, served.needs_bytes),
        "expires_at": timestamp(info.expires_at),
        "warning": info.warning,
        "last_used_at": timestamp(served.last_used_at),
        "capabilities": list(info.capabilities),
        "file": file(info.file),
    }


def memory(loaded: LoadedInfo | None, needs_bytes: int | None) -> Json:
    """Return what a model needs in memory, and takes there; that is null when it is not loaded."""
    return {
        "estimated_bytes": needs_bytes,
        "measured_bytes": loaded.memory_bytes if loaded else None,
        "on_gpu_ratio": loaded.on_gpu_ratio if loaded else None,
    }


def file(info: FileInfo | None) -> Json | None:
    """Return a model's file; null when its backend knows of none."""
    return asdict(info) if info else None


def timestamp(at: float | None) -> str | None:
    """Return *at*, in seconds since 1970, in ISO 8601, UTC."""
    if at is None:
        return None
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds")[:-6] + "Z"


def progress(told: LoadProgress) -> Json:
    """Return an event ``progress`` of a load."""
    return asdict(told)


def loaded(load: Loaded) -> Json:
    """Return the answer to a load."""
    return {
        "model": load.model,
        "instance": load.instance,
        "state": "ready",
        "load_ms": ms(load.load_s),
        "verified": True,
        "applied": {
            "context_length": load.applied.context_length,
            "gpu_layers": load.applied.gpu_layers,
            "parallel": load.applied.parallel,
        },
        "memory": memory(load.applied, load.needs_bytes),
        "already_loaded": load.already_loaded,
        "warning": load.warning,
        "evicted": list(load.evicted),
    }


def unloading(*, force: bool) -> Json:
    """Return the event ``progress`` of an unload."""
    first = "ending its running answers" if force else "waiting for its running answers"
    told = {"stage": "stop", "completed": 0, "total": None}
    return {**told, "message": f"{first}, then freeing the memory"}


def unloaded(unload: Unloaded) -> Json:
    """Return the answer to an unload."""
    return {
        "model": unload.model,
        "instance": unload.instance,
        "state": "stopped",
        "freed_bytes": unload.freed_bytes,
        "unload_ms": ms(unload.unload_s),
    }


def answer(whole: Answer) -> Json:
    """Return the answer to a prompt."""
    return {
        "response": whole.text,
        "elapsed_ms": ms(whole.elapsed_s),
        "model": whole.model,
        "instance": whole.instance,
        "role": whole.role,
        "served_by_fallback": False,
        "finish_reason": whole.finish_reason,
        "truncated_prompt": whole.truncated_prompt,
        "format_valid": whole.format_valid,
        "usage": {
            "prompt_tokens": whole.usage.prompt_tokens,
            "completion_tokens": whole.usage.completion_tokens,
            "cached_tokens": whole.usage.cached_tokens,
        },
        "timings": _timings(whole),
    }


def _timings(whole: Answer) -> Json:
    return {
        "queue_ms": ms(whole.queue_s),
        "load_ms": ms(whole.load_s),
        "ttft_ms": ms(whole.ttft_s),
        "prefill_tokens_per_second": whole.rates.prefill_tokens_per_second,
        "decode_tokens_per_second": whole.rates.decode_tokens_per_second,
    }


def ms(span_s: float | None) -> float | None:
    """Return a span of seconds in milliseconds, to the microsecond."""
    return None if span_s is None else round(span_s * MILLISECONDS, 3)


def details(faults: Mapping[str, str]) -> list[Json]:
    """Return the faults of a request, each with its path."""
    return [{"path": path, "message": message} for path, message in faults.items()]
