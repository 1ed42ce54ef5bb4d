"""What is put to the test: a backend, and what there is to know of it."""

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager

from attrs import frozen


@frozen(eq=False)
class Subject:
    """A backend that is open, and the models to ask it for.

    Attributes:
        backend: The object that the kind's ``open`` yields.
        model: A model that it can load, and that answers prompts.
        embedding_model: A model that makes vectors; None leaves ``embed`` untested.
        unknown_model: A name that it has no model for.
        context_length: Context to load the models with; None leaves that to the backend.
        end_engine: Ends the engine behind its back, as a crash would; None where none can.
    """

    backend: object
    model: str
    embedding_model: str | None = None
    unknown_model: str = "orac-knows-no-such-model"
    context_length: int | None = None
    end_engine: Callable[[], Awaitable[None]] | None = None


MakeSubject = Callable[[], AbstractAsyncContextManager[Subject]]
"""Opens a subject anew each time it is called; leaving it frees everything."""
