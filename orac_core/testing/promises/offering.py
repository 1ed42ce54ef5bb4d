"""The hooks that not every backend has, and opening one again."""

import math

from ...conversation import EmbedRequest
from ...errors import InvalidRequest, OracError
from ...types import PullRequest
from ..broken import expect, need
from ..promise import Promise
from ..trial import Trial

TEXTS = ("The robot turns left.", "It is raining.", "The robot turns left.")


async def _embedding(trial: Trial) -> EmbedRequest:
    need("embed" in trial.instance.offers, "it does not offer embed")
    model = trial.subject.embedding_model
    need(model, "no embedding_model is given")
    await trial.load(model)
    return EmbedRequest(model or "", TEXTS)


async def _makes_vectors(trial: Trial) -> None:
    vectors = (await trial.instance.embed(await _embedding(trial))).vectors
    expect(len({len(each) for each in vectors}) == 1, "vectors of one model differ in length")
    lengths = [math.hypot(*each) for each in vectors]
    expect(all(abs(it - 1) < 0.01 for it in lengths), f"the vectors have the lengths {lengths}")  # noqa: PLR2004


async def _makes_them_in_order(trial: Trial) -> None:
    first, _, third = (await trial.instance.embed(await _embedding(trial))).vectors
    alike = sum(a * b for a, b in zip(first, third, strict=True))
    expect(alike > 0.99, f"the same text got two vectors (cosine {alike:.3f})")  # noqa: PLR2004


async def _hands_out(trial: Trial) -> None:
    need("obtain" in trial.instance.offers, "it does not offer obtain")
    await trial.load()
    expect(await trial.instance.obtain(trial.model) is not None, "obtain handed out None")


async def _hands_out_what_is_loaded(trial: Trial) -> None:
    need("obtain" in trial.instance.offers, "it does not offer obtain")
    try:
        await trial.instance.obtain(trial.model)
    except OracError:
        return
    expect(None, "obtain handed out a model that is not loaded")


async def _refuses_a_pull_it_can_not_do(trial: Trial) -> None:
    need("pull" in trial.instance.offers, "it does not offer pull")
    request = PullRequest(trial.subject.unknown_model, source="gopher://nowhere.invalid/model")
    try:
        async for _ in trial.instance.pull(request):
            pass
    except InvalidRequest:
        return
    except OracError as error:
        expect(None, f"pull raised {type(error).__name__}, not InvalidRequest: {error}")
    expect(None, "pull took a source of a kind that there is not")


OFFERING = (
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
        "obtain",
        "a loaded model is handed out",
        "return the object from obtain",
        _hands_out,
    ),
    Promise(
        "obtain-loaded",
        "a model that is not loaded is not handed out",
        "raise BackendUnavailable in obtain when the model is not loaded",
        _hands_out_what_is_loaded,
    ),
    Promise(
        "pull-source",
        "a source that it can not fetch from is an InvalidRequest",
        "look at PullRequest.source before anything is fetched",
        _refuses_a_pull_it_can_not_do,
    ),
)
"""The promises of ``embed``, ``obtain`` and ``pull``, for those who offer them."""
