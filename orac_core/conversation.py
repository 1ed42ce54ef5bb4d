"""What is asked of a model, and what it answers: conversations, tools, options, tokens, vectors.

All values are immutable. Inside ORAC times are seconds.
"""

from collections.abc import Mapping
from typing import Any, Literal

from attrs import field, frozen

Role = Literal["system", "user", "assistant", "tool"]
FinishReason = Literal["stop", "length", "tool_calls", "deadline"]
ToolChoice = Literal["auto", "none", "required"]


@frozen
class ToolCall:
    """A call of a tool that a model asks for.

    Attributes:
        id: Tells it from the other calls of the conversation.
        name: Of the tool.
        arguments: As the model wrote them: JSON, when it wrote well.
    """

    id: str
    name: str
    arguments: str


@frozen
class Tool:
    """A function that a model may ask to be called.

    Attributes:
        name: Of the function.
        description: What it does, for the model.
        parameters: JSON schema of its arguments.
    """

    name: str
    description: str = ""
    parameters: Mapping[str, Any] = field(factory=dict)


@frozen
class Toolbox:
    """The tools of a request.

    Attributes:
        tools: Those that there are.
        choice: Whether to call one; a name other than these three is the tool that has to be
            called.
        parallel: Whether there may be several calls in one answer; None leaves that to the engine.
    """

    tools: tuple[Tool, ...] = ()
    choice: ToolChoice | str = "auto"
    parallel: bool | None = None


@frozen
class CallPiece:
    """A piece of a call that a model asks for.

    Attributes:
        index: Which call of the answer it belongs to, from 0.
        arguments: What is added to the arguments.
        id: Of the call; in its first piece only.
        name: Of the tool; in the first piece only.
    """

    index: int
    arguments: str = ""
    id: str | None = None
    name: str | None = None


@frozen
class Candidate:
    """A token that might have been chosen, and how likely it was (natural logarithm)."""

    text: str
    logprob: float


@frozen
class Token:
    """A token of an answer, and how likely it was.

    Attributes:
        text: What it says; bytes that are no whole letter are shown as �.
        logprob: Natural logarithm of its probability.
        raw: What it is in UTF-8; None where the engine does not say.
        top: The likeliest tokens at this place, the likeliest first.
    """

    text: str
    logprob: float
    raw: bytes | None = None
    top: tuple[Candidate, ...] = ()


@frozen
class Message:
    """One turn of a conversation.

    Attributes:
        role: Who says it.
        content: What is said.
        tool_calls: The calls that an assistant asked for.
        tool_call_id: Of a ``tool``: the call that its content is the result of.
    """

    role: Role
    content: str
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str | None = None


@frozen
class GenerateOptions:
    """How to choose the next token. None leaves the choice to the model or the engine.

    Attributes:
        temperature: 0 always takes the likeliest token.
        top_p: Smallest set of tokens whose probabilities sum up to this.
        top_k: Number of likeliest tokens to choose from; 0 takes all.
        min_p: Least probability, relative to the likeliest token.
        seed: Makes sampling repeatable.
        max_tokens: Longest answer, in tokens.
        stop: Texts that end the answer; they are not part of it.
        repeat_penalty: Above 1 makes tokens less likely that occurred lately.
        frequency_penalty: Above 0 makes tokens less likely the more often they occurred, -2 to 2.
        presence_penalty: Above 0 makes tokens less likely that occurred, -2 to 2.
        ignore_eos: Go on to ``max_tokens`` where the model would end its answer, on engines that
            can; for measuring.
    """

    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    min_p: float | None = None
    seed: int | None = None
    max_tokens: int | None = None
    stop: tuple[str, ...] = ()
    repeat_penalty: float | None = None
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    ignore_eos: bool | None = None


@frozen
class GenerateRequest:
    """What to answer.

    Attributes:
        model: Id of the model, as the backend itself calls it.
        messages: A conversation, put into the model's own chat template by the engine.
        prompt: Text to continue as it is, instead of ``messages``.
        format: ``"json"``, or a JSON schema that the answer has to satisfy.
        options: How to sample.
        keep_alive_s: How long the model stays loaded afterwards without being used, infinity for
            ever; None leaves it as it is. It is ORAC that sees to it, no backend.
        toolbox: The tools that may be called; None for none.
        top_logprobs: How many of the likeliest tokens to tell at each place, 0 to 20; None to
            tell no probabilities at all. A backend whose engine knows none tells none.
        relayed: Whether another ORAC asks; then no third one is asked for it.
    """

    model: str
    messages: tuple[Message, ...] = ()
    prompt: str | None = None
    format: Literal["json"] | Mapping[str, Any] | None = None
    options: GenerateOptions = GenerateOptions()
    keep_alive_s: float | None = None
    toolbox: Toolbox | None = None
    top_logprobs: int | None = None
    relayed: bool = False


@frozen
class Usage:
    """Tokens as the engine counted them; None where it did not say."""

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    cached_tokens: int | None = None


@frozen
class Rates:
    """Speed of one answer by the engine's own clock, in tokens a second.

    ``prefill_tokens_per_second`` counts only prompt tokens that were not cached.
    """

    prefill_tokens_per_second: float | None = None
    decode_tokens_per_second: float | None = None


@frozen
class Chunk:
    """A piece of an answer. The last one, and only it, is done and says why.

    Attributes:
        text: What is added to the answer.
        done: Whether this is the last piece.
        finish_reason: Why it is.
        usage: Tokens of the whole answer; in the last piece.
        rates: Speed of the whole answer; in the last piece.
        truncated_prompt: Whether the engine dropped a part of the prompt.
        calls: What is added to calls of tools.
        tokens: The tokens that ``text`` is made of, when their probabilities were asked for.
    """

    text: str = ""
    done: bool = False
    finish_reason: FinishReason | None = None
    usage: Usage = Usage()
    rates: Rates = Rates()
    truncated_prompt: bool = False
    calls: tuple[CallPiece, ...] = ()
    tokens: tuple[Token, ...] = ()


@frozen
class Answer:
    """A whole answer, and how it came about.

    Attributes:
        text: All pieces together.
        model: Id of the model that answered.
        instance: Name of the backend that served it.
        role: The role that was asked for, when the request named one.
        finish_reason: ``stop`` (it ended by itself), ``length`` (cut at the limit of tokens),
            ``tool_calls`` (it asks for tools to be called) or ``deadline`` (cut when the time was
            over).
        truncated_prompt: True when the engine dropped a part of the prompt.
        format_valid: Whether the text satisfies the format asked for; None when none was.
        usage: Tokens as the engine counted them.
        rates: Speed by the engine's own clock.
        elapsed_s: From the request to the end.
        queue_s: Time spent waiting for a turn.
        load_s: Time spent waiting for the model to be loaded.
        ttft_s: Time to first token, from the request on; None when there was none.
        tool_calls: The calls of tools that it asks for.
        tokens: Its tokens, when their probabilities were asked for and the engine tells them.
        repaired: Whether a first answer did not satisfy the format, and this is the second; then
            the tokens used and the time elapsed are those of both.
        served_by_fallback: Whether another model answered than the first of the role.
    """

    text: str
    model: str
    instance: str
    finish_reason: FinishReason
    elapsed_s: float
    queue_s: float
    load_s: float
    ttft_s: float | None
    usage: Usage = Usage()
    rates: Rates = Rates()
    role: str | None = None
    truncated_prompt: bool = False
    format_valid: bool | None = None
    tool_calls: tuple[ToolCall, ...] = ()
    tokens: tuple[Token, ...] = ()
    repaired: bool = False
    served_by_fallback: bool = False


@frozen
class EmbedRequest:
    """Which texts to turn into vectors.

    Attributes:
        model: Id of the model, as the backend itself calls it.
        texts: The texts; each must fit into the model's context.
        dimensions: Length that the vectors are cut to; None for the model's own.
        keep_alive_s: As of a `GenerateRequest`.
        relayed: As of a `GenerateRequest`.
    """

    model: str
    texts: tuple[str, ...]
    dimensions: int | None = None
    keep_alive_s: float | None = None
    relayed: bool = False


@frozen
class Embeddings:
    """One vector for each text, in their order, and the tokens that were read for them."""

    vectors: tuple[tuple[float, ...], ...]
    usage: Usage = Usage()


@frozen
class Embedded:
    """The vectors of some texts, and how they came about.

    Attributes:
        vectors: One for each text, in their order.
        usage: Tokens as the engine counted them.
        model: Id of the model that made them.
        instance: Name of the backend that served it.
        elapsed_s: From the request to the end.
        queue_s: Time spent waiting for a turn.
        load_s: Time spent waiting for the model to be loaded.
        role: The role that was asked for, when the request named one.
        served_by_fallback: Whether another model made them than the first of the role.
    """

    vectors: tuple[tuple[float, ...], ...]
    usage: Usage
    model: str
    instance: str
    elapsed_s: float
    queue_s: float
    load_s: float
    role: str | None = None
    served_by_fallback: bool = False
