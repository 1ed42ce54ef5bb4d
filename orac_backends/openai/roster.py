"""What a server offers, asked for now and then."""

import asyncio
from time import monotonic

from attrs import define, field

from .api import ServerApi
from .dialect import DIALECTS, Dialect
from .listing import Listing

FRESH_S = 5.0
"""A list is not asked for anew within that time."""


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

    @property
    def dialect(self) -> Dialect:
        """What the server knows beyond OpenAI's API."""
        return DIALECTS[self.api.settings.dialect or self._known.dialect]

    async def look(self) -> Listing:
        """Return the list; raises as `ServerApi.models` does."""
        if not self.api.settings.list_models or monotonic() < self._until:
            return self._known
        if self._asking is None:
            self._asking = asyncio.create_task(self._asked(), name="list models")
            self._asking.add_done_callback(self._ended)
        # Who asks may have little time, and the next one shall find what was asked for.
        return await asyncio.shield(self._asking)

    def forget(self) -> None:
        """Ask anew the next time."""
        self._until = float("-inf")

    async def close(self) -> None:
        """Ask no more."""
        if self._asking is not None:
            self._asking.cancel()
            await asyncio.wait([self._asking])

    async def _asked(self) -> Listing:
        self._known = await self.api.models()
        self.version = await self.api.version(self.dialect)
        self._until = monotonic() + FRESH_S
        return self._known

    def _ended(self, asking: asyncio.Task[Listing]) -> None:
        self._asking = None
        if not asking.cancelled():
            asking.exception()  # who waits for it is told; nobody may
