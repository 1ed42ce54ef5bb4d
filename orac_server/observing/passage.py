"""What is learned of a request while it is answered, by whoever learns it."""

from contextvars import ContextVar
from typing import Any

from attrs import define

LONGEST_NAME = 128
"""Characters that are kept of a model's name; it comes from the client."""


@define(eq=False)
class Passage:
    """What is known of a request beyond its status.

    Attributes:
        model: The model it is about: the one that answered as ``instance/model``, else what the
            client called it.
        error: ``code`` of the error that it ended with.
        left: Whether the client left before its answer was whole.
        span: The span that covers it, where spans are made.
    """

    model: str | None = None
    error: str | None = None
    left: bool = False
    span: Any = None


CURRENT: ContextVar[Passage | None] = ContextVar("passage", default=None)
"""The passage of the request that is being answered, also in tasks that it has started."""


def failed(code: str) -> None:
    """Note the error that the present request ends with."""
    if (passage := CURRENT.get()) is not None:
        passage.error = code


def abandoned() -> None:
    """Note that the client of the present request has left, or reads no more."""
    if (passage := CURRENT.get()) is not None:
        passage.left = True


def about(name: object) -> None:
    """Note which model the present request is about; what is no name is passed over."""
    if isinstance(name, str) and (passage := CURRENT.get()) is not None:
        passage.model = name[:LONGEST_NAME]
