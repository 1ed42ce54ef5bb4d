"""The bytes of a file: validated, or sent piece by piece.

Neither holds more than one piece, and neither keeps the event loop waiting.
"""

import asyncio
import os
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from pathlib import Path
from typing import Self

from attrs import define, field

from orac_core import HashProgress, LoadProgress, ModelFile, ModelFileInvalid, ModelFiles

from ._work import followed

_SENT = 1 << 20


async def validated(files: ModelFiles, file: ModelFile) -> AsyncGenerator[LoadProgress, None]:
    """Validate a model's files; say so at once, and how far the reading is whenever it goes on.

    Raises:
        ModelFileInvalid: They can not be used.
    """
    reading, last = HashProgress(), None
    stages = followed(
        files.validate(file, progress=reading),
        lambda: LoadProgress("validate", reading.completed, file.size_bytes, "checking the file"),
    )
    async with aclosing(stages):
        async for progress in stages:
            if progress != last:
                yield progress
            last = progress


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
    _handed: int = field(default=0, init=False)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        """Return the next piece; to ask for it means that the one before is on its way.

        This is no generator: a client may still be reading when its request has failed, and a
        generator that runs can not be closed.

        Raises:
            ModelFileInvalid: when it can not be read.
        """
        if self._handed:
            self.completed += self._handed
            self.on_piece()
        piece = await asyncio.to_thread(self._piece, self.completed)
        self._handed = len(piece)
        if not piece:
            raise StopAsyncIteration
        return piece

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
