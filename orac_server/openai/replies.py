"""Whole answers, in the shapes that OpenAI has for them, with ORAC's figures beside them."""

import secrets
import time

from attrs import field, frozen

from orac_core import Answer, Usage

from .. import wire
from ..wire import Json
from . import logprobs


@frozen
class Heading:
    """What each piece of an answer says of the whole.

    Attributes:
        object: What it is a piece of.
        model: The model, as the client called it; ``orac.model`` says which one it was.
        id: Of the answer.
        created: When it was asked for, in seconds since 1970.
    """

    object: str
    model: str
    id: str
    created: int = field(factory=lambda: int(time.time()))

    @property
    def fields(self) -> Json:
        """The same, as it is told."""
        told = {"id": self.id, "object": self.object, "created": self.created, "model": self.model}
        return {**told, "system_fingerprint": None}


def new_id(prefix: str) -> str:
    """Return an id that no other answer has."""
    return f"{prefix}-{secrets.token_hex(12)}"


def chat_completion(model: str, answer: Answer) -> Json:
    """Return the *answer* to a chat with *model*."""
    heading = Heading("chat.completion", model, new_id("chatcmpl"))
    choice = {
        "index": 0,
        "message": _message(answer),
        "logprobs": logprobs.of_chat(answer.tokens),
        "finish_reason": finish_reason(answer),
    }
    return _whole(heading, choice, answer)


def completion(model: str, answer: Answer) -> Json:
    """Return the *answer* of *model* to a text."""
    choice = {
        "index": 0,
        "text": answer.text,
        "logprobs": logprobs.of_text(answer.tokens),
        "finish_reason": finish_reason(answer),
    }
    return _whole(Heading("text_completion", model, new_id("cmpl")), choice, answer)


def finish_reason(answer: Answer) -> str:
    """Return why the answer ended, in OpenAI's words: it has none for a deadline."""
    if answer.finish_reason == "deadline":
        return "length"
    if answer.tool_calls and answer.finish_reason == "stop":
        return "tool_calls"
    return answer.finish_reason


def usage(counted: Usage) -> Json | None:
    """Return the tokens used; None when the engine did not count them."""
    if counted.prompt_tokens is None and counted.completion_tokens is None:
        return None
    prompt, completion = counted.prompt_tokens or 0, counted.completion_tokens or 0
    told: Json = {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
    }
    if counted.cached_tokens is not None:
        told["prompt_tokens_details"] = {"cached_tokens": counted.cached_tokens}
    return told


def beside(answer: Answer) -> Json:
    """Return what ORAC tells of an answer under ``orac``."""
    whole = wire.answer(answer)
    return {name: value for name, value in whole.items() if name not in {"response", "usage"}}


def _whole(heading: Heading, choice: Json, answer: Answer) -> Json:
    told = {"choices": [choice], "usage": usage(answer.usage), "orac": beside(answer)}
    return {**heading.fields, **told}


def _message(answer: Answer) -> Json:
    said = answer.text if answer.text or not answer.tool_calls else None
    message: Json = {"role": "assistant", "content": said, "refusal": None}
    if answer.tool_calls:
        message["tool_calls"] = [
            {
                "id": it.id,
                "type": "function",
                "function": {"name": it.name, "arguments": it.arguments},
            }
            for it in answer.tool_calls
        ]
    return message
