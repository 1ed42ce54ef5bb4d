"""The file that a download fills: ``NAME.part`` beside where it will be. It blocks.

It is locked while somebody fills it, hashed while it is written, and takes its name in one step
when it is whole. Beside it lies what is known of it, so that another process can go on.
"""

import errno
import fcntl
import hashlib
import json
import os
import shutil
import stat
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

from attrs import asdict, define, field

from orac_core import BackendError

from ._download_part import Record, Version, usable

_READ = 1 << 20
_SYNC = 32 << 20
_MARGIN = 64 << 20
_MIB = 1 << 20
_MOST_RECORD = 1 << 16
_FLAGS = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
_BOOT = Path("/proc/sys/kernel/random/boot_id")
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})


class Taken(Exception):
    """Another download fills the file at this moment."""


@define(eq=False)
class PartFile:
    """A file that is being filled. Make one with `open`.

    Attributes:
        target: Where it will be when it is whole.
        source: Hash of where it comes from.
        algorithm: What it is hashed by.
        size: Bytes that are there and hashed.
        version: Of what is there; None when nothing is known of it.
        read: Bytes of an earlier attempt that were hashed so far.
    """

    target: Path
    source: str
    algorithm: str
    _descriptor: int
    size: int = field(default=0, init=False)
    version: Version | None = field(default=None, init=False)
    read: int = field(default=0, init=False)
    _hash: Any = field(init=False)
    _boot: str = field(init=False)
    _synced: int = field(default=0, init=False)
    _stopped: bool = field(default=False, init=False)

    def __attrs_post_init__(self) -> None:
        self._hash = hashlib.new(self.algorithm, usedforsecurity=False)
        self._boot = _boot()

    @classmethod
    def open(cls, target: Path, source: str, algorithm: str) -> Self:
        """Open the file for one who fills it.

        Raises:
            Taken: Another does.
            BackendError: It can not be written.
        """
        path = part_of(target)
        try:
            descriptor = os.open(path, _FLAGS, 0o644)
        except OSError as error:
            raise unwritable(path, error) from error
        try:
            _lock(descriptor, path)
        except BaseException:
            os.close(descriptor)
            raise
        return cls(target, source, algorithm, descriptor)

    @property
    def path(self) -> Path:
        """Where it is until it is whole."""
        return part_of(self.target)

    def resume(self) -> None:
        """Hash what can be continued, and cut off the rest."""
        record = recorded(beside(self.path))
        there = os.fstat(self._descriptor).st_size
        there = usable(record, self.source, there, self._boot)
        os.ftruncate(self._descriptor, there)
        self.version = record.version if record and there else None
        buffer = bytearray(_READ)
        while self.read < there and not self._stopped:
            count = os.preadv(self._descriptor, [buffer], self.read)
            if not count:
                break
            self._hash.update(memoryview(buffer)[:count])
            self.read += count
        self.size = self._synced = self.read

    def stop(self) -> None:
        """End `resume` after the piece that it is at; any thread may call this."""
        self._stopped = True

    def restart(self, version: Version | None = None) -> None:
        """Forget what is there, and take note of the version that comes instead.

        Raises:
            BackendError: That can not be written.
        """
        with _writing(self.path):
            os.ftruncate(self._descriptor, 0)
            self.size = self._synced = 0
            self._hash = hashlib.new(self.algorithm, usedforsecurity=False)
            self.version = version
            self._note()

    def require_room(self) -> None:
        """Refuse before the work what would fail at its end.

        Raises:
            BackendError: The disk has too little room for the rest.
        """
        if self.version is None or self.version.total_bytes is None:
            return
        missing = self.version.total_bytes - self.size
        free = shutil.disk_usage(self.path.parent).free
        if missing + _MARGIN > free:
            raise BackendError(
                f"{self.target.name} needs {missing // _MIB} MiB more on the disk and "
                f"{_MARGIN // _MIB} MiB to spare, and {free // _MIB} MiB are free in "
                f"{self.path.parent}; free some, or name another folder in models.downloads"
            )

    def write(self, piece: bytes | bytearray) -> None:
        """Add a piece; now and then what is there is made sure of.

        Raises:
            BackendError: It can not be written; what is there stays.
        """
        with _writing(self.path):
            rest = memoryview(piece)
            while rest:
                count = os.pwrite(self._descriptor, rest, self.size)
                self._hash.update(rest[:count])
                self.size += count
                rest = rest[count:]
            if self.size - self._synced >= _SYNC:
                self._sync()

    def digest(self) -> str:
        """Return the hash of what is there, in hexadecimal digits."""
        return str(self._hash.hexdigest())

    def finish(self) -> None:
        """Give it its name, in the place of any file that has it, and keep where it came from.

        Raises:
            BackendError: That can not be written.
        """
        with _writing(self.path):
            self._sync()
            if self.version is not None:
                _replace(origin_of(self.target), self._record())
            self.path.replace(self.target)
            beside(self.path).unlink(missing_ok=True)
            _sync_folder(self.target.parent)

    def discard(self) -> None:
        """Remove it: what came is not what it should be."""
        with suppress(OSError):
            self.path.unlink()
        with suppress(OSError):
            beside(self.path).unlink()

    def close(self) -> None:
        """Let go of it; whoever comes next goes on with what is there, if anything is."""
        found = os.fstat(self._descriptor)
        if found.st_size == 0 and found.st_nlink:
            self.discard()
        os.close(self._descriptor)

    def _sync(self) -> None:
        os.fsync(self._descriptor)
        self._synced = self.size
        self._note()

    def _note(self) -> None:
        if self.version is not None:
            _replace(beside(self.path), self._record())

    def _record(self) -> dict[str, Any]:
        version = self.version or Version()
        return asdict(Record(self.source, version, self._synced, self._boot))


def part_of(target: Path) -> Path:
    """Return where a file is until it is whole."""
    return target.with_name(f"{target.name}.part")


def beside(path: Path) -> Path:
    """Return where it is kept what is known of a part."""
    return path.with_name(f"{path.name}.json")


def origin_of(target: Path) -> Path:
    """Return where it is kept from where a whole file came."""
    return target.with_name(f".{target.name}.source.json")


def recorded(path: Path) -> Record | None:
    """Return what is kept there; None for nothing that can be used."""
    with suppress(OSError, ValueError), path.open("rb") as opened:
        return Record.read(json.loads(opened.read(_MOST_RECORD)))
    return None


def unwritable(path: Path, error: OSError) -> BackendError:
    """Return what to say of a file that can not be written."""
    if error.errno in _FULL:
        return BackendError(
            f"the disk of {path.parent} is full; free some: what was fetched of {path.name} is "
            "kept, and the next attempt goes on from there"
        )
    why = error.strerror or str(error)
    return BackendError(
        f"{path} can not be written: {why}; see to it, or name another folder in models.downloads"
    )


def _lock(descriptor: int, path: Path) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        raise Taken from error
    mine = os.fstat(descriptor)
    if not stat.S_ISREG(mine.st_mode):
        raise BackendError(f"{path} is no regular file; remove it")
    with suppress(OSError):
        if os.path.samestat(mine, path.stat()):
            return
    raise Taken  # it has taken its name meanwhile


def _boot() -> str:
    try:
        return _BOOT.read_text().strip()
    except OSError:
        return ""


class _writing:  # noqa: N801 - read as a `with` statement
    """Makes a `BackendError` of what the system refuses within."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, OSError):
            raise unwritable(self._path, error) from error


def _replace(path: Path, told: dict[str, Any]) -> None:
    """Write the whole file or leave the old one."""
    descriptor, name = tempfile.mkstemp(".tmp", f".{path.name}.", path.parent)
    try:
        with os.fdopen(descriptor, "w") as opened:
            json.dump(told, opened)
            opened.flush()
            os.fsync(descriptor)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
