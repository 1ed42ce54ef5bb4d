"""An answer as Ollama streams it: checked, and turned into chunks. Pure.

The last line says why the answer ended. One that is done without a reason was cut when its runner
died (``DoneReasonConnectionClosed`` in llm/server.go), and one that never comes was cut elsewhere.
"""

import secrets
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import orjson
from attrs import define, field

from orac_core import (
    BackendError,
    CallPiece,
    Chunk,
    Embeddings,
    FinishReason,
    PullProgress,
    Rates,
    Token,
    Usage,
)

from .._logprobs import limited, tokens

_NS = 1e9
_REASONS = ("stop", "length")
_TOLD = 200


@define(eq=False)
class StreamedAnswer:
    """Puts an answer together from its lines.

    Attributes:
        server: Who answers, for messages.
        most_calls: How many calls of tools are told; None for all that come.
        top_logprobs: How many of the likeliest tokens are told.
        last: The line that was done, once it has come.
    """

    server: str
    most_calls: int | None = None
    top_logprobs: int | None = None
    last: Mapping[str, Any] | None = field(default=None, init=False)

    _called: int = field(default=0, init=False)

    def take(self, lines: Sequence[Mapping[str, Any]]) -> Chunk | None:
        """Return what *lines* brought, if anything; thoughts of the model are not part of it.

        Raises:
            BackendError: when they are no part of an answer.
        """
        texts, calls, found = [], list[CallPiece](), list[Token]()
        for line in lines:
            if self.last is not None:
                break
            texts.append(_text(line))
            calls += self._calls(line)
            found += self._tokens(line)
            if line.get("done") is True:
                self.last = line
        text = "".join(texts)
        if not (text or calls or found):
            return None
        return Chunk(text, calls=tuple(calls), tokens=tuple(found))

    def last_chunk(self) -> Chunk:
        """Return the chunk that is done.

        Raises:
            BackendError: when the answer was cut.
        """
        reason = self.last.get("done_reason") if self.last else None
        if self.last is None or reason not in _REASONS:
            raise BackendError(f"{self.server} broke its answer off in the middle; ask again")
        return Chunk(
            done=True,
            finish_reason=self._finish_reason(reason),
            usage=usage(self.last),
            rates=Rates(
                prefill_tokens_per_second=_rate(self.last, "prompt_eval"),
                decode_tokens_per_second=_rate(self.last, "eval"),
            ),
        )

    def _finish_reason(self, told: str) -> FinishReason:
        """Return why the answer ended; Ollama does not tell calls from other ends."""
        if told == "length":
            return "length"
        return "tool_calls" if self._called else "stop"

    def _calls(self, line: Mapping[str, Any]) -> Iterator[CallPiece]:
        message = line.get("message")
        for told in (message.get("tool_calls") if isinstance(message, dict) else None) or ():
            if self._called != self.most_calls:
                yield self._call(told)
                self._called += 1

    def _call(self, told: Any) -> CallPiece:
        try:
            function = told["function"]
            arguments = orjson.dumps(function.get("arguments") or {}).decode()
            made = f"call_{secrets.token_hex(12)}"
            return CallPiece(self._called, arguments, told.get("id") or made, function["name"])
        except (LookupError, TypeError, AttributeError) as error:
            raise BackendError(f"{self.server} sent a call of a tool that is none") from error

    def _tokens(self, line: Mapping[str, Any]) -> tuple[Token, ...]:
        """Return the tokens of a line; an Ollama before 0.12.11 tells none."""
        try:
            return limited(tokens(line.get("logprobs") or ()), self.top_logprobs)
        except (LookupError, TypeError, ValueError) as error:
            raise BackendError(f"{self.server} sent probabilities that are none") from error


def usage(line: Mapping[str, Any]) -> Usage:
    """Return the tokens that a last line counts. A count of none is left out by Ollama.

    A prompt that was in the cache has no count at all, so its tokens are not known.
    """
    completion = _count(line.get("eval_count"))
    if completion is None and "eval_duration" in line:
        completion = 0
    return Usage(prompt_tokens=_count(line.get("prompt_eval_count")), completion_tokens=completion)


def embeddings(server: str, told: Mapping[str, Any]) -> Embeddings:
    """Return the vectors of an answer.

    Raises:
        BackendError: when it holds none.
    """
    try:
        vectors = tuple(tuple(map(float, vector)) for vector in told["embeddings"])
    except (LookupError, TypeError, ValueError) as error:
        raise BackendError(f"{server} answered without vectors") from error
    return Embeddings(vectors, Usage(prompt_tokens=_count(told.get("prompt_eval_count"))))


def pulled(line: Mapping[str, Any]) -> PullProgress:
    """Return what a line says about a download."""
    return PullProgress(
        str(line.get("status", ""))[:_TOLD],
        _count(line.get("completed")) or 0,
        _count(line.get("total")),
    )


def _text(line: Mapping[str, Any]) -> str:
    message = line.get("message")
    text = message.get("content") if isinstance(message, dict) else line.get("response")
    return text if isinstance(text, str) else ""


def _rate(line: Mapping[str, Any], what: str) -> float | None:
    """Return tokens a second; durations are nanoseconds."""
    count, took = _count(line.get(f"{what}_count")), _count(line.get(f"{what}_duration"))
    return count * _NS / took if count and took else None


def _count(value: object) -> int | None:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        return None
    return value
