"""The bodies of requests.

A body's type says its own limits; ``schema.py`` makes the JSON Schema of it that a body has to
satisfy. A unit stands in the name of each number.
"""

from typing import Annotated, Any, Literal

from attrs import frozen
from msgspec import Meta

from orac_core import GenerateOptions, GenerateRequest, InvalidRequest, LoadRequest, Message
from orac_core.durations import LONGEST_S, keep_alive

from .wire import MILLISECONDS

Name = Annotated[str, Meta(min_length=1, max_length=1024)]
Tokens = Annotated[int, Meta(ge=1, le=16_777_216)]
StopText = Annotated[str, Meta(min_length=1, max_length=256)]
StopTexts = Annotated[tuple[StopText, ...], Meta(max_length=16)]
Share = Annotated[float, Meta(ge=0, le=1)]
NUMBER = r"([0-9]+\.?[0-9]*|\.[0-9]+)"
SpanText = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=64,
        # The document has it as its pattern; who is refused is told more by what reads the text.
        extra_json_schema={"x-pattern": rf"^[+-]?({NUMBER}|({NUMBER}(ns|us|µs|ms|s|m|h))+)$"},
    ),
]
Span = SpanText | Annotated[float, Meta(ge=-1, le=LONGEST_S)]
"""Seconds, or a text such as ``5m``; below 0 for ever."""
Deadline = Annotated[int, Meta(ge=1, le=86_400_000)]
"""Milliseconds."""

ONE_ONLY = "give either `prompt` or `messages`"
WHOLE_ONLY = "a stream can not be taken back; ask for the whole answer"


@frozen(kw_only=True)
class Setup:
    """How to load a model; null leaves the choice to the manifest or the backend.

    Attributes:
        context_length: Tokens that prompt and answer may have together, for each parallel answer.
        gpu_layers: Layers to put on the GPU.
        parallel: Answers at once.
    """

    context_length: Tokens | None = None
    gpu_layers: Annotated[int, Meta(ge=0, le=65_535)] | None = None
    parallel: Annotated[int, Meta(ge=1, le=1024)] | None = None


@frozen(kw_only=True)
class LoadBody(Setup):
    """The body of ``POST /v1/models/{id}/load``.

    Attributes:
        keep_alive: How long it stays without being used: seconds, or a text such as ``5m`` or
            ``1h30m``; 0 as long as it is used, -1 for ever. Null leaves that to the manifest.
        force: Load it even where it does not seem to fit.
        pinned: Whether it then stays, whatever else needs the memory, until it is unloaded; null
            leaves that as it is.
        stream: Whether to stream.
    """

    keep_alive: Span | None = None
    force: bool = False
    pinned: bool | None = None
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
            self.pinned,
        )


@frozen(kw_only=True)
class NamedLoadBody(LoadBody):
    """The body of ``POST /v1/models/load``.

    Attributes:
        model: Name of the model: an id, ``instance/id``, an alias or a role.
    """

    model: Name


@frozen(kw_only=True)
class UnloadBody:
    """The body of ``POST /v1/models/{id}/unload``.

    Attributes:
        force: End running answers with an error instead of waiting for them.
        stream: Whether to stream.
    """

    force: bool = False
    stream: bool = False


@frozen(kw_only=True)
class NamedUnloadBody(UnloadBody):
    """The body of ``POST /v1/models/unload``.

    Attributes:
        model: Name of the model: an id, ``instance/id``, an alias or a role.
    """

    model: Name


@frozen
class Turn:
    """One turn of a conversation.

    Attributes:
        role: Who says it.
        content: What is said.
    """

    role: Literal["system", "user", "assistant"]
    content: str


@frozen(kw_only=True)
class Options:
    """How to choose the next token; null leaves the choice to the model or the engine.

    Attributes:
        temperature: How much chance there is in it; 0 takes the likeliest token.
        top_p: Only the likeliest tokens that have this share together.
        top_k: Only so many of the likeliest tokens; 0 for all.
        min_p: Only tokens at least this share as likely as the likeliest.
        seed: Of the chance.
        max_tokens: Longest answer.
        stop: Where it appears the answer ends, without it.
        repeat_penalty: Above 1 makes what was said already less likely.
    """

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
        return GenerateOptions(
            self.temperature,
            self.top_p,
            self.top_k,
            self.min_p,
            self.seed,
            self.max_tokens,
            stop,
            self.repeat_penalty,
        )


@frozen(kw_only=True)
class PromptBody:
    """The body of ``POST /v1/prompt``; it has either ``prompt`` or ``messages``.

    Attributes:
        model: Name of the model: an id, ``instance/id``, an alias or a role.
        prompt: What the user says.
        system: What the model is told before everything else.
        messages: A whole conversation.
        format: ``json``, or a JSON Schema to which the engine has to keep.
        options: How to choose the next token.
        keep_alive: How long the model then stays without being used, as for a load.
        deadline_ms: Longest time that the answer may take; what was written by then is answered.
        repair: Whether to ask once more for an answer that misses its format.
        stream: Whether to stream.
    """

    model: Name
    prompt: Annotated[str, Meta(min_length=1)] | None = None
    system: str | None = None
    messages: Annotated[tuple[Turn, ...], Meta(min_length=1, max_length=1000)] | None = None
    format: Literal["json"] | dict[str, Any] | None = None
    options: Options | None = None
    keep_alive: Span | None = None
    deadline_ms: Deadline | None = None
    repair: bool = False
    stream: bool = False

    @property
    def request(self) -> GenerateRequest:
        """What to answer, for the library; ``system`` goes before all messages.

        Raises:
            InvalidRequest: when there are both a prompt and messages, or neither, ``keep_alive``
                is no span of time, or a stream is to be repaired.
        """
        if self.repair and self.stream:
            raise InvalidRequest(f"repair: {WHOLE_ONLY}", {"repair": WHOLE_ONLY})
        system = (Message("system", self.system),) if self.system else ()
        return GenerateRequest(
            self.model,
            system + self._said(),
            format=self.format,
            options=(self.options or Options()).core,
            keep_alive_s=seconds(self.keep_alive, "keep_alive"),
        )

    @property
    def said_in(self) -> str:
        """The field that has the conversation."""
        return "prompt" if self.messages is None else "messages"

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
