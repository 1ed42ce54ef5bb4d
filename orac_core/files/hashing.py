"""The bytes of a model's files, hashed at the speed of the processor. It blocks."""

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

from attrs import define, field

from ..errors import ModelFileInvalid
from .malformed import Malformed, fault
from .window import opened

_PIECE_BYTES = 1 << 20  # large enough that hashlib lets go of the interpreter's lock


@define(eq=False)
class Hashing:
    """The hash of files put together, and how far that is.

    Attributes:
        parts: The files, in order.
        algorithm: ``sha256``, ``sha1`` or ``md5``.
        completed: Bytes that are done.
    """

    parts: tuple[Path, ...]
    algorithm: str = "sha256"
    completed: int = field(default=0, init=False)
    _stopped: bool = field(default=False, init=False)

    def run(self) -> str | None:
        """Return the hash in hexadecimal digits; None when it was stopped.

        Raises:
            ModelFileInvalid: A file can not be read.
        """
        total, buffer = hashlib.new(self.algorithm, usedforsecurity=False), bytearray(_PIECE_BYTES)
        view = memoryview(buffer)
        for part in self.parts:
            for count in _counts(part, buffer):
                if self._stopped:
                    return None
                total.update(view[:count])
                self.completed += count
        return total.hexdigest()

    def stop(self) -> None:
        """End it after the piece that it is at; any thread may call this."""
        self._stopped = True


@define(eq=False)
class HashProgress:
    """How far the hashing is that somebody waits for, if there is any to do."""

    _hashing: Hashing | None = field(default=None, init=False)

    @property
    def completed(self) -> int:
        """Bytes that are done."""
        return self._hashing.completed if self._hashing else 0

    def follow(self, hashing: Hashing) -> None:
        """Tell of *hashing* from now on, which others may wait for too."""
        self._hashing = hashing


def _counts(part: Path, buffer: bytearray) -> Iterator[int]:
    """Fill *buffer* again and again, and yield how much of it is filled."""
    try:
        with opened(part) as window:
            while count := os.readv(window.descriptor, [buffer]):
                yield count
    except Malformed as error:
        raise ModelFileInvalid(part, str(error)) from error
    except OSError as error:
        raise ModelFileInvalid(part, fault(error)) from error
