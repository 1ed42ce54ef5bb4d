"""Server-sent events, taken apart.

The format is that of the HTML standard, "Interpreting an event stream", as far as engines use it:
only the data of an event counts; comments (pings) and other fields are dropped.
"""

import re

from attrs import define, field

_LINE_END = re.compile(rb"\r\n|\r|\n")


class Oversized(ValueError):
    """An event or a line is longer than any that an engine has reason to send."""


@define(eq=False)
class SseParser:
    """Puts events together from reads that may be cut anywhere.

    Attributes:
        limit: Bytes that one event may have.
    """

    limit: int = 1 << 20
    _line: bytearray = field(factory=bytearray, init=False)
    _data: list[bytes] = field(factory=list, init=False)
    _held: int = field(default=0, init=False)
    _after_return: bool = field(default=False, init=False)

    def feed(self, read: bytes) -> list[bytes]:
        """Return the data of every event that *read* completes.

        Raises:
            Oversized: when the event at hand is longer than the limit.
        """
        if self._after_return and read.startswith(b"\n"):
            read = read[1:]
            self._after_return = False
        if not read:
            return []
        self._after_return = read.endswith(b"\r")
        first, *others = _LINE_END.split(read)
        self._line += first
        if not others:
            return self._within_limit([])
        lines = [bytes(self._line), *others[:-1]]
        self._line = bytearray(others[-1])
        return self._within_limit([event for line in lines if (event := self._take(line))])

    def _take(self, line: bytes) -> bytes | None:
        """Return the data of the event that *line* ends, if it is empty and so ends one."""
        if line:
            if line.startswith(b"data:"):
                self._data.append(line[6:] if line[5:6] == b" " else line[5:])
                self._held += len(line)
            return None
        event = b"\n".join(self._data)
        self._data.clear()
        self._held = 0
        return event

    def _within_limit(self, events: list[bytes]) -> list[bytes]:
        if self._held + len(self._line) > self.limit:
            raise Oversized(f"an event is longer than {self.limit} bytes")
        return events
