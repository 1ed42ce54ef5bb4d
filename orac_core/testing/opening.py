"""Opening a kind of backend for its trial, as ORAC itself opens it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from ..kinds import BackendKind, Host
from ..plugins import Plugins
from ..types import ModelState
from .broken import NotOffered
from .subject import MakeSubject, Subject


def opening(  # noqa: PLR0913 - what is not known may be left out
    kind: BackendKind,
    settings: object,
    host: Host,
    *,
    model: str | None = None,
    embedding_model: str | None = None,
    context_length: int | None = None,
    stops_within_s: float = 2.0,
) -> MakeSubject:
    """Return what opens a backend of *kind* anew each time, for `judge` and `BackendContract`.

    Args:
        kind: The kind.
        settings: An object of its settings class.
        host: What ORAC lends to it.
        model: A model that answers; None for the first that is listed and can.
        embedding_model: A model that makes vectors; None leaves ``embed`` untested.
        context_length: Context to load models with; None leaves that to the backend.
        stops_within_s: Longest time for what is closed or cancelled to end.
    """

    @asynccontextmanager
    async def make() -> AsyncIterator[Subject]:
        async with kind.open(settings, host) as backend:
            chosen = model or await _that_answers(backend)
            yield Subject(
                *(backend, chosen, embedding_model),
                context_length=context_length,
                stops_within_s=stops_within_s,
            )

    return make


async def _that_answers(backend: object) -> str:
    for each in await Plugins().bind("tested", backend).models():
        writes = not each.capabilities or {"completion", "chat"} & {*each.capabilities}
        if writes and each.state is not ModelState.FAILED:
            return each.id
    raise NotOffered("it lists no model that answers; name one, or give it one to list")
