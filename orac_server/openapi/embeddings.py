"""Vectors of texts in the shape of OpenAI."""

from typing import Literal

from attrs import frozen


@frozen
class Embedding:
    """The vector of a text.

    Attributes:
        object: What this is.
        index: Which text of the request it is of, from 0.
        embedding: The numbers, or 32-bit floats in base64, the lowest byte first.
    """

    object: Literal["embedding"]
    index: int
    embedding: list[float] | str


@frozen
class EmbeddingTokens:
    """Tokens, as the engine counts them.

    Attributes:
        prompt_tokens: Of the texts.
        total_tokens: The same.
    """

    prompt_tokens: int
    total_tokens: int


@frozen
class EmbeddingTimings:
    """Where the time went.

    Attributes:
        queue_ms: Waiting for a turn.
        load_ms: Loading the model; 0 when it was loaded.
    """

    queue_ms: float
    load_ms: float


@frozen
class EmbeddingFigures:
    """What ORAC tells beside the vectors.

    Attributes:
        model: Id of the model that made them.
        instance: Name of its backend.
        role: Role that was asked for; null when it was a model.
        served_by_fallback: Whether another model made them than the first of the role.
        elapsed_ms: From the request to the end.
        timings: Where the time went.
    """

    model: str
    instance: str
    role: str | None
    served_by_fallback: bool
    elapsed_ms: float
    timings: EmbeddingTimings


@frozen
class EmbeddingList:
    """The vectors of texts.

    Attributes:
        object: What this is.
        data: A vector for each text, in their order.
        model: The model, as the client called it.
        usage: Tokens.
        orac: What ORAC tells beside.
    """

    object: Literal["list"]
    data: list[Embedding]
    model: str
    usage: EmbeddingTokens
    orac: EmbeddingFigures
