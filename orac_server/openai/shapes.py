"""How OpenAI's streams tell a piece of an answer: as a change of a message, or as text."""

from typing import Protocol

from attrs import define, field, frozen

from orac_core import CallPiece, Chunk

from ..wire import Json
from . import logprobs


class Shape(Protocol):
    """How the pieces of a stream are told; what it returns are entries of ``choices``."""

    def start(self) -> Json | None:
        """Return what goes before the first piece; None for nothing."""

    def piece(self, chunk: Chunk) -> Json:
        """Return what tells a piece of the answer."""

    def end(self, reason: str) -> Json:
        """Return what tells why it ended."""


@frozen
class ChatShape:
    """Each piece is a change of the message."""

    def start(self) -> Json:
        """Return the beginning of the message."""
        return _change({"role": "assistant", "content": ""})

    def piece(self, chunk: Chunk) -> Json:
        """Return what *chunk* adds to the message."""
        delta: Json = {"content": chunk.text} if chunk.text else {}
        if chunk.calls:
            delta["tool_calls"] = list(map(_call, chunk.calls))
        return _change(delta) | {"logprobs": logprobs.of_chat(chunk.tokens)}

    def end(self, reason: str) -> Json:
        """Return no change, and the *reason*."""
        return _change({}, reason)


@define(eq=False)
class TextShape:
    """Each piece is more text."""

    _offset: int = field(default=0, init=False)

    def start(self) -> None:
        """Return nothing: there is no role."""

    def piece(self, chunk: Chunk) -> Json:
        """Return the text that *chunk* adds, and where in the whole its tokens begin."""
        told = _text(chunk.text) | {"logprobs": logprobs.of_text(chunk.tokens, self._offset)}
        self._offset += sum(len(each.text) for each in chunk.tokens)
        return told

    def end(self, reason: str) -> Json:
        """Return no text, and the *reason*."""
        return _text("", reason)


def _change(delta: Json, reason: str | None = None) -> Json:
    return {"index": 0, "delta": delta, "logprobs": None, "finish_reason": reason}


def _text(text: str, reason: str | None = None) -> Json:
    return {"index": 0, "text": text, "logprobs": None, "finish_reason": reason}


def _call(piece: CallPiece) -> Json:
    function: Json = {} if piece.name is None else {"name": piece.name}
    told: Json = {"index": piece.index, "function": {**function, "arguments": piece.arguments}}
    return told if piece.id is None else {**told, "id": piece.id, "type": "function"}
