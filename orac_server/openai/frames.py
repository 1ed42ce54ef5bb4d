"""The frames of OpenAI's streams. What all of them say is written once, not for each token."""

from collections.abc import Mapping
from typing import Any

from attrs import define, field

from orac_core import Answer, Chunk

from ..body import encode
from ..wire import Json
from .replies import Heading, beside, finish_reason, new_id, usage
from .shapes import ChatShape, Shape, TextShape

DONE = b"data: [DONE]\n\n"


@define(eq=False)
class Frames:
    """Turns the pieces of one answer into frames.

    Attributes:
        heading: What each frame says of the whole.
        shape: How a piece is told.
        with_usage: Whether the tokens used are told at the end; they are null until then.
    """

    heading: Heading
    shape: Shape
    with_usage: bool = False
    _begun: bool = field(default=False, init=False)
    _head: bytes = field(init=False)
    _tail: bytes = field(init=False)

    def __attrs_post_init__(self) -> None:
        frame = self._event(self.shape.piece(Chunk("\0")))
        self._head, _, self._tail = frame.rpartition(b'"\\u0000"')

    def framed(self, piece: Chunk | Answer) -> bytes:
        """Return the frames that tell *piece*."""
        if not self._begun:
            self._begun = True
            start = self.shape.start()
            return (self._event(start) if start else b"") + self.framed(piece)
        if isinstance(piece, Answer):
            return self._last(piece)
        if piece.tokens or piece.calls:
            return self._event(self.shape.piece(piece))
        return b"%b%b%b" % (self._head, encode(piece.text), self._tail)

    def _last(self, answer: Answer) -> bytes:
        """Return why it ended, the tokens used when they are asked for and known, and the end."""
        end = self._event(self.shape.end(finish_reason(answer)), orac=beside(answer))
        used = usage(answer.usage) if self.with_usage else None
        if used:
            end += _data({**self.heading.fields, "choices": [], "usage": used})
        return end + DONE

    def _event(self, choice: Json, **more: Json) -> bytes:
        later = {"usage": None} if self.with_usage else {}
        return _data({**self.heading.fields, "choices": [choice], **later, **more})


def chat_frames(model: str, *, with_usage: bool) -> Frames:
    """Return what frames the answer to a chat with *model*."""
    heading = Heading("chat.completion.chunk", model, new_id("chatcmpl"))
    return Frames(heading, ChatShape(), with_usage)


def text_frames(model: str, *, with_usage: bool) -> Frames:
    """Return what frames the text with which *model* goes on."""
    return Frames(Heading("text_completion", model, new_id("cmpl")), TextShape(), with_usage)


def fault(envelope: Mapping[str, Any]) -> bytes:
    """Return what ends a stream with an error: the envelope, and no ``[DONE]``."""
    return _data(envelope)


def _data(told: Mapping[str, Any]) -> bytes:
    return b"data: %b\n\n" % encode(told)
