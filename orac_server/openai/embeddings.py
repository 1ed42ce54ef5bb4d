"""Embeddings: the body, and the vectors as they are answered."""

import base64
import struct
from collections.abc import Callable, Sequence
from typing import Annotated, Any, Literal

from attrs import frozen
from msgspec import Meta

from orac_core import Embedded, EmbedRequest

from .. import schema
from ..requests import Deadline, Name, Span, seconds
from ..schema import Open
from ..wire import MILLISECONDS, Json, ms
from .sampling import TOKENS, texts

Text = Annotated[str, Meta(min_length=1)]
Texts = Annotated[tuple[Text | int | tuple[int, ...], ...], Meta(min_length=1, max_length=2048)]


@frozen(kw_only=True)
class OracEmbedWish:
    """What only ORAC can do; a key that it does not have is refused.

    Attributes:
        deadline_ms: Longest time that it may take.
    """

    deadline_ms: Deadline | None = None


@frozen(kw_only=True)
class EmbeddingsBody(Open):
    """The body of ``POST /v1/embeddings``; numbers of tokens are known only to be refused.

    Attributes:
        model: Name of a model that makes vectors, an alias or a role.
        input: A text, or several, none of them empty; tokens as numbers are refused.
        dimensions: Length that the vectors are cut to, where the engine can.
        encoding_format: Lists of numbers (as it is without), or 32-bit floats in base64, the lowest
            byte first.
        keep_alive: ORAC's: how long the model then stays loaded, in seconds or as text such as
            `5m`, as for a load.
        orac: What only ORAC can do.
    """

    model: Name
    input: Text | Texts
    dimensions: Annotated[int, Meta(ge=1, le=65_536)] | None = None
    encoding_format: Literal["float", "base64"] | None = None
    keep_alive: Span | None = None
    orac: OracEmbedWish = OracEmbedWish()

    @property
    def request(self) -> EmbedRequest:
        """Which texts to turn into vectors, for the library.

        Raises:
            InvalidRequest: when ``input`` has tokens, or ``keep_alive`` is no span of time.
        """
        wanted = texts(self.input)
        schema.refuse([] if wanted else [("input", TOKENS)])
        keep_s = seconds(self.keep_alive, "keep_alive")
        return EmbedRequest(self.model, wanted, self.dimensions, keep_s)

    @property
    def deadline_s(self) -> float | None:
        """Longest time that it may take; None for the service's own limit."""
        return self.orac.deadline_ms / MILLISECONDS if self.orac.deadline_ms else None


def embeddings(body: EmbeddingsBody, made: Embedded) -> Json:
    """Return the answer to *body*."""
    encoded = in_base64 if body.encoding_format == "base64" else list
    tokens = made.usage.prompt_tokens or 0
    return {
        "object": "list",
        "data": _items(made.vectors, encoded),
        "model": body.model,
        "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
        "orac": {
            "model": made.model,
            "instance": made.instance,
            "role": made.role,
            "served_by_fallback": made.served_by_fallback,
            "elapsed_ms": ms(made.elapsed_s),
            "timings": {"queue_ms": ms(made.queue_s), "load_ms": ms(made.load_s)},
        },
    }


def in_base64(vector: Sequence[float]) -> str:
    """Return *vector* as 32-bit floats, the lowest byte first, in base64."""
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()


def _items(
    vectors: Sequence[Sequence[float]], encoded: Callable[[Sequence[float]], Any]
) -> list[Json]:
    return [
        {"object": "embedding", "index": index, "embedding": encoded(vector)}
        for index, vector in enumerate(vectors)
    ]
