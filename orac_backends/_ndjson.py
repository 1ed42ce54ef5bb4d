"""Lines of JSON, put together from reads that may be cut anywhere.

The format of Ollama's streams: one JSON object a line (https://github.com/ndjson/ndjson-spec).
"""

from attrs import define, field

from ._sse import Oversized


@define(eq=False)
class LineParser:
    """Puts lines together.

    Attributes:
        limit: Bytes that one line may have.
    """

    limit: int = 1 << 20
    _rest: bytearray = field(factory=bytearray, init=False)

    def feed(self, read: bytes) -> list[bytes]:
        """Return every line that *read* completes, without its end; empty ones are dropped.

        Raises:
            Oversized: when the line at hand is longer than the limit.
        """
        first, *others = read.split(b"\n")
        self._rest += first
        if len(self._rest) > self.limit:
            raise Oversized(f"a line is longer than {self.limit} bytes")
        if not others:
            return []
        lines = [bytes(self._rest), *others[:-1]]
        self._rest = bytearray(others[-1])
        return [line for line in lines if line.strip()]

    def end(self) -> list[bytes]:
        """Return the last line, if it has no end; the stream is over."""
        rest, self._rest = bytes(self._rest), bytearray()
        return [rest] if rest.strip() else []
