"""How vectors come."""

import asyncio
import math

from attrs import evolve

from ...conversation import EmbedRequest
from ...errors import BackendUnavailable, InvalidRequest, ModelNotFound, OracError
from ..broken import expect, need
from ..promise import Promise
from ..trial import Trial

TEXTS = ("The robot turns left.", "It is raining.", "The robot turns left.")
ALIKE = 0.99
"""Least cosine of two vectors of one text."""

OFF = 0.01
"""Most that the length of a vector may be off from 1."""

MANY = 500
"""Texts of a request that takes long enough to be cancelled."""

LONG = "again " * 50_000
"""A text of 300 kB, which is longer than the context of most models."""


def _request(trial: Trial) -> EmbedRequest:
    need("embed" in trial.instance.offers, "it does not offer embed")
    need(trial.subject.embedding_model, "no embedding_model is given")
    return EmbedRequest(trial.subject.embedding_model or "", TEXTS)


async def _loaded(trial: Trial) -> EmbedRequest:
    request = _request(trial)
    await trial.load(request.model)
    return request


def _expect_length_one(vectors: tuple[tuple[float, ...], ...]) -> None:
    lengths = [math.hypot(*each) for each in vectors]
    expect(all(abs(it - 1) < OFF for it in lengths), f"the vectors have the lengths {lengths}")


def _cosine(one: tuple[float, ...], other: tuple[float, ...]) -> float:
    return sum(a * b for a, b in zip(one, other, strict=True))


async def _makes_vectors(trial: Trial) -> None:
    vectors = (await trial.instance.embed(await _loaded(trial))).vectors
    expect(len({len(each) for each in vectors}) == 1, "vectors of one model differ in length")
    _expect_length_one(vectors)


async def _makes_them_in_order(trial: Trial) -> None:
    request = await _loaded(trial)
    first, second, third = (await trial.instance.embed(request)).vectors
    alike = _cosine(first, third)
    expect(alike > ALIKE, f"the same text got two vectors (cosine {alike:.3f})")
    turned = evolve(request, texts=(TEXTS[1], TEXTS[0]))
    alike = _cosine(second, (await trial.instance.embed(turned)).vectors[0])
    expect(alike > ALIKE, f"a text in another place got another vector (cosine {alike:.3f})")


async def _makes_the_same_of_one_alone(trial: Trial) -> None:
    request = await _loaded(trial)
    together = (await trial.instance.embed(request)).vectors
    for text, vector in zip(TEXTS[:2], together[:2], strict=True):
        (alone,) = (await trial.instance.embed(evolve(request, texts=(text,)))).vectors
        alike = _cosine(alone, vector)
        expect(alike > ALIKE, f"{text!r} got another vector alone (cosine {alike:.3f})")


async def _makes_them_shorter(trial: Trial) -> None:
    request = await _loaded(trial)
    size = len((await trial.instance.embed(request)).vectors[0])
    half = max(1, size // 2)
    vectors = (await trial.instance.embed(evolve(request, dimensions=half))).vectors
    seen = {len(each) for each in vectors}
    expect(seen == {half}, f"{half} of {size} dimensions were asked for, {seen} came")
    _expect_length_one(vectors)
    try:
        await trial.instance.embed(evolve(request, dimensions=size + 1))
    except InvalidRequest:
        return
    expect(None, f"a vector of {size} numbers was made longer without an error")


async def _refuses_a_text_that_is_too_long(trial: Trial) -> None:
    request = await _loaded(trial)
    try:
        await trial.instance.embed(evolve(request, texts=(LONG,)))
    except InvalidRequest:
        pass
    except OracError as error:
        expect(None, f"{type(error).__name__} instead of InvalidRequest: {error}")
    await trial.instance.embed(request)


async def _makes_none_for_others(trial: Trial) -> None:
    request = await _loaded(trial)
    unknown = trial.subject.unknown_model
    try:
        await trial.instance.embed(evolve(request, model=unknown))
    except (ModelNotFound, BackendUnavailable):
        return
    except OracError as error:
        expect(None, f"embed raised {type(error).__name__}: {error}")
    expect(None, f"{unknown!r} made vectors")


async def _does_not_load_in_silence(trial: Trial) -> None:
    request = _request(trial)
    need(not (await trial.info(request.model)).remote, "its models are on another machine")
    try:
        await trial.instance.embed(request)
    except BackendUnavailable:
        return
    except OracError as error:
        expect(None, f"embed raised {type(error).__name__}, not BackendUnavailable: {error}")
    expect(None, "a model that is not loaded made vectors")


async def _stops_when_cancelled(trial: Trial) -> None:
    request = await _loaded(trial)
    many = evolve(request, texts=tuple(f"The robot takes {each} steps." for each in range(MANY)))
    task = asyncio.create_task(trial.instance.embed(many))
    for _ in range(1 + trial.random.randrange(5)):
        await asyncio.sleep(0)
    need(not task.done(), "the vectors were there before it could be cancelled")
    task.cancel()
    await trial.ends_soon(asyncio.wait([task]), "an embed that was cancelled")
    expect(task.cancelled(), "embed swallowed the cancellation")
    await trial.instance.embed(request)


EMBEDDING = (
    Promise(
        "embed",
        "each vector has the length 1, and all have as many numbers",
        "divide each vector by its length (L2)",
        _makes_vectors,
    ),
    Promise(
        "embed-order",
        "there is a vector for each text, in their order",
        "return the vectors in the order of request.texts",
        _makes_them_in_order,
    ),
    Promise(
        "embed-alone",
        "a text has the same vector alone and among others",
        "keep texts apart from each other: pad nothing, or mask what was padded",
        _makes_the_same_of_one_alone,
    ),
    Promise(
        "embed-dimensions",
        "dimensions makes vectors shorter, of length 1 again; more than there are are refused",
        "keep the first numbers, divide by their length, and raise InvalidRequest where they lack",
        _makes_them_shorter,
    ),
    Promise(
        "embed-long",
        "a text that is too long is an InvalidRequest; the next ones get their vectors",
        "raise InvalidRequest with the number of the text; never cut it, and do not end the engine",
        _refuses_a_text_that_is_too_long,
    ),
    Promise(
        "embed-unknown",
        "nobody makes vectors for a model that is not there",
        "raise ModelNotFound or BackendUnavailable in embed; never take another model",
        _makes_none_for_others,
    ),
    Promise(
        "embed-not-loaded",
        "a model that is not loaded makes no vectors, and raises BackendUnavailable",
        "raise BackendUnavailable in embed when the model is not loaded",
        _does_not_load_in_silence,
    ),
    Promise(
        "embed-cancelled",
        "embed can be cancelled, ends within 2 seconds, and the next ones get their vectors",
        "let CancelledError pass, and give back in `finally` what the vectors took",
        _stops_when_cancelled,
    ),
)
"""The promises of ``embed``, for those who offer it."""
