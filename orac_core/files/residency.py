"""How much of a file the kernel keeps in its page cache, and asking it to keep nothing."""

import ctypes
import mmap
import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

WINDOW_BYTES = 1 << 30
"""Looked at in one go: 256 KiB of answers for it."""


def resident_ratio(paths: Sequence[Path]) -> float | None:
    """Return the share of the files that is in the page cache, 0 to 1, by mincore(2).

    None where that can not be told: no such file, an empty one, another system than Linux, or one
    that only tells the owner of a file.
    """
    try:
        counts = [_resident(path) for path in paths]
    except (OSError, ValueError, AttributeError):
        return None
    pages = sum(each for _, each in counts)
    return sum(there for there, _ in counts) / pages if pages else None


def give_back(paths: Sequence[Path]) -> None:
    """Ask the kernel to drop the files from its page cache, as posix_fadvise(2) does.

    It needs no rights. Pages that a program maps, and those not written yet, stay.
    """
    for path in paths:
        with suppress(OSError, AttributeError):
            descriptor = os.open(path, os.O_RDONLY)
            try:
                os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
            finally:
                os.close(descriptor)


def _resident(path: Path) -> tuple[int, int]:
    """Return how many pages of a file are in the cache, and of how many."""
    there = pages = 0
    with path.open("rb") as file:
        about = os.fstat(file.fileno())
        size = about.st_size
        if about.st_uid != os.geteuid() and not os.access(path, os.W_OK):
            raise PermissionError(path)  # to others the kernel says that all of it is there
        for start in range(0, size, WINDOW_BYTES):
            found = _window(file.fileno(), start, min(WINDOW_BYTES, size - start))
            there += sum(each & 1 for each in found)
            pages += len(found)
    return there, pages


def _window(descriptor: int, start: int, length: int) -> bytes:
    """Return a byte for each page of a part of a file, whose lowest bit tells."""
    flags = mmap.MAP_PRIVATE
    access = mmap.PROT_READ | mmap.PROT_WRITE  # ctypes takes the address of what may be written
    with mmap.mmap(descriptor, length, flags, access, offset=start) as view:
        first = ctypes.c_char.from_buffer(view)
        try:
            return _mincore(ctypes.addressof(first), length)
        finally:
            del first


def _mincore(address: int, length: int) -> bytes:
    pages = -(-length // mmap.PAGESIZE)
    found = (ctypes.c_ubyte * pages)()
    libc = ctypes.CDLL(None, use_errno=True)
    failed = libc.mincore(ctypes.c_void_p(address), ctypes.c_size_t(length), found)
    if failed:
        raise OSError(ctypes.get_errno(), "mincore")
    return bytes(found)
