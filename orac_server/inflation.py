"""Undoing the compression of a body as it arrives, within a limit on what comes out of it."""

import zlib
from typing import Any, Final

from attrs import define, field

ENCODINGS: Final = ("identity", "gzip", "deflate")
"""What a body may be compressed with (RFC 9110, 8.4.1); the first is not at all."""

_WINDOW = {"gzip": 16 + zlib.MAX_WBITS, "deflate": zlib.MAX_WBITS}
_RAW = -zlib.MAX_WBITS
_ZLIB = 8
"""The lower half of the first byte of a body in the format of zlib (RFC 1950)."""


class NotEncoded(ValueError):
    """A body is not compressed in the way that it says."""


@define(eq=False)
class Inflation:
    """A body that arrives.

    Attributes:
        encoding: How it is compressed.
        limit: Bytes that it may have, as they come and once they are decompressed.
    """

    encoding: str
    limit: int
    _body: bytearray = field(factory=bytearray, init=False)
    _came: int = field(default=0, init=False)
    _inflate: Any = field(default=None, init=False)

    @property
    def size(self) -> int:
        """Bytes that there are, before or after decompression: the larger of both."""
        return max(self._came, len(self._body))

    @property
    def exceeded(self) -> bool:
        """Whether that is more than the limit."""
        return self.size > self.limit

    def feed(self, data: bytes) -> None:
        """Take in what came; once the limit is exceeded nothing more is decompressed.

        Raises:
            NotEncoded: when it is not what was said.
        """
        self._came += len(data)
        if data and not self.exceeded:
            self._body += data if self.encoding == ENCODINGS[0] else self._inflated(data)

    def end(self) -> bytearray:
        """Return the whole.

        Raises:
            NotEncoded: when something is missing.
        """
        if self._inflate is not None and not self._inflate.eof:
            raise NotEncoded("it ends too early")
        return self._body

    def _inflated(self, data: bytes) -> bytes:
        if self._inflate is None:
            self._inflate = zlib.decompressobj(self._window(data[0]))
        room = max(self.limit + 1 - len(self._body), 1)
        try:
            found: bytes = self._inflate.decompress(data, room)
        except zlib.error as error:
            raise NotEncoded(str(error)) from error
        if self._inflate.unused_data:
            raise NotEncoded("something follows it")
        return found

    def _window(self, first: int) -> int:
        # Some clients take "deflate" by its name and leave the frame of zlib out.
        if self.encoding == "deflate" and first & 0x0F != _ZLIB:
            return _RAW
        return _WINDOW[self.encoding]
