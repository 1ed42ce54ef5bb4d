"""The folder that keeps what ORAC has learned over a restart: small JSON documents, one a file.

Nothing in it is needed: what is lost is measured or computed again. So nothing here raises, and
what does not work is said once and then goes without.
"""

import errno
import json
import logging
import os
import stat
import tempfile
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

from attrs import define, field

logger = logging.getLogger("orac.state")

VERSION = 1
"""Of the form of a document: ``{"version": 1, "value": …}``."""

MOST_BYTES = 2 << 20
"""A document that is larger is neither read nor written."""

_LONGEST_WRITE_S = 60.0
_ELSEWHERE = "or name another folder with ORAC_STATE_DIR"
_REMEDIES = {
    errno.ENOSPC: "the disk is full; free some",
    errno.EDQUOT: "the disk quota is used up; free some",
    errno.EROFS: f"it is on a read-only file system; mount it writable {_ELSEWHERE}",
    errno.EACCES: f"permission denied; give it to the user ORAC runs as {_ELSEWHERE}",
    errno.EPERM: f"permission denied; give it to the user ORAC runs as {_ELSEWHERE}",
    errno.ENOTDIR: f"it is no folder; remove what is there {_ELSEWHERE}",
    errno.EEXIST: f"it is no folder; remove what is there {_ELSEWHERE}",
}


class _Unusable(ValueError):
    """What was found can not be used; the text says why."""


@define(eq=False)
class StateDirectory:
    """Small JSON documents that survive a restart. Its methods block; any thread may call them.

    Attributes:
        path: The folder, made by the first write; None keeps nothing, without a complaint.
    """

    path: Path | None
    _problems: dict[str, str] = field(factory=dict, init=False)
    _turn: threading.Lock = field(factory=threading.Lock, init=False)

    @classmethod
    def of(cls, environ: Mapping[str, str]) -> Self:
        """Return the one that the environment names; one that keeps nothing when it names none.

        ``ORAC_STATE_DIR``, else the first of systemd's ``STATE_DIRECTORY``, else the folder
        ``orac`` of the XDG Base Directory Specification.
        """
        if named := environ.get("ORAC_STATE_DIR"):
            return cls(Path(named).absolute())
        if given := environ.get("STATE_DIRECTORY", "").partition(":")[0]:
            return cls(Path(given))
        chosen, home = environ.get("XDG_STATE_HOME", ""), environ.get("HOME")
        if Path(chosen).is_absolute():
            return cls(Path(chosen, "orac"))
        return cls(Path(home, ".local/state/orac") if home else None)

    @property
    def problem(self) -> str | None:
        """Why it can not be used, and what to do; None when the last attempt worked."""
        return next(iter(self._problems.values()), None)

    def read(self, name: str) -> Any | None:
        """Return what was last written under that name; None when there is nothing usable.

        A document that is damaged is put aside as ``NAME.broken``.
        """
        if self.path is None:
            return None
        file = self.path / f"{name}.json"
        with self._turn:
            try:
                value = _value(_contents(file))
            except FileNotFoundError:
                value = None
            except _Unusable as error:
                _put_aside(file, str(error))
                value = None
            except OSError as error:
                self._failed("read", error)
                return None
            self._problems.pop("read", None)
            return value

    def write(self, name: str, value: Any) -> None:
        """Keep *value*, all of it or, when that fails, what was there before."""
        if self.path is None:
            return
        with self._turn:
            try:
                document = _document(name, value)
                self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
                _replace(self.path / f"{name}.json", document)
            except (OSError, _Unusable) as error:
                self._failed("write", error)
            else:
                self._problems.clear()

    def _failed(self, operation: str, error: OSError | _Unusable) -> None:
        why = str(error) if isinstance(error, _Unusable) else remedy(error)
        problem = f"{self.path} can not be used: {why}"
        if not self._problems:
            logger.warning("%s; what ORAC learns is forgotten when it stops", problem)
        self._problems[operation] = problem


def remedy(error: OSError) -> str:
    """Return why the folder can not be used, and what to do."""
    known = _REMEDIES.get(error.errno or 0)
    return known or f"{error.strerror or error}; see to it {_ELSEWHERE}"


def _document(name: str, value: object) -> bytes:
    try:
        document = json.dumps({"version": VERSION, "value": value}).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise _Unusable(f"what {name} should hold is no JSON: {error}; report this") from error
    if len(document) > MOST_BYTES:
        raise _Unusable(
            f"what {name} should hold takes {len(document):,} bytes, and {MOST_BYTES:,} are the"
            " most; report this"
        )
    return document


def _value(document: bytes) -> object:
    if len(document) > MOST_BYTES:
        raise _Unusable(f"it is longer than {MOST_BYTES:,} bytes")
    try:
        found = json.loads(document)
    except (ValueError, RecursionError) as error:
        raise _Unusable(f"it is no JSON: {error}") from error
    match found:
        case {"version": int(version), "value": value} if version == VERSION:
            return value
        case {"version": int(version)}:
            raise _Unusable(f"it has version {version}, and this ORAC knows {VERSION}")
        case _:
            raise _Unusable("it has another shape")


def _contents(file: Path) -> bytes:
    require_ours(file.parent)
    # A named pipe that nobody writes to would block without O_NONBLOCK.
    descriptor = os.open(file, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as opened:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise _Unusable("it is no regular file")
        return opened.read(MOST_BYTES + 1)


def require_ours(folder: Path) -> None:
    """Refuse a folder in which another user can put what ORAC then believes.

    Raises:
        OSError: it is not there, is no folder, or others may write there; `remedy` tells more.
    """
    found = folder.stat()
    if not stat.S_ISDIR(found.st_mode):
        raise NotADirectoryError(errno.ENOTDIR, "it is no folder")
    if found.st_uid not in (0, os.geteuid()):
        raise PermissionError(errno.EPERM, "it belongs to another user")
    if found.st_mode & stat.S_IWOTH:
        raise OSError(None, "every user may write there; take that right away (chmod o-w)")


def _put_aside(file: Path, why: str) -> None:
    logger.warning("%s is put aside as %s.broken: %s", file, file.stem, why)
    with suppress(OSError):  # then it stays, and is met again
        file.replace(file.with_suffix(".broken"))


def _replace(file: Path, document: bytes) -> None:
    """Write the whole file or leave the old one; it is on the disk when this returns."""
    require_ours(file.parent)
    _remove_leftovers(file.parent)
    descriptor, name = tempfile.mkstemp(".tmp", f".{file.stem}.", file.parent)
    temporary = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as opened:
            opened.write(document)
            opened.flush()
            os.fsync(descriptor)
            temporary.replace(file)
    except BaseException:
        with suppress(OSError):
            temporary.unlink()
        raise
    _sync(file.parent)


def _remove_leftovers(folder: Path) -> None:
    """Remove what processes left behind that were killed while they wrote."""
    for path in folder.glob(".*.tmp"):
        with suppress(OSError):  # another process was faster
            if time.time() - path.stat().st_mtime > _LONGEST_WRITE_S:
                path.unlink()


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
