"""The folder for the workers' sockets: nobody else may look into it, and it goes with ORAC."""

import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_PREFIX = "orac-workers-"
_LONGEST_SOCKET_PATH = 100  # the kernel's limit is 107 bytes
_ROOM_FOR_NAME = 12
_BEING_MADE_S = 60.0  # another ORAC may have made its folder, and not locked it yet


@contextmanager
def socket_folder() -> Iterator[Path]:
    """Yield a new folder of mode 0700, removed on leaving.

    Folders of an ORAC that was killed are cleared away: nobody holds a lock on them any more.
    """
    parent = _parent()
    _clear_abandoned(parent)
    folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=parent))
    lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)


def _parent() -> Path:
    """Return where to make it: the user's own runtime folder, if its path is short enough."""
    for name in (os.environ.get("XDG_RUNTIME_DIR"), tempfile.gettempdir()):
        if name and Path(name).is_dir() and os.access(name, os.W_OK | os.X_OK) and _short(name):
            return Path(name)
    return Path("/tmp")  # noqa: S108 - the folder in it is made with mode 0700 and a random name


def _short(parent: str) -> bool:
    length = len(os.fsencode(parent)) + len(_PREFIX) + 2 * _ROOM_FOR_NAME
    return length < _LONGEST_SOCKET_PATH


def _clear_abandoned(parent: Path) -> None:
    for folder in parent.glob(f"{_PREFIX}*"):
        # Another user's folder cannot be opened, one in use cannot be locked: both stay.
        with suppress(OSError):
            _clear(folder)


def _clear(folder: Path) -> None:
    if time.time() - folder.lstat().st_mtime < _BEING_MADE_S:
        return
    lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(folder, ignore_errors=True)
    finally:
        os.close(lock)
