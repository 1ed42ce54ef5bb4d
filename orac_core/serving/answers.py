"""The answers of one model that are running."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from attrs import define, field

from ..errors import OracError
from .admission import Ticket


@define(eq=False)
class Answers:
    """Those that are being written. It is true while there are any."""

    _running: set[Ticket] = field(factory=set, init=False)
    _none: asyncio.Event = field(factory=asyncio.Event, init=False)

    def __attrs_post_init__(self) -> None:
        self._none.set()

    def __bool__(self) -> bool:
        return bool(self._running)

    @contextmanager
    def running(self, ticket: Ticket) -> Iterator[None]:
        """Count the answer to *ticket* as one of them."""
        self._running.add(ticket)
        self._none.clear()
        try:
            yield
        finally:
            self._running.discard(ticket)
            if not self._running:
                self._none.set()

    def stop(self, reason: OracError) -> None:
        """End each with *reason* at its present or next wait."""
        for ticket in tuple(self._running):
            ticket.stop(reason)

    async def ended(self) -> None:
        """Wait until there is none."""
        await self._none.wait()
