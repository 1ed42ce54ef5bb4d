"""Answers as OpenAI's API streams them: read, checked, and turned into chunks.

llama.cpp's server and most others speak this: ``data:`` events with JSON, then ``[DONE]``. A stream
that just ends, or that has no reason for its end, is an answer that was cut, and so an error.
See https://platform.openai.com/docs/api-reference/chat-streaming; ``timings`` are llama.cpp's own,
and ``orac`` is another ORAC's.
"""

from collections.abc import AsyncGenerator, Mapping
from typing import Any

import orjson
from attrs import Factory, define, field

from orac_core import BackendError, CallPiece, Chunk, FinishReason, Rates, Token, Usage

from ._http import HttpClient
from ._logprobs import of_choice
from ._refusal import Refusals
from ._sse import Oversized, SseParser

_OK = 200
_DONE = b"[DONE]"
_JSON = "application/json"
_MOST_BYTES = 16 << 20
_REASONS: Mapping[str, FinishReason] = {"length": "length", "tool_calls": "tool_calls"}
_SPEEDS = "prefill_tokens_per_second", "decode_tokens_per_second"
_CUT = {"abort", "cancelled", "error"}
"""Reasons with which some servers end an answer that they gave up."""


async def stream_answer(  # noqa: PLR0913 - named in every call but the first three
    client: HttpClient,
    path: str,
    body: Mapping[str, Any],
    *,
    idle_s: float,
    first_s: float | None = None,
    refusals: Refusals | None = None,
) -> AsyncGenerator[Chunk, None]:
    """Post *body* to *path* and yield the answer; all tokens of one read are one chunk.

    Closing the generator closes the connection, which makes the server stop. A server that does
    not stream, and answers with one JSON object, is understood as well.

    Args:
        client: The server.
        path: Where to post to.
        body: The request.
        idle_s: Longest silence of the server.
        first_s: Longest silence before the first piece of the answer, when that may be longer.
        refusals: What errors of the server mean.

    Raises:
        InvalidRequest: when the server refuses the request as malformed.
        BackendUnavailable: when the server can not be reached, dies or is silent for too long.
        BackendError: when it fails, or the answer breaks off.
    """
    answer = StreamedAnswer(client.server, refusals or Refusals(client.server))
    asking = client.stream("POST", path, json=body, idle_s=idle_s, first_s=first_s)
    async with asking as stream:
        if stream.status != _OK:
            raise answer.refusals.of_reply(await stream.whole())
        if stream.header("content-type").startswith(_JSON):
            whole = answer.take_whole((await stream.whole(_MOST_BYTES)).body)
            if whole is not None:
                yield whole
        stream.idle_s = max(first_s or 0.0, idle_s)
        async for read in stream:
            if (chunk := answer.take(read)) is not None:
                stream.idle_s = idle_s
                yield chunk
            if answer.ended:
                break
    yield answer.last_chunk()


@define(eq=False)
class StreamedAnswer:
    """Puts an answer together from what the network brings.

    Attributes:
        server: Who answers, for messages.
        refusals: What errors of it mean.
        ended: Whether the server has said that this was all.
    """

    server: str
    refusals: Refusals = Factory(lambda self: Refusals(self.server), takes_self=True)
    ended: bool = field(default=False, init=False)
    _parser: SseParser = field(factory=SseParser, init=False)
    _finish_reason: str | None = field(default=None, init=False)
    _usage: Usage = field(factory=Usage, init=False)
    _rates: Rates = field(factory=Rates, init=False)
    _called: int = field(default=0, init=False)
    _calls: list[CallPiece] = field(factory=list, init=False)
    _tokens: list[Token] = field(factory=list, init=False)

    def take(self, read: bytes) -> Chunk | None:
        """Return what *read* brought; None when that was nothing.

        Raises:
            InvalidRequest: when the server says that the request was wrong.
            BackendError: when it reports an error, or sends what is no answer.
        """
        try:
            return self._chunk("".join([self._text(event) for event in self._parser.feed(read)]))
        except (Oversized, ValueError, TypeError, AttributeError, LookupError) as error:
            raise self._alien(error) from error

    def take_whole(self, body: bytes) -> Chunk | None:
        """Return what an answer brought that came as one JSON object; raises as `take` does."""
        try:
            return self._chunk(self._text(body))
        except (ValueError, TypeError, AttributeError, LookupError) as error:
            raise self._alien(error) from error

    def last_chunk(self) -> Chunk:
        """Return the chunk that is done.

        Raises:
            BackendError: when the answer was cut.
        """
        if self._finish_reason is None:
            raise BackendError(f"{self.server} broke its answer off in the middle; ask again")
        if self._finish_reason == "content_filter":
            raise BackendError(f"the content filter of {self.server} cut the answer")
        if self._finish_reason in _CUT:
            raise BackendError(f"{self.server} gave its answer up ({self._finish_reason})")
        return Chunk(
            done=True,
            finish_reason=_REASONS.get(self._finish_reason, "stop"),
            usage=self._usage,
            rates=self._rates,
        )

    def _alien(self, error: Exception) -> BackendError:
        return BackendError(
            f"{self.server} sent something that is not an answer ({error}); "
            "is it the server that it is meant to be?",
        )

    def _chunk(self, text: str) -> Chunk | None:
        if not (text or self._calls or self._tokens):
            return None
        return self._whole(text) if self._calls or self._tokens else Chunk(text)

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
            raise self.refusals.of_frame(error)
        self._note(frame)
        return self._choice(frame["choices"][0]) if frame.get("choices") else ""

    def _choice(self, choice: dict[str, Any]) -> str:
        if reason := choice.get("finish_reason"):
            self._finish_reason = str(reason)
        delta = choice.get("delta")
        if told := choice.get("logprobs"):
            self._tokens += of_choice(told)
        if delta is None and (message := choice.get("message")):
            delta = {**message, "tool_calls": _numbered(message.get("tool_calls"))}
        if delta and (pieces := delta.get("tool_calls")):
            self._calls += map(self._piece, pieces)
        # Thoughts of a model come as `reasoning_content`: they are not part of the answer.
        text = choice.get("text") if delta is None else delta.get("content") or delta.get("refusal")
        return text if isinstance(text, str) else ""

    def _piece(self, told: Mapping[str, Any]) -> CallPiece:
        """Return a piece of a call; some servers send calls whole, and none of their places."""
        function = told.get("function") or {}
        texts = function.get("arguments") or "", told.get("id"), function.get("name")
        index = told.get("index", self._called if texts[1] and texts[2] else None)
        if not isinstance(index, int) or not all(isinstance(it, str | None) for it in texts):
            raise TypeError("a call of a tool is malformed")
        self._called = max(self._called, index + 1)
        return CallPiece(index, texts[0], texts[1] or None, texts[2] or None)

    def _note(self, frame: dict[str, Any]) -> None:
        if usage := frame.get("usage"):
            details = usage.get("prompt_tokens_details") or {}
            self._usage = Usage(
                prompt_tokens=_count(usage.get("prompt_tokens")),
                completion_tokens=_count(usage.get("completion_tokens")),
                cached_tokens=_count(details.get("cached_tokens")),
            )
        if timings := frame.get("timings"):
            self._rates = _rates(timings, "prompt_per_second", "predicted_per_second")
        if beside := frame.get("orac"):
            self._rates = _rates(beside["timings"], *_SPEEDS)


def _numbered(calls: list[Mapping[str, Any]] | None) -> list[Mapping[str, Any]]:
    """Return calls with their places; those of a whole answer have none."""
    return [{"index": place, **call} for place, call in enumerate(calls or ())]


def _count(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def _rates(told: Mapping[str, Any], prefill: str, decode: str) -> Rates:
    return Rates(_rate(told.get(prefill)), _rate(told.get(decode)))


def _rate(value: object) -> float | None:
    """Return a speed; a server that could not measure one says 0."""
    return float(value) if isinstance(value, (int, float)) and 0 < value < float("inf") else None
