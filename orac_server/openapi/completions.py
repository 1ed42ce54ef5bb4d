"""Chats and completions in the shapes of OpenAI: whole answers, and the frames of streams."""

from typing import Annotated, Literal

from attrs import frozen

from .answers import Figures
from .kinds import SOMETIMES

Reason = Literal["stop", "length", "tool_calls"]


@frozen
class CallFunction:
    """What an answer calls.

    Attributes:
        name: Of the function.
        arguments: What it is called with, in JSON, as the model wrote it.
    """

    name: str
    arguments: str


@frozen
class FunctionCall:
    """A call that an answer asks for.

    Attributes:
        id: Tells it from the other calls.
        type: There are only functions.
        function: What is called.
    """

    id: str
    type: Literal["function"]
    function: CallFunction


@frozen
class ChatMessage:
    """The message that is the answer.

    Attributes:
        role: Who says it.
        content: What is said; null where there are only calls.
        refusal: Always null.
        tool_calls: The calls that it asks for; left out where there are none.
    """

    role: Literal["assistant"]
    content: str | None
    refusal: None
    tool_calls: Annotated[list[FunctionCall], SOMETIMES]


@frozen
class LikelyToken:
    """A token, and how likely it was.

    Attributes:
        token: What it says; bytes that are no whole letter are shown as �.
        logprob: Natural logarithm of its probability; -9999 for 0.
        bytes: What it is in UTF-8; null where the engine does not say.
    """

    token: str
    logprob: float
    bytes: list[int] | None


@frozen
class ChosenToken(LikelyToken):
    """A token of the answer.

    Attributes:
        top_logprobs: The likeliest tokens at this place.
    """

    top_logprobs: list[LikelyToken]


@frozen
class ChatLogprobs:
    """How likely the tokens of a chat were.

    Attributes:
        content: The tokens, in their order.
        refusal: Always null.
    """

    content: list[ChosenToken]
    refusal: None


@frozen
class TextLogprobs:
    """How likely the tokens of a completion were; each list has one entry for each token.

    Attributes:
        tokens: What they say.
        token_logprobs: Natural logarithms of their probabilities; -9999 for 0.
        top_logprobs: The likeliest tokens at each place with their logarithms.
        text_offset: Where each begins, in letters.
    """

    tokens: list[str]
    token_logprobs: list[float]
    top_logprobs: list[dict[str, float] | None]
    text_offset: list[int]


@frozen
class ChatChoice:
    """The answer to a chat.

    Attributes:
        index: There is one answer, so it is 0.
        message: What is said.
        logprobs: How likely its tokens were; null where that was not asked for, or is not known.
        finish_reason: Why it ended; after a deadline it is `length`, and `orac` tells more.
    """

    index: int
    message: ChatMessage
    logprobs: ChatLogprobs | None
    finish_reason: Reason


@frozen
class TextChoice:
    """The text that goes on.

    Attributes:
        index: There is one answer, so it is 0.
        text: What was written.
        logprobs: How likely its tokens were; null where that was not asked for, or is not known.
        finish_reason: Why it ended; after a deadline it is `length`, and `orac` tells more.
    """

    index: int
    text: str
    logprobs: TextLogprobs | None
    finish_reason: Reason


@frozen
class CachedTokens:
    """Of the tokens of a prompt.

    Attributes:
        cached_tokens: Those that the engine had already.
    """

    cached_tokens: int


@frozen
class TokensUsed:
    """Tokens, as the engine counts them.

    Attributes:
        prompt_tokens: Of the prompt.
        completion_tokens: Of the answer.
        total_tokens: Of both.
        prompt_tokens_details: What is known of those of the prompt.
    """

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    prompt_tokens_details: Annotated[CachedTokens, SOMETIMES]


@frozen
class _Answered:
    """What each answer and each frame says of the whole.

    Attributes:
        id: Of the answer.
        object: What this is.
        created: When it was asked for, in seconds since 1970.
        model: The model, as the client called it.
        system_fingerprint: Always null.
        choices: The answer, which is one.
        usage: Tokens; null where the engine did not count them.
        orac: What ORAC tells beside.
    """

    id: str
    created: int
    model: str
    system_fingerprint: None


@frozen
class ChatCompletion(_Answered):
    """The answer to a chat."""

    object: Literal["chat.completion"]
    choices: list[ChatChoice]
    usage: TokensUsed | None
    orac: Figures


@frozen
class TextCompletion(_Answered):
    """The text that goes on."""

    object: Literal["text_completion"]
    choices: list[TextChoice]
    usage: TokensUsed | None
    orac: Figures


@frozen
class FunctionPiece:
    """A piece of what is called.

    Attributes:
        name: Of the function; in the first piece of a call only.
        arguments: What is added to the arguments.
    """

    name: Annotated[str, SOMETIMES]
    arguments: str


@frozen
class FunctionCallPiece:
    """A piece of a call.

    Attributes:
        index: Which call of the answer it belongs to, from 0.
        id: Tells the call from the others; in its first piece only.
        type: There are only functions; in the first piece only.
        function: What is added.
    """

    index: int
    id: Annotated[str, SOMETIMES]
    type: Annotated[Literal["function"], SOMETIMES]
    function: FunctionPiece


@frozen
class ChatDelta:
    """What is added to the message.

    Attributes:
        role: Who says it; in the first frame only.
        content: What is added to the text.
        tool_calls: What is added to calls.
    """

    role: Annotated[Literal["assistant"], SOMETIMES]
    content: Annotated[str, SOMETIMES]
    tool_calls: Annotated[list[FunctionCallPiece], SOMETIMES]


@frozen
class ChatChange:
    """A change of the answer.

    Attributes:
        index: There is one answer, so it is 0.
        delta: What is added.
        logprobs: How likely its tokens were; null where that was not asked for, or is not known.
        finish_reason: Why it ended; null until then.
    """

    index: int
    delta: ChatDelta
    logprobs: ChatLogprobs | None
    finish_reason: Reason | None


@frozen
class TextChange:
    """More of the text.

    Attributes:
        index: There is one answer, so it is 0.
        text: What is added.
        logprobs: How likely its tokens were; null where that was not asked for, or is not known.
        finish_reason: Why it ended; null until then.
    """

    index: int
    text: str
    logprobs: TextLogprobs | None
    finish_reason: Reason | None


@frozen
class _Frame(_Answered):
    """What the frames of streams have in common.

    Attributes:
        choices: The change of the answer, which is one; none in the frame that tells the usage.
        usage: Null until the last frame; there only with `stream_options.include_usage`.
        orac: What ORAC tells beside, in the frame that says why the answer ended.
    """

    usage: Annotated[TokensUsed | None, SOMETIMES]
    orac: Annotated[Figures, SOMETIMES]


@frozen
class ChatCompletionChunk(_Frame):
    """A frame of the stream of a chat."""

    object: Literal["chat.completion.chunk"]
    choices: list[ChatChange]


@frozen
class TextCompletionChunk(_Frame):
    """A frame of the stream of a completion."""

    object: Literal["text_completion"]
    choices: list[TextChange]
