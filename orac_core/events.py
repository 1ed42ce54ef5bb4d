"""What happens, told to all who listen: states of models, loads, samples, health, findings.

Nothing waits for a listener. One that is too slow loses the oldest events and is told how many.
"""

import asyncio
import time
from collections import deque
from collections.abc import AsyncGenerator, Callable, Container, Iterator, Mapping
from contextlib import contextmanager
from types import MappingProxyType
from typing import Any, Literal

from attrs import define, field, frozen

Kind = Literal[
    "model",
    "progress",
    "answer",
    "fallback",
    "breaker",
    "sample",
    "health",
    "finding",
    "benchmark",
    "baseline",
    "provision",
    "lost",
]

ROOM = 256
"""Events that wait for one listener."""

NOTHING: Mapping[str, Any] = MappingProxyType({})


@frozen
class Event:
    """Something that happened.

    Attributes:
        kind: What it is about.
        at: Seconds since 1970.
        data: What happened, in plain JSON values; a unit stands in the name of each number. No
            prompts, no answers, no secrets.
    """

    kind: Kind
    at: float
    data: Mapping[str, Any] = NOTHING


Listener = Callable[[Event], None]


@define(eq=False)
class Events:
    """Passes events on, in the loop's thread, to whoever listens at that moment.

    Attributes:
        wall: Tells the time of day, in seconds since 1970.
    """

    wall: Callable[[], float] = time.time
    _listeners: list[Listener] = field(factory=list, init=False)
    _choosy: list[tuple[Listener, Container[str]]] = field(factory=list, init=False)

    @property
    def heard(self) -> bool:
        """Whether anybody listens to all; what is dear to make need not be made otherwise."""
        return bool(self._listeners)

    def hears(self, kind: Kind) -> bool:
        """Whether anybody listens to events of that kind."""
        return self.heard or any(kind in kinds for _, kinds in self._choosy)

    def publish(self, kind: Kind, **data: Any) -> None:
        """Tell everybody who listens that something happened."""
        listeners = [*self._listeners, *(who for who, kinds in self._choosy if kind in kinds)]
        if not listeners:
            return
        event = Event(kind, self.wall(), data)
        for listener in listeners:
            listener(event)

    @contextmanager
    def listening(self, listener: Listener) -> Iterator[None]:
        """Call *listener* with each event; it must neither block nor raise."""
        self._listeners.append(listener)
        try:
            yield
        finally:
            self._listeners.remove(listener)

    @contextmanager
    def listening_to(self, kinds: Container[str], listener: Listener) -> Iterator[None]:
        """Call *listener* with each event of those *kinds*; it must neither block nor raise."""
        entry = listener, kinds
        self._choosy.append(entry)
        try:
            yield
        finally:
            self._choosy.remove(entry)

    @contextmanager
    def inbox(self, room: int = ROOM, kinds: Container[str] | None = None) -> Iterator["Inbox"]:
        """Collect each event from now on, or those of some *kinds*.

        Of more than *room* that wait, the oldest are lost.
        """
        inbox = Inbox(room, kinds, self.wall)
        with self.listening(inbox.put):
            yield inbox

    async def follow(self, room: int = ROOM) -> AsyncGenerator[Event, None]:
        """Yield each event from when it is first asked; else like `inbox`."""
        with self.inbox(room) as inbox:
            while event := await inbox.get():
                yield event


@define(eq=False)
class Inbox:
    """The events that wait for one listener.

    Attributes:
        room: How many may wait.
        kinds: Those that are of interest; None for all.
        wall: Tells the time of day, in seconds since 1970.
    """

    room: int = ROOM
    kinds: Container[str] | None = None
    wall: Callable[[], float] = time.time
    _waiting: deque[Event] = field(factory=deque, init=False)
    _lost: int = field(default=0, init=False)
    _closed: asyncio.Event = field(factory=asyncio.Event, init=False)
    _news: asyncio.Event = field(factory=asyncio.Event, init=False)

    def put(self, event: Event) -> None:
        """Take an event."""
        if self.kinds is not None and event.kind not in self.kinds:
            return
        if len(self._waiting) >= self.room:
            self._waiting.popleft()
            self._lost += 1
        self._waiting.append(event)
        self._news.set()

    def close(self) -> None:
        """Let whoever reads come to an end with what waits now."""
        self._closed.set()
        self._news.set()

    async def closed(self) -> None:
        """Wait until it is closed."""
        await self._closed.wait()

    async def get(self) -> Event | None:
        """Return the oldest that waits, or how many were ``lost``; None once it is closed."""
        while not self._waiting and not self._closed.is_set():
            self._news.clear()
            await self._news.wait()
        if self._lost:
            lost, self._lost = self._lost, 0
            return Event("lost", self.wall(), {"events": lost})
        return self._waiting.popleft() if self._waiting else None
