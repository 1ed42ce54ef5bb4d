"""Tokens with their probabilities, as OpenAI's API, llama.cpp and Ollama tell them. Pure."""

from collections.abc import Iterable, Mapping
from typing import Any

from orac_core import Candidate, Token


def of_choice(told: Mapping[str, Any]) -> list[Token]:
    """Return the tokens of a choice's ``logprobs``; of a completion OpenAI tells them as lists.

    Raises:
        TypeError, ValueError, LookupError: when they are not as these engines tell them.
    """
    if "token_logprobs" not in told:
        return tokens(told["content"] or ())
    texts, chances = told["tokens"], told["token_logprobs"]
    tops = told.get("top_logprobs") or [None] * len(texts)
    return [
        Token(str(text), _chance(chance), top=_candidates(top))
        for text, chance, top in zip(texts, chances, tops, strict=True)
        if text
    ]


def tokens(told: Iterable[Mapping[str, Any]]) -> list[Token]:
    """Return the tokens; those that are held back, as more of a letter is to come, say nothing.

    Raises:
        TypeError, ValueError, LookupError: when they are not as these engines tell them.
    """
    return [_token(each) for each in told if each["token"]]


def limited(found: Iterable[Token], top: int | None) -> tuple[Token, ...]:
    """Return tokens with at most *top* of the likeliest at each place; some engines tell more."""
    return tuple(Token(it.text, it.logprob, it.raw, it.top[:top]) for it in found)


def _token(told: Mapping[str, Any]) -> Token:
    raw = told.get("bytes")
    return Token(
        str(told["token"]),
        _chance(told["logprob"]),
        None if raw is None else bytes(raw),
        tuple(
            Candidate(str(it["token"]), _chance(it["logprob"]))
            for it in told.get("top_logprobs") or ()
        ),
    )


def _candidates(told: Mapping[str, Any] | None) -> tuple[Candidate, ...]:
    found = [Candidate(text, _chance(chance)) for text, chance in (told or {}).items()]
    return tuple(sorted(found, key=lambda it: -it.logprob))


def _chance(logprob: Any) -> float:
    return min(0.0, float(logprob))
