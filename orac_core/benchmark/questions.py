"""The requests that a workload comes to (pure)."""

from attrs import frozen

from ..conversation import GenerateOptions, GenerateRequest, Message
from .results import Workload
from .workloads import Fit, text

NONCE_WORDS = 4
"""Before a user's prompt, so that no cache has its beginning: one in 10^9 is the same."""


@frozen
class Questions:
    """Requests that are made at the same time.

    Attributes:
        asked: The requests that are measured.
        fills: Made before them and not measured: what the cache shall have already.
        words: Words of random text in each prompt; None where something else is there, too.
    """

    asked: tuple[GenerateRequest, ...]
    fills: tuple[GenerateRequest, ...] = ()
    words: int | None = None


def questions(
    model: str, workload: Workload, fit: Fit, seed: int, key: str | None
) -> list[Questions]:
    """Return what to ask *model*, one after the other.

    Args:
        model: Who is asked.
        workload: What for.
        fit: How many tokens a word has for that model.
        seed: Of the run.
        key: Tells this request from all others of the run; None asks a user's prompts as they are.
    """
    sampling = GenerateOptions(temperature=0.0, seed=seed, max_tokens=workload.completion_tokens)
    key = None if key is None else f"{seed}/{key}"
    if workload.prompt_tokens is None:
        told = [_told(prompt, key) for prompt in workload.prompts]
        return [Questions((GenerateRequest(model, (it,), options=sampling),)) for it in told]
    return [_random(model, workload, fit, sampling, key or str(seed))]


def random_text(
    model: str, words: int, completion_tokens: int, seed: int, key: str
) -> GenerateRequest:
    """Return a request with so many random words before an answer of that length."""
    sampling = GenerateOptions(temperature=0.0, seed=seed, max_tokens=completion_tokens)
    return _continue(model, text(f"{seed}/{key}", words), sampling)


def _told(prompt: str, key: str | None) -> Message:
    nonce = "" if key is None else f"[{text(f'{key}/{prompt}', NONCE_WORDS)}]\n"
    return Message("user", f"{nonce}{prompt}")


def _random(
    model: str, workload: Workload, fit: Fit, sampling: GenerateOptions, key: str
) -> Questions:
    words = fit.words(workload.prompt_tokens or 1)
    streams = [f"{key}/{number}" for number in range(workload.concurrency)]
    fresh = [text(stream, words) for stream in streams]
    if not workload.depth:
        return Questions(tuple(_continue(model, it, sampling) for it in fresh), words=words)
    before = [text(f"{stream}/depth", fit.words(workload.depth)) for stream in streams]
    only_read = GenerateOptions(temperature=0.0, seed=sampling.seed, max_tokens=1)
    pairs = zip(before, fresh, strict=True)
    return Questions(
        tuple(_continue(model, f"{there} {it}", sampling) for there, it in pairs),
        tuple(_continue(model, it, only_read) for it in before),
    )


def _continue(model: str, prompt: str, sampling: GenerateOptions) -> GenerateRequest:
    options = GenerateOptions(
        temperature=sampling.temperature,
        seed=sampling.seed,
        max_tokens=sampling.max_tokens,
        ignore_eos=True,
    )
    return GenerateRequest(model, prompt=prompt, options=options)
