"""How the engine makes vectors of texts with one model: decided from its file. Pure.

A worker that makes vectors has room for the likelihoods of every token of a batch, twice: with
150,000 tokens in the vocabulary and batches of 512 that was measured at 590 MiB, which a model that
only answers is spared, unless its vocabulary is small.
"""

from attrs import frozen

from orac_core import GgufHeader, InvalidRequest, ModelFile

from .settings import LlamaCppSettings

_UNASKED_BYTES = 32 << 20  # what vectors may cost that nobody has asked for
_BYTES_PER_TOKEN = 2 * 512 * 4  # of the vocabulary: twice a batch of F32


@frozen
class Vectors:
    """How to make vectors.

    Attributes:
        pooling: How one is made of those of all tokens: ``mean``, ``cls`` or ``last``.
        batch: Tokens that are computed at a time.
        longest: Tokens that a text may have.
        alone: Whether only one text may be computed at a time. Where each has a cache of its own,
            the engine computes as many tokens of each as the shortest has, and then the rest; of a
            longer text the mean would be that of the rest.
    """

    pooling: str
    batch: int
    longest: int
    alone: bool = False


def pooling_of(header: GgufHeader | None, settings: LlamaCppSettings) -> str | None:
    """Return how the model makes one vector of a text; None where it makes none.

    What its file says holds. One that continues texts takes the mean, where the settings want its
    vectors, or say nothing and they cost little.
    """
    if header is None or header.pooling:
        return header.pooling if header else None
    wanted = settings.embeddings
    # A llama-server that is told to make vectors may refuse to answer
    # (https://github.com/ggml-org/llama.cpp/issues/3815).
    if wanted is None and settings.server_binary is None:
        wanted = _costs_little(header.vocabulary_size)
    return "mean" if wanted else None


def _costs_little(vocabulary_size: int | None) -> bool:
    return 0 < (vocabulary_size or 0) * _BYTES_PER_TOKEN <= _UNASKED_BYTES


def vectors(
    file: ModelFile, context_length: int, parallel: int, settings: LlamaCppSettings
) -> Vectors | None:
    """Return how the model of a file makes vectors; None for one that only continues texts.

    Args:
        file: The model.
        context_length: Tokens of one text.
        parallel: Texts at once. The engine aborts when a batch is no multiple of it
            (https://github.com/ggml-org/llama.cpp/issues/27175).
        settings: Whether those that continue texts make vectors too.

    Raises:
        InvalidRequest: when it only compares texts, or a batch is too small for *parallel*.
    """
    header, pooling = file.header, pooling_of(file.header, settings)
    if pooling == "rank":
        raise _only_ranks(file.id)
    if header is None or pooling is None:
        return None
    batch = header.batch_tokens(context_length)
    batch -= batch % parallel
    if not batch:
        raise _too_many(file.id, context_length)
    longest = context_length if pooling == "last" else min(batch, context_length)
    return Vectors(pooling, batch, longest, alone=pooling != "last" and not header.is_encoder)


def _only_ranks(model: str) -> InvalidRequest:
    return InvalidRequest(
        f"{model} only says how well texts go together (its pooling is rank), which ORAC does not "
        "ask of a model; load one that answers or makes vectors",
        {"model": "ranks texts"},
    )


def _too_many(model: str, context_length: int) -> InvalidRequest:
    return InvalidRequest(
        f"{model} with a context of {context_length} tokens can not read more than "
        f"{context_length} texts at once; ask for fewer in `parallel`",
        {"parallel": f"must be at most {context_length}"},
    )
