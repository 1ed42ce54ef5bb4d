"""The bytes of a file: hashed at the speed of the processor, or read piece by piece.

Neither holds more than one piece, and neither keeps the event loop waiting.
"""

import asyncio
import hashlib
import os
from collections.abc import AsyncGenerator, Callable
from pathlib import Path

from attrs import define, field

from orac_core import ModelFileInvalid

_HASHED = 1 << 20
_SENT = 1 << 20


@define(eq=False)
class Hashing:
    """The sha256 of one file, and how far that is.

    Attributes:
        path: The file.
        completed: Bytes that are done.
    """

    path: Path
    completed: int = field(default=0, init=False)
    _stopped: bool = field(default=False, init=False)

    async def digest(self) -> str:
        """Return the hash in hexadecimal digits; being cancelled stops it after a piece.

        Raises:
            ModelFileInvalid: when the file can not be read.
        """
        try:
            return await asyncio.to_thread(self._run)
        except OSError as error:
            raise ModelFileInvalid(self.path, f"cannot be read: {error.strerror}") from error
        finally:
            self._stopped = True

    def _run(self) -> str:
        total, buffer = hashlib.sha256(), bytearray(_HASHED)
        view = memoryview(buffer)
        with self.path.open("rb", buffering=0) as file:
            while not self._stopped and (count := file.readinto(buffer)):
                total.update(view[:count])
                self.completed += count
        return total.hexdigest()


@define(eq=False)
class Sending:
    """A file on its way to a server.

    Attributes:
        path: The file.
        on_piece: Called whenever the network has taken one.
        completed: Bytes that were handed to the network.
    """

    path: Path
    on_piece: Callable[[], None] = lambda: None
    completed: int = field(default=0, init=False)

    async def pieces(self) -> AsyncGenerator[bytes, None]:
        """Yield the file piece by piece.

        Raises:
            ModelFileInvalid: when it can not be read.
        """
        while piece := await asyncio.to_thread(self._piece, self.completed):
            yield piece
            self.completed += len(piece)
            self.on_piece()

    def _piece(self, offset: int) -> bytes:
        """Read one piece; it opens the file itself, as nobody waits for it when it is given up."""
        try:
            descriptor = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
            try:
                return os.pread(descriptor, _SENT, offset)
            finally:
                os.close(descriptor)
        except OSError as error:
            raise ModelFileInvalid(self.path, f"cannot be read: {error.strerror}") from error


def let_go(path: Path) -> None:
    """Tell the kernel that the file need not stay in the page cache.

    On a board whose memory is shared, an engine may count that cache as memory in use.
    """
    if not hasattr(os, "posix_fadvise"):
        return
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return
    try:
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
    finally:
        os.close(descriptor)
