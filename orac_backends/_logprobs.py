"""Tokens with their probabilities, as OpenAI's API, llama.cpp and Ollama tell them. Pure."""

from collections.abc import Iterable, Mapping
from typing import Any

from orac_core import Candidate, Token


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
        min(0.0, float(told["logprob"])),
        None if raw is None else bytes(raw),
        tuple(
            Candidate(str(it["token"]), min(0.0, float(it["logprob"])))
            for it in told.get("top_logprobs") or ()
        ),
    )
