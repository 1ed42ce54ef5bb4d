"""What is put to the test: a backend, and what there is to know of it."""

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager

from attrs import field, frozen
from attrs.validators import gt

from ..types import PullRequest


@frozen(eq=False)
class Subject:
    """A backend that is open, and the models to ask it for.

    Attributes:
        backend: The object that the kind's ``open`` yields.
        model: A model that it can load, and that answers prompts.
        embedding_model: A model that makes vectors; None leaves ``embed`` untested.
        unknown_model: A name that it has no model for.
        context_length: Context to load the models with; None leaves that to the backend.
        end_engine: Ends the engine behind its back, as a crash would, and returns when that can be
            noticed; None where nobody can.
        start_engine: Starts again what `end_engine` ended; None where a load brings it back.
        pull: What to fetch, which is not there at first; None leaves ``pull`` untested, but for a
            source that there is not.
        within_s: Longest time for one promise, loads of models included.
        stops_within_s: Longest time for what is closed or cancelled to end, and for an unload
            right after it.
    """

    backend: object
    model: str
    embedding_model: str | None = None
    unknown_model: str = "orac-knows-no-such-model"
    context_length: int | None = None
    end_engine: Callable[[], Awaitable[None]] | None = None
    start_engine: Callable[[], Awaitable[None]] | None = None
    pull: PullRequest | None = None
    within_s: float = field(default=60.0, validator=gt(0))
    stops_within_s: float = field(default=2.0, validator=gt(0))


MakeSubject = Callable[[], AbstractAsyncContextManager[Subject]]
"""Opens a subject anew each time it is called; leaving it frees everything."""
