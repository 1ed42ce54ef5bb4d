"""Reading a model's files before the engine does, so that progress is true and the start is fast.

The bytes go into the page cache of the kernel; nothing is kept here but one buffer.
"""

import asyncio
import os
from collections.abc import AsyncGenerator
from mmap import mmap
from pathlib import Path

from orac_core import LoadProgress, ModelFileInvalid

_CHUNK = 8 << 20
_MARGIN = 256 << 20


async def read_ahead(parts: tuple[Path, ...]) -> AsyncGenerator[LoadProgress, None]:
    """Read every file once and yield how far that is; closing it stops after the chunk at hand.

    Where the memory that is available could not hold them, they are not read: reading the end
    would drive the beginning out of the cache again.

    Raises:
        ModelFileInvalid: when a file can not be read.
    """
    total = await asyncio.to_thread(_total, parts)
    if await asyncio.to_thread(_available) < total + _MARGIN:
        yield LoadProgress("read", 0, total, "too little memory to read ahead; the engine reads")
        return
    completed = 0
    yield LoadProgress("read", completed, total)
    buffer = mmap(-1, _CHUNK)  # goes back to the system at once, which malloc would keep
    for path in parts:
        start = completed
        while count := await asyncio.to_thread(_read, path, completed - start, buffer):
            completed += count
            yield LoadProgress("read", min(completed, total), total)
    if completed < total:
        raise ModelFileInvalid(parts[-1], "it became shorter while it was read")


def _total(parts: tuple[Path, ...]) -> int:
    try:
        return sum(part.stat().st_size for part in parts)
    except OSError as error:
        raise ModelFileInvalid(parts[0], f"cannot be read: {error.strerror}") from error


def _available() -> int:
    import psutil  # noqa: PLC0415 - only a load needs it

    return int(psutil.virtual_memory().available)


def _read(path: Path, offset: int, buffer: mmap) -> int:
    """Read one chunk; it opens the file itself, as nobody waits for a thread that is given up."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            return os.preadv(descriptor, [buffer], offset)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise ModelFileInvalid(path, f"cannot be read: {error.strerror}") from error
