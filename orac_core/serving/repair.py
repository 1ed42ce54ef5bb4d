"""A second try where an answer does not satisfy the format that was asked for."""

from collections.abc import Awaitable, Callable

from attrs import evolve

from ..conversation import Answer, GenerateRequest, Message, Usage
from ..errors import InvalidRequest, OracError
from .formats import problem

Ask = Callable[[GenerateRequest, float | None], Awaitable[Answer]]


async def repaired(ask: Ask, request: GenerateRequest, allowed_s: float) -> Answer:
    """Return an answer that satisfies its format, if not the first then perhaps the second.

    Args:
        ask: Answers a request within so many seconds.
        request: What to answer.
        allowed_s: Longest time for both together.

    Raises:
        InvalidRequest: when the answer could not be repaired.
        OracError: as the first answer does; when the second fails, the first holds.
    """
    check(request)
    first = await ask(request, allowed_s)
    if not needed(first):
        return first
    try:
        second = await ask(question(request, first), max(0.0, allowed_s - first.elapsed_s))
    except OracError:
        return first
    return joined(first, second)


def check(request: GenerateRequest) -> None:
    """Refuse a request whose answer could not be repaired.

    Raises:
        InvalidRequest: when it has no format to satisfy, or no conversation to go on with.
    """
    if request.format is None:
        text = "an answer can only be repaired to a format; give one, or leave `repair` out"
        raise InvalidRequest(text, {"repair": "needs a format"})
    if not request.messages:
        text = "an answer can only be repaired in a conversation; give messages, not a raw prompt"
        raise InvalidRequest(text, {"repair": "needs messages"})


def needed(answer: Answer) -> bool:
    """Return whether *answer* misses its format, with time left to try again."""
    return answer.format_valid is False and answer.finish_reason != "deadline"


def question(request: GenerateRequest, answer: Answer) -> GenerateRequest:
    """Return what to ask after a first *answer* that misses the format."""
    wrong = problem(answer.text, request.format) if request.format is not None else None
    said = (
        Message("assistant", answer.text),
        Message("user", f"That is not what was asked for: {wrong}. Answer again, with JSON only."),
    )
    return evolve(request, messages=request.messages + said)


def joined(first: Answer, second: Answer) -> Answer:
    """Return the *second* answer with what both took."""
    return evolve(
        second,
        repaired=True,
        elapsed_s=first.elapsed_s + second.elapsed_s,
        queue_s=first.queue_s + second.queue_s,
        load_s=first.load_s + second.load_s,
        usage=Usage(
            _sum(first.usage.prompt_tokens, second.usage.prompt_tokens),
            _sum(first.usage.completion_tokens, second.usage.completion_tokens),
            _sum(first.usage.cached_tokens, second.usage.cached_tokens),
        ),
    )


def _sum(one: int | None, other: int | None) -> int | None:
    return None if one is None or other is None else one + other
