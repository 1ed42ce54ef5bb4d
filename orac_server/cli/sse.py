"""Reading server-sent events (https://html.spec.whatwg.org/multipage/server-sent-events.html)."""

from collections.abc import Iterator

from attrs import define, field, frozen

LIMIT_BYTES = 64 * 1024**2
"""An event larger than this is none of ORAC's."""


@frozen
class Event:
    """One event: its name and its data."""

    name: str
    data: str


@define(eq=False)
class EventReader:
    """Puts events together from the bytes of a stream, however those were cut."""

    _rest: bytes = field(default=b"", init=False)
    _name: str = field(default="", init=False)
    _data: list[str] = field(factory=list, init=False)

    def feed(self, received: bytes) -> Iterator[Event]:
        """Yield the events that *received* completes.

        Raises:
            ValueError: when an event is larger than it may be, or no UTF-8.
        """
        *lines, self._rest = (self._rest + received).split(b"\n")
        if len(self._rest) > LIMIT_BYTES:
            raise ValueError(f"an event of more than {LIMIT_BYTES} bytes")
        for line in lines:
            event = self._line(line.removesuffix(b"\r").decode())
            if event:
                yield event

    def _line(self, line: str) -> Event | None:
        field_name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        match field_name:
            case "event":
                self._name = value
            case "data":
                self._data.append(value)
            case "" if not line:
                return self._complete()
        return None

    def _complete(self) -> Event | None:
        name, data = self._name or "message", self._data
        self._name, self._data = "", []
        return Event(name, "\n".join(data)) if data else None
