"""A file read forwards through a buffer of fixed size.

No length that the file declares is ever allocated: it is compared with the bytes that are left
first, and what is skipped is never read.
"""

import os
import stat
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from attrs import define, field

from .malformed import Malformed

_BUFFER_BYTES = 256 * 1024
_HEADER_BYTES = 256 * 1024**2  # the largest real headers have some 30 MB

_U32 = struct.Struct("<I")
_U64 = struct.Struct("<Q")


def read_at(descriptor: int, position: int, count: int) -> bytes:
    """Return ``count`` bytes from ``position``.

    Raises:
        Malformed: The file has become shorter than it was.
    """
    raw = os.pread(descriptor, count, position)
    if len(raw) < count:
        raise Malformed("truncated while it was being read")
    return raw


@contextmanager
def opened(path: Path) -> Iterator["Window"]:
    """Open a file for reading, for as long as the context lasts.

    Raises:
        Malformed: It is no regular file.
        OSError: The system does not let it be opened or read.
    """
    # A named pipe that nobody writes to would block without O_NONBLOCK.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        yield Window(descriptor, _size(descriptor))
    finally:
        os.close(descriptor)


def _size(descriptor: int) -> int:
    found = os.fstat(descriptor)
    if not stat.S_ISREG(found.st_mode):
        raise Malformed("is no regular file")
    return found.st_size


@define(eq=False)
class Window:
    """The reading position in an open file of ``size`` bytes."""

    descriptor: int
    size: int
    _start: int = field(default=0, init=False)
    _buffer: bytes = field(default=b"", init=False)
    _at: int = field(default=0, init=False)

    @property
    def position(self) -> int:
        """Bytes from the start of the file."""
        return self._start + self._at

    @property
    def left(self) -> int:
        """Bytes between the position and the end of the file."""
        return self.size - self.position

    def take(self, count: int) -> bytes:
        """Return the next ``count`` bytes, which the caller has kept small, and step over them.

        Raises:
            Malformed: The file ends before that.
        """
        self._hold(count)
        self._at += count
        return self._buffer[self._at - count : self._at]

    def u32(self) -> int:
        """Return the next four bytes as a number."""
        self._hold(4)
        self._at += 4
        return int(_U32.unpack_from(self._buffer, self._at - 4)[0])

    def u64(self) -> int:
        """Return the next eight bytes as a number."""
        self._hold(8)
        self._at += 8
        return int(_U64.unpack_from(self._buffer, self._at - 8)[0])

    def skip(self, count: int) -> None:
        """Step over ``count`` bytes without reading them.

        Raises:
            Malformed: The file ends before that, or no header is that long.
        """
        self._move(self.position + count)

    def skip_strings(self, count: int) -> None:
        """Step over ``count`` strings, each led by its length in eight bytes.

        Raises:
            Malformed: The file ends before that, or no header is that long.
        """
        self.require(count * 8)
        while count:
            self._hold(8)
            count = self._skip_in_buffer(count)

    def require(self, count: int) -> None:
        """Raise `Malformed` unless ``count`` more bytes are there."""
        if count > self.left:
            raise Malformed(
                f"truncated: byte {self.position:,} asks for {count:,} more bytes"
                f" and the file has {self.left:,}",
            )

    def _skip_in_buffer(self, count: int) -> int:
        """Step over what lies in the buffer; return how many strings are left.

        A vocabulary has hundreds of thousands of them, so the end of the buffer is found by the
        exception and not by a comparison for each.
        """
        buffer, at, length_at = self._buffer, self._at, _U64.unpack_from
        left = 0
        try:
            for left in range(count, 0, -1):  # noqa: B007 - counts those from here on
                (length,) = length_at(buffer, at)
                at += 8 + length
            left = 0
        except (struct.error, OverflowError):
            pass
        self._move(self._start + at)
        return left

    def _move(self, position: int) -> None:
        if position > self.size:
            self.require(position - self.position)
        if position > _HEADER_BYTES:
            raise Malformed(f"its header is longer than {_HEADER_BYTES // 1024**2} MiB")
        self._at = position - self._start

    def _hold(self, count: int) -> None:
        """See to it that the next ``count`` bytes are in the buffer."""
        if self._at + count <= len(self._buffer):
            return
        self.require(count)
        self._start, self._at = self.position, 0
        self._buffer = read_at(self.descriptor, self._start, min(_BUFFER_BYTES, self.left))
