"""Answers as OpenAI's API streams them: read, checked, and turned into chunks.

llama.cpp's server and most others speak this: ``data:`` events with JSON, then ``[DONE]``. A stream
that just ends, or that has no reason for its end, is an answer that was cut, and so an error.
See https://platform.openai.com/docs/api-reference/chat-streaming; ``timings`` are llama.cpp's own.
"""

from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import Any

import orjson
from attrs import define, field

from orac_core import (
    BackendError,
    BackendUnavailable,
    CallPiece,
    Chunk,
    FinishReason,
    OracError,
    Rates,
    Token,
    Usage,
)

from ._http import HttpClient, Reply
from ._logprobs import tokens
from ._refusal import refused
from ._sse import Oversized, SseParser

_OK = 200
_TOLD_REASONS = 1000
_DONE = b"[DONE]"
_REASONS: Mapping[str, FinishReason] = {"length": "length", "tool_calls": "tool_calls"}


async def stream_answer(
    client: HttpClient, path: str, body: Mapping[str, Any], *, idle_s: float
) -> AsyncGenerator[Chunk, None]:
    """Post *body* to *path* and yield the answer; all tokens of one read are one chunk.

    Closing the generator closes the connection, which makes the server stop.

    Raises:
        InvalidRequest: when the server refuses the request as malformed.
        BackendUnavailable: when the server can not be reached, dies or is silent for too long.
        BackendError: when it fails, or the answer breaks off.
    """
    answer = StreamedAnswer(client.server)
    async with client.stream("POST", path, json=body, idle_s=idle_s) as stream:
        if stream.status != _OK:
            raise refusal(await stream.whole())
        async with aclosing(stream.reads()) as reads:
            async for read in reads:
                if (chunk := answer.take(read)) is not None:
                    yield chunk
                if answer.ended:
                    break
    yield answer.last_chunk()


def refusal(reply: Reply) -> OracError:
    """Return the error that a reply with another status than 200 stands for."""
    try:
        told = orjson.loads(reply.body)
    except ValueError:
        told = reply.body.decode(errors="replace")
    return _error(reply.server, reply.status, _message(told))


@define(eq=False)
class StreamedAnswer:
    """Puts an answer together from what the network brings.

    Attributes:
        server: Who answers, for messages.
        ended: Whether the server has said that this was all.
    """

    server: str
    ended: bool = field(default=False, init=False)
    _parser: SseParser = field(factory=SseParser, init=False)
    _finish_reason: str | None = field(default=None, init=False)
    _usage: Usage = field(factory=Usage, init=False)
    _rates: Rates = field(factory=Rates, init=False)
    _calls: list[CallPiece] = field(factory=list, init=False)
    _tokens: list[Token] = field(factory=list, init=False)

    def take(self, read: bytes) -> Chunk | None:
        """Return what *read* brought; None when that was nothing.

        Raises:
            InvalidRequest: when the server says that the request was wrong.
            BackendError: when it reports an error, or sends what is no answer.
        """
        try:
            text = "".join([self._text(event) for event in self._parser.feed(read)])
        except (Oversized, ValueError, TypeError, AttributeError, LookupError) as error:
            raise BackendError(
                f"{self.server} sent something that is not an answer ({error}); "
                "is it the server that it is meant to be?",
            ) from error
        if self._calls or self._tokens:
            return self._whole(text)
        return Chunk(text) if text else None

    def last_chunk(self) -> Chunk:
        """Return the chunk that is done.

        Raises:
            BackendError: when the answer was cut.
        """
        if self._finish_reason is None:
            raise BackendError(f"{self.server} broke its answer off in the middle; ask again")
        if self._finish_reason == "content_filter":
            raise BackendError(f"the content filter of {self.server} cut the answer")
        return Chunk(
            done=True,
            finish_reason=_REASONS.get(self._finish_reason, "stop"),
            usage=self._usage,
            rates=self._rates,
        )

    def _whole(self, text: str) -> Chunk:
        calls, tokens_ = tuple(self._calls), tuple(self._tokens)
        self._calls.clear()
        self._tokens.clear()
        return Chunk(text, calls=calls, tokens=tokens_)

    def _text(self, event: bytes) -> str:
        if self.ended:
            return ""
        if event.strip() == _DONE:
            self.ended = True
            return ""
        frame = orjson.loads(event)
        if error := frame.get("error"):
            raise _error(self.server, _code(error), _message(frame))
        self._note(frame)
        return self._choice(frame["choices"][0]) if frame.get("choices") else ""

    def _choice(self, choice: dict[str, Any]) -> str:
        if reason := choice.get("finish_reason"):
            self._finish_reason = str(reason)
        delta = choice.get("delta")
        if told := choice.get("logprobs"):
            self._tokens += tokens(told["content"])
        if delta and (pieces := delta.get("tool_calls")):
            self._calls += map(_piece, pieces)
        # Thoughts of a model come as `reasoning_content`: they are not part of the answer.
        text = choice.get("text") if delta is None else delta.get("content")
        return text if isinstance(text, str) else ""

    def _note(self, frame: dict[str, Any]) -> None:
        if usage := frame.get("usage"):
            details = usage.get("prompt_tokens_details") or {}
            self._usage = Usage(
                prompt_tokens=_count(usage.get("prompt_tokens")),
                completion_tokens=_count(usage.get("completion_tokens")),
                cached_tokens=_count(details.get("cached_tokens")),
            )
        if timings := frame.get("timings"):
            self._rates = Rates(
                prefill_tokens_per_second=_rate(timings.get("prompt_per_second")),
                decode_tokens_per_second=_rate(timings.get("predicted_per_second")),
            )


def _piece(told: Mapping[str, Any]) -> CallPiece:
    function = told.get("function") or {}
    texts = function.get("arguments") or "", told.get("id"), function.get("name")
    if not isinstance(told["index"], int) or not all(isinstance(it, str | None) for it in texts):
        raise TypeError("a call of a tool is malformed")
    return CallPiece(told["index"], texts[0], texts[1] or None, texts[2] or None)


def _error(server: str, code: int | None, message: str) -> OracError:
    """Return the error for an HTTP status, or for the code inside an error object."""
    told = f"{server}: {message}"
    match code:
        case 400 | 413 | 414 | 422:
            return refused(told)
        case 401 | 403:
            return BackendError(f"{told}; check the key in the settings")
        case 404 | 408 | 429 | 502 | 503 | 504:
            return BackendUnavailable(told)
        case _:
            return BackendError(told)


def _code(error: object) -> int | None:
    code = error.get("code") if isinstance(error, dict) else None
    return code if isinstance(code, int) else None


def _message(told: object) -> str:
    """Return what an error says, whichever of the usual shapes it has."""
    error = told.get("error", told) if isinstance(told, dict) else told
    message = error.get("message", error) if isinstance(error, dict) else error
    return str(message)[:_TOLD_REASONS] or "no reason given"


def _count(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def _rate(value: object) -> float | None:
    """Return a speed; a server that could not measure one says 0."""
    return float(value) if isinstance(value, (int, float)) and 0 < value < float("inf") else None
