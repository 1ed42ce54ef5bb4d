"""Files hashed a piece at a time, at whatever pace, with nothing of them left in memory."""

import hashlib
import os
from pathlib import Path
from typing import Any

from attrs import define, field

from ..errors import ModelFileInvalid
from .malformed import Malformed, fault
from .window import opened

PIECE_BYTES = 4 << 20

_ONLY_CACHED = getattr(os, "RWF_NOWAIT", None)


@define(eq=False)
class Trickle:
    """The hash of files put together. Between two steps no file is open. It blocks.

    Attributes:
        parts: The files, in order.
        algorithm: ``sha256``, ``sha1`` or ``md5``.
    """

    parts: tuple[Path, ...]
    algorithm: str
    _total: Any = field(init=False)
    _part: int = field(default=0, init=False)
    _offset: int = field(default=0, init=False)

    def __attrs_post_init__(self) -> None:
        self._total = hashlib.new(self.algorithm, usedforsecurity=False)

    @property
    def digest(self) -> str:
        """The hash of what was read so far, in hexadecimal digits."""
        return str(self._total.hexdigest())

    def step(self) -> int:
        """Read the next piece and return how many bytes that were; 0 when all is read.

        Raises:
            ModelFileInvalid: A file can not be read.
        """
        while self._part < len(self.parts):
            if piece := _read(self.parts[self._part], self._offset):
                self._total.update(piece)
                self._offset += len(piece)
                return len(piece)
            self._part, self._offset = self._part + 1, 0
        return 0


def _read(path: Path, offset: int) -> bytes:
    try:
        with opened(path) as window:
            return _piece(window.descriptor, offset, min(PIECE_BYTES, window.size - offset))
    except Malformed as error:
        raise ModelFileInvalid(path, str(error)) from error
    except OSError as error:
        raise ModelFileInvalid(path, fault(error)) from error


def _piece(descriptor: int, offset: int, count: int) -> bytes:
    """Read so much and nothing ahead of it; the page cache has afterwards what it had before."""
    if count <= 0 or not hasattr(os, "posix_fadvise"):
        return os.pread(descriptor, max(0, count), offset)
    os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_RANDOM)
    ends = (offset, offset + count - 1)
    others_want_it = all(_is_cached(descriptor, end) for end in ends)
    piece = os.pread(descriptor, count, offset)
    if not others_want_it:
        os.posix_fadvise(descriptor, offset, count, os.POSIX_FADV_DONTNEED)
    return piece


def _is_cached(descriptor: int, offset: int) -> bool:
    """Tell whether the page cache has a byte; a look at more would have the kernel fetch it."""
    if _ONLY_CACHED is None:
        return False
    try:
        return os.preadv(descriptor, [bytearray(1)], offset, _ONLY_CACHED) == 1
    except OSError:  # it has not, or the file system can not tell
        return False
