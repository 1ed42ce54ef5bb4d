"""The answer to a prompt, and an error."""

from typing import Annotated

from attrs import frozen

from orac_core.conversation import FinishReason

from .kinds import SOMETIMES


@frozen
class Usage:
    """Tokens, as the engine counts them.

    Attributes:
        prompt_tokens: Of the prompt.
        completion_tokens: Of the answer.
        cached_tokens: Of the prompt's, those that the engine had already.
    """

    prompt_tokens: int | None
    completion_tokens: int | None
    cached_tokens: int | None


@frozen
class Timings:
    """Where the time of an answer went.

    Attributes:
        queue_ms: Waiting for a turn.
        load_ms: Loading the model; 0 when it was loaded.
        ttft_ms: From the request to the first piece of text.
        prefill_tokens_per_second: Reading the prompt, by the engine's clock.
        decode_tokens_per_second: Writing the answer, by the engine's clock.
    """

    queue_ms: float
    load_ms: float
    ttft_ms: float | None
    prefill_tokens_per_second: float | None
    decode_tokens_per_second: float | None


@frozen
class Figures:
    """What is told of an answer beside its text.

    Attributes:
        elapsed_ms: From the request to the end.
        model: Id of the model that answered.
        instance: Name of its backend.
        role: Role that was asked for; null when it was a model.
        served_by_fallback: Whether another model answered than the first of the role.
        finish_reason: Why it ended: by itself, cut at `max_tokens` or the end of the context, with
            calls of tools, or because `deadline_ms` was over.
        truncated_prompt: Whether the engine has cut the prompt.
        format_valid: Whether the whole answer keeps to the format; null without one.
        repaired: Whether the model was asked once more, as its answer missed the format.
        timings: Where the time went.
    """

    elapsed_ms: float
    model: str
    instance: str
    role: str | None
    served_by_fallback: bool
    finish_reason: FinishReason
    truncated_prompt: bool
    format_valid: bool | None
    repaired: bool
    timings: Timings


@frozen
class PromptAnswer(Figures):
    """The answer to a prompt.

    Attributes:
        response: The text.
        usage: Tokens.
    """

    response: str
    usage: Usage


@frozen
class Piece:
    """A piece of an answer.

    Attributes:
        text: What is added.
    """

    text: str


@frozen
class Fault:
    """A fault of a request.

    Attributes:
        path: Where, with dots between the parts: `options.temperature`; empty for the whole.
        message: What is wrong with it.
    """

    path: str
    message: str


@frozen
class Refusal:
    """What went wrong.

    Attributes:
        message: What is wrong and what to do.
        type: The class of it: `invalid_request_error`, `rate_limit_error`, `server_error` …
        param: Path of the field at fault; null when it is not one field.
        code: What to tell it by; see the status.
        details: Every fault of the request.
        retry_after_s: Seconds after which asking again may help, as in `Retry-After`.
        needed_bytes: Memory that the model would take.
        available_bytes: Memory that was there for it.
    """

    message: str
    type: str
    param: str | None
    code: str
    details: Annotated[list[Fault], SOMETIMES]
    retry_after_s: Annotated[int, SOMETIMES]
    needed_bytes: Annotated[int, SOMETIMES]
    available_bytes: Annotated[int, SOMETIMES]


@frozen
class Error:
    """The body of every error.

    Attributes:
        error: What went wrong.
    """

    error: Refusal
