"""The vectors of many texts, from one worker."""

import asyncio
from collections.abc import Iterable

from orac_core import Embeddings, EmbedRequest, InvalidRequest, Usage

from .._request import check_embed
from .._vectors import Vector, shortened, too_long
from .worker_process import Worker

_TOO_LONG = ("is too large to process", "exceeds the available context size")


async def embeddings(worker: Worker, request: EmbedRequest) -> Embeddings:
    """Return the vectors, in the order of the texts.

    Each text is a request of its own, as many at once as the engine takes: answers come in between,
    and a text that is refused can be named. The first refusal ends all.

    Raises:
        InvalidRequest: when there is no text, one is empty or too long, the model makes no vectors,
            or its vectors are shorter than asked for.
        BackendUnavailable: when the model is not ready, or the process dies.
        BackendError: when the engine fails.
    """
    check_embed(request)
    if worker.plan.vectors is None:
        raise _makes_none(request.model)
    numbered = iter(enumerate(request.texts))
    found: dict[int, tuple[Vector, int]] = {}
    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(min(worker.plan.parallel, len(request.texts))):
                group.create_task(_some(worker, numbered, len(request.texts), found))
    except ExceptionGroup as errors:
        raise errors.exceptions[0] from None
    vectors = tuple(shortened(found[it][0], request.dimensions) for it in range(len(found)))
    return Embeddings(vectors, Usage(prompt_tokens=sum(it[1] for it in found.values())))


async def _some(
    worker: Worker,
    numbered: Iterable[tuple[int, str]],
    count: int,
    found: dict[int, tuple[Vector, int]],
) -> None:
    """Take texts, as long as there are any."""
    for number, text in numbered:
        try:
            found[number] = await worker.vector(text)
        except InvalidRequest as error:
            raise _named(worker, number, count, error) from error


def _named(worker: Worker, number: int, count: int, error: InvalidRequest) -> InvalidRequest:
    if not any(sign in str(error) for sign in _TOO_LONG):
        return error
    limit = worker.plan.vectors.longest if worker.plan.vectors else None
    return too_long(number, count, str(error), limit)


def _makes_none(model: str) -> InvalidRequest:
    return InvalidRequest(
        f"{model} makes no vectors; take a model that lists the capability `embedding`, or set "
        "`embeddings = true` for this backend",
        {"model": "makes no vectors"},
    )
