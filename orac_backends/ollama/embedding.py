"""The vectors of many texts, from one server."""

from attrs import evolve

from orac_core import BackendError, Embeddings, EmbedRequest, InvalidRequest

from .._request import check_embed
from .._vectors import shortened, too_long
from .answer import embeddings
from .api import OllamaApi
from .question import Loading, embedding

_TOO_LONG = "exceeds"


async def embedded(
    api: OllamaApi, request: EmbedRequest, loading: Loading, timeout_s: float
) -> Embeddings:
    """Return the vectors, in the order of the texts.

    Raises:
        InvalidRequest: when there is no text, one is empty or too long, the model makes no vectors,
            or its vectors are shorter than asked for.
        BackendUnavailable: when the server can not be reached, or its runner dies.
        BackendError: when the engine fails.
    """
    check_embed(request)
    try:
        told = await api.embed(embedding(request, loading), timeout_s)
    except InvalidRequest as error:
        if _TOO_LONG not in str(error):
            raise
        raise await _culprit(api, request, loading, timeout_s, error) from error
    found = embeddings(api.client.server, told)
    if len(found.vectors) != len(request.texts):
        raise BackendError(
            f"{api.client.server} made {len(found.vectors)} vectors of {len(request.texts)} texts"
        )
    # An Ollama of before September 2025 takes no notice of `dimensions`, and none of too many.
    cut = tuple(shortened(vector, request.dimensions) for vector in found.vectors)
    return evolve(found, vectors=cut)


async def _culprit(
    api: OllamaApi, request: EmbedRequest, loading: Loading, timeout_s: float, error: InvalidRequest
) -> InvalidRequest:
    """Return the error that names the text; Ollama refuses all of them without saying which."""
    count = len(request.texts)
    longest_first = sorted(range(count), key=lambda it: -len(request.texts[it]))
    for number in longest_first if count > 1 else ():
        try:
            alone = evolve(request, texts=(request.texts[number],))
            await api.embed(embedding(alone, loading), timeout_s)
        except InvalidRequest as refused:
            return too_long(number, count, str(refused), loading.context_length)
    return error if count > 1 else too_long(0, 1, str(error), loading.context_length)
