"""The streams that are open: how many each client may have, and how those of events end."""

import time
from collections.abc import Callable, Container, Iterable, Iterator
from contextlib import contextmanager
from itertools import chain

from aiohttp import web
from attrs import define, field, frozen

from orac_core import QueueFull, TooManyStreams
from orac_core.events import Events, Inbox
from orac_core.outage import LEAST_S, again_s

MOST = 64
"""Streams of events that may be open at once, whoever they are for."""

EVENTS = "/v1/events"
"""The kind of the streams of events."""

MEMORY = 0.2
"""Weight of the newest stream in the running mean of their durations."""


def client_of(request: web.BaseRequest) -> str:
    """Return who asks: its address, as users share a token."""
    return request.remote or ""


@frozen(eq=False)
class Stream:
    """One that is open.

    Attributes:
        kind: What it is about; those of one kind last about as long.
        since: When it began, in seconds of a clock that never goes back.
    """

    kind: str
    since: float


def first_ends_s(lefts_s: Iterable[float]) -> float | None:
    """Return when the first of several streams ends, each of which is expected to last so long.

    Each ends at a constant rate, so the rates add up. None when there are none.
    """
    rate = sum(1 / max(left_s, LEAST_S) for left_s in lefts_s)
    return 1 / rate if rate else None


@define(eq=False)
class Streams:
    """Those that are open.

    Attributes:
        most: How many one client may have.
        closed: Whether those of events have ended, as the service stops.
        clock: Tells seconds that never go back.
    """

    most: int = 64
    clock: Callable[[], float] = time.monotonic
    closed: bool = field(default=False, init=False)
    _held: dict[str, set[Stream]] = field(factory=dict, init=False)
    _usual_s: dict[str, float] = field(factory=dict, init=False)
    _inboxes: set[Inbox] = field(factory=set, init=False)

    def __len__(self) -> int:
        return sum(map(len, self._held.values()))

    @contextmanager
    def held(self, client: str, kind: str) -> Iterator[None]:
        """Count one more of a *client*.

        Raises:
            TooManyStreams: when it has too many.
        """
        if len(mine := self._held.get(client, set())) >= self.most:
            text = f"{len(mine)} streams of yours are open, and more you may not have; close one"
            raise TooManyStreams(text, self._again_s(mine))
        stream = Stream(kind, self.clock())
        self._held.setdefault(client, set()).add(stream)
        try:
            yield
        finally:
            self._ended(client, stream)

    @contextmanager
    def opened(self, events: Events, kinds: Container[str] | None) -> Iterator[Inbox]:
        """Collect *events* for one more.

        Raises:
            QueueFull: when there are too many.
        """
        if len(self._inboxes) >= MOST:
            text = f"{MOST} streams of events are open, and more there may not be; close one"
            raise QueueFull(text, self._again_s(self._of(EVENTS)))
        with events.inbox(kinds=kinds) as inbox:
            self._inboxes.add(inbox)
            if self.closed:
                inbox.close()
            try:
                yield inbox
            finally:
                self._inboxes.discard(inbox)

    def close(self) -> None:
        """End each of those of events, and whatever comes."""
        self.closed = True
        for inbox in self._inboxes:
            inbox.close()

    def _of(self, kind: str) -> list[Stream]:
        return [each for each in chain(*self._held.values()) if each.kind == kind]

    def _again_s(self, streams: Iterable[Stream]) -> float:
        return first_ends_s(map(self._left_s, streams)) or LEAST_S

    def _left_s(self, stream: Stream) -> float:
        """Return how long it is expected to go on: as long as usual, else as long again."""
        age_s = self.clock() - stream.since
        return self._usual_s.get(stream.kind) or again_s(age_s)

    def _ended(self, client: str, stream: Stream) -> None:
        self._held[client].discard(stream)
        if not self._held[client]:
            del self._held[client]
        took_s = self.clock() - stream.since
        before = self._usual_s.get(stream.kind, took_s)
        self._usual_s[stream.kind] = before + MEMORY * (took_s - before)
