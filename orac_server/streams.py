"""The streams of events that are open: how many there may be, and how they end."""

from collections.abc import Container, Iterator
from contextlib import contextmanager

from attrs import define, field

from orac_core import QueueFull
from orac_core.events import Events, Inbox

MOST = 64
"""Streams that may be open at once."""

RETRY_S = 10.0


@define(eq=False)
class Streams:
    """Those that are open."""

    closed: bool = field(default=False, init=False)
    _open: set[Inbox] = field(factory=set, init=False)

    def __len__(self) -> int:
        return len(self._open)

    @contextmanager
    def opened(self, events: Events, kinds: Container[str] | None) -> Iterator[Inbox]:
        """Collect *events* for one more.

        Raises:
            QueueFull: when there are too many.
        """
        if len(self._open) >= MOST:
            text = f"{MOST} streams of events are open, and more there may not be; close one"
            raise QueueFull(text, RETRY_S)
        with events.inbox(kinds=kinds) as inbox:
            self._open.add(inbox)
            if self.closed:
                inbox.close()
            try:
                yield inbox
            finally:
                self._open.discard(inbox)

    def close(self) -> None:
        """End each of them, and whatever comes."""
        self.closed = True
        for inbox in self._open:
            inbox.close()
