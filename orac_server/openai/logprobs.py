"""How likely the tokens of an answer were, in the shapes that OpenAI has for it."""

from collections.abc import Sequence

from orac_core import Candidate, Token

from ..wire import Json

LEAST = -9999.0
"""What OpenAI tells in place of the logarithm of 0, which JSON can not."""


def of_chat(tokens: Sequence[Token]) -> Json | None:
    """Return ``logprobs`` of a chat; None when the engine tells nothing."""
    if not tokens:
        return None
    content = [
        {
            **_shown(each.text, each.logprob, each.raw),
            "top_logprobs": list(map(_candidate, each.top)),
        }
        for each in tokens
    ]
    return {"content": content, "refusal": None}


def of_text(tokens: Sequence[Token], offset: int = 0) -> Json | None:
    """Return ``logprobs`` of a completion, whose text begins *offset* letters after the start."""
    if not tokens:
        return None
    offsets = []
    for each in tokens:
        offsets.append(offset)
        offset += len(each.text)
    return {
        "tokens": [each.text for each in tokens],
        "token_logprobs": [_bounded(each.logprob) for each in tokens],
        "top_logprobs": [
            {it.text: _bounded(it.logprob) for it in each.top} or None for each in tokens
        ],
        "text_offset": offsets,
    }


def _candidate(candidate: Candidate) -> Json:
    return _shown(candidate.text, candidate.logprob, None)


def _shown(text: str, logprob: float, raw: bytes | None) -> Json:
    if raw is None and "\ufffd" not in text:
        raw = text.encode(errors="replace")
    told = None if raw is None else list(raw)
    return {"token": text, "logprob": _bounded(logprob), "bytes": told}


def _bounded(logprob: float) -> float:
    return max(logprob, LEAST)
