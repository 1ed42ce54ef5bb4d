"""What a server offers, asked for now and then."""

import asyncio
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic

from attrs import define, field

from orac_core import ModelState

from .api import ServerApi
from .dialect import DIALECTS, Dialect
from .listing import Listing

FRESH_S = 5.0
"""A list is not asked for anew within that time."""

STATES_S = 1.0
"""The same for one that tells the states of models."""

FELLOW = DIALECTS["orac"]


@define(eq=False)
class Roster:
    """The list of a server, and what it gives away; many ask at once, and the server once.

    Attributes:
        api: The server.
        version: What it last said of its version.
    """

    api: ServerApi
    version: str | None = field(default=None, init=False)
    _known: Listing = field(factory=Listing, init=False)
    _until: float = field(default=float("-inf"), init=False)
    _asking: asyncio.Task[Listing] | None = field(default=None, init=False)
    _forgotten: int = field(default=0, init=False)
    _as_of: int = field(default=0, init=False)
    _own: Counter[str] = field(factory=Counter, init=False)

    @property
    def fellow(self) -> bool:
        """Whether the server is another ORAC."""
        return self.dialect is FELLOW

    @property
    def dialect(self) -> Dialect:
        """What the server knows beyond OpenAI's API."""
        return DIALECTS[self.api.settings.dialect or self._known.dialect]

    async def look(self) -> Listing:
        """Return the list; raises as `ServerApi.models` does."""
        while self.api.settings.list_models and monotonic() >= self._until:
            if self._asking is None:
                self._asking = asyncio.create_task(self._asked(), name="list models")
                self._asking.add_done_callback(self._ended)
            # Who asks may have little time, and the next one shall find what was asked for.
            found = await asyncio.shield(self._asking)
            if self._as_of == self._forgotten:
                return found
        return self._known

    def forget(self, *, gone: bool = False) -> None:
        """Ask anew the next time, for the version as well when the server was *gone*."""
        self._until = float("-inf")
        self._forgotten += 1
        if gone:
            self.version = None

    def called(self, name: str) -> str:
        """Return what the server calls a model for certain."""
        entry = self._known.find(name)
        return name if entry is None else entry.id

    @contextmanager
    def asked(self, model: str) -> Iterator[None]:
        """Count a request for what the server calls *model* as one's own while it runs.

        A model that was not ready may be so afterwards, as another ORAC loads it for that.
        """
        self._own[model] += 1
        try:
            yield
        finally:
            self._own[model] -= 1
            known = self._known.find(model)
            if known and known.state not in (None, ModelState.READY):
                self.forget()

    def answers(self, model: str) -> bool:
        """Return whether a request of one's own runs for what the server calls *model*."""
        return self._own[model] > 0

    async def close(self) -> None:
        """Ask no more."""
        if self._asking is not None:
            self._asking.cancel()
            await asyncio.wait([self._asking])

    async def _asked(self) -> Listing:
        self._as_of = self._forgotten
        self._known = (await self.api.models()).without(self._own)
        if self.version is None or not self.fellow:
            self.version = await self.api.version(self.dialect)
        if self._as_of == self._forgotten:
            self._until = monotonic() + (STATES_S if self.fellow else FRESH_S)
        return self._known

    def _ended(self, asking: asyncio.Task[Listing]) -> None:
        self._asking = None
        if not asking.cancelled():
            asking.exception()  # who waits for it is told; nobody may
