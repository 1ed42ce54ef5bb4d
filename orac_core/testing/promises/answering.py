"""How answers come."""

import asyncio
from contextlib import aclosing

from attrs import evolve

from ...conversation import Chunk, Rates, Usage
from ..broken import expect
from ..promise import Promise
from ..trial import Trial

READ_WITHIN_S = 5.0
"""Least time for models and health to answer while an answer is being written."""


async def _answer(trial: Trial) -> list[Chunk]:
    await trial.load()
    return await trial.ask()


async def _ends_once(trial: Trial) -> None:
    """The relay raises when a stream breaks off, or goes on after a piece that is done."""
    await _answer(trial)


async def _says_why(trial: Trial) -> None:
    *before, last = await _answer(trial)
    expect(last.finish_reason, "the last chunk has no finish_reason")
    early = [each.finish_reason for each in before if each.finish_reason]
    expect(not early, f"a chunk that is not the last has the finish_reason {early}")


async def _says_something(trial: Trial) -> None:
    pieces = await _answer(trial)
    counted = pieces[-1].usage.completion_tokens
    said = "".join(each.text for each in pieces)
    expect(said or counted, "the answer has neither text nor tokens")


async def _counts_at_the_end(trial: Trial) -> None:
    *before, last = await _answer(trial)
    early = [each for each in before if (each.usage, each.rates) != (Usage(), Rates())]
    expect(not early, "usage or rates stand in a chunk that is not the last")
    counts = (last.usage.prompt_tokens, last.usage.completion_tokens, last.usage.cached_tokens)
    expect(all(it is None or it >= 0 for it in counts), f"usage has a count below 0: {last.usage}")


async def _measures_soundly(trial: Trial) -> None:
    rates = (await _answer(trial))[-1].rates
    told = (rates.prefill_tokens_per_second, rates.decode_tokens_per_second)
    sound = all(it is None or 0 < it < float("inf") for it in told)
    expect(sound, f"rates are not above 0: {rates}; None stands for what is not known")


async def _keeps_to_the_limit(trial: Trial) -> None:
    await trial.load()
    request = trial.asking()
    one = evolve(request, options=evolve(request.options, max_tokens=1))
    counted = (await trial.ask(one))[-1].usage.completion_tokens
    expect(counted is None or counted <= 1, f"max_tokens=1 was answered with {counted} tokens")


async def _answers_again(trial: Trial) -> None:
    await trial.load()
    for number in range(3):
        await trial.ask(trial.asking(f"Count to {number}."))


async def _answers_side_by_side(trial: Trial) -> None:
    await trial.load()
    asked = (trial.ask(trial.asking(f"Count to {number}.")) for number in range(3))
    ended = await asyncio.gather(*asked, return_exceptions=True)
    failed = [f"{type(each).__name__}: {each}" for each in ended if isinstance(each, Exception)]
    expect(not failed, f"of 3 answers at once {len(failed)} failed: {failed[:1]}")


async def _listens_while_it_answers(trial: Trial) -> None:
    most = max(READ_WITHIN_S, trial.subject.stops_within_s)
    await trial.load()
    async with aclosing(trial.instance.generate(trial.asking())) as chunks:
        await anext(chunks)
        try:
            async with asyncio.timeout(most):
                await trial.instance.models()
                await trial.instance.health()
        except TimeoutError:
            expect(None, f"models and health took over {most:g} s during an answer")


ANSWERING = (
    Promise(
        "generate",
        "an answer ends with one chunk that is done, and nothing comes after it",
        "yield Chunk(done=True, …) as the last thing, once, and raise when an answer breaks off",
        _ends_once,
    ),
    Promise(
        "generate-reason",
        "the last chunk, and only it, says why the answer ended",
        'give the last chunk finish_reason="stop" or "length"',
        _says_why,
    ),
    Promise(
        "generate-text",
        "an answer has text, or tokens that were counted",
        "yield what the engine writes as Chunk(text)",
        _says_something,
    ),
    Promise(
        "generate-usage",
        "usage and rates stand in the last chunk only, and count nothing below 0",
        "keep them until the end; leave None what the engine does not say",
        _counts_at_the_end,
    ),
    Promise(
        "generate-rates",
        "rates are above 0 and finite, or None",
        "leave a rate None where the engine measured nothing, and divide by no time of 0",
        _measures_soundly,
    ),
    Promise(
        "generate-limit",
        "an answer has at most max_tokens tokens",
        "hand options.max_tokens to the engine",
        _keeps_to_the_limit,
    ),
    Promise(
        "generate-again",
        "a model answers one question after another",
        "keep nothing of an answer that stands in the way of the next",
        _answers_again,
    ),
    Promise(
        "generate-parallel",
        "several questions at once are all answered",
        "let those wait that the engine can not answer yet; keep the state of an answer local",
        _answers_side_by_side,
    ),
    Promise(
        "generate-listens",
        "models and health answer while an answer is being written",
        "do not block the event loop: let what blocks run in a thread",
        _listens_while_it_answers,
    ),
)
"""The promises of ``generate`` to who reads the answer to its end."""
