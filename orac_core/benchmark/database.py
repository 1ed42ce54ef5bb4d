"""One SQLite file that may be missing, damaged, full, read-only or somebody else's."""

import os
import sqlite3
import stat
from contextlib import suppress
from pathlib import Path

from attrs import define, field

from ..state_directory import remedy, require_ours
from .schema import Foreign, migrate

WAIT_S = 5.0
"""For another process that is writing."""

_LOG_BYTES = 4 << 20
_FULL, _READ_ONLY = "the disk is full; free some", "it can not be written; give it to the user"
_REMEDIES = {
    sqlite3.SQLITE_FULL: _FULL,
    sqlite3.SQLITE_READONLY: f"{_READ_ONLY} ORAC runs as, on a file system that is writable",
    sqlite3.SQLITE_CANTOPEN: f"{_READ_ONLY} ORAC runs as, on a file system that is writable",
    sqlite3.SQLITE_BUSY: "another process has been writing to it for long; try again",
    sqlite3.SQLITE_IOERR: "the disk fails, is full or a limit of file size is reached; see to it",
}
_DAMAGED = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
_PRIMARY = 0xFF


class Unusable(Exception):
    """The file can not be used; the text says why, and what to do."""


class Damaged(Unusable):
    """The file holds no database any more."""


@define(eq=False)
class Database:
    """The file of the history. Only one thread may use it.

    Attributes:
        path: The file; made by the first `connection`.
    """

    path: Path
    _connection: sqlite3.Connection | None = field(default=None, init=False)
    _opened: tuple[int, int] | None = field(default=None, init=False)

    def connection(self) -> sqlite3.Connection:
        """Return a connection to the present file, with the present tables.

        Raises:
            Unusable: there can be none.
        """
        try:
            return self._present()
        except OSError as error:
            raise Unusable(remedy(error)) from error
        except (sqlite3.Error, Foreign) as error:
            raise told(error) from error

    def exists(self) -> bool:
        """Whether there is a file, or something else in its place."""
        return os.path.lexists(self.path)

    def close(self) -> None:
        """Let go of the file."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(sqlite3.Error):  # what was written is on the disk already
                connection.close()

    def put_aside(self) -> Path:
        """Rename a damaged file, so that a new one takes its place; return its new name.

        Nothing is renamed when another process was faster.
        """
        damaged, opened = self.path.with_name(f"{self.path.name}.broken"), self._opened
        self.close()
        with suppress(OSError):
            if opened in (None, _identity(self.path)):
                for ending in ("-wal", "-shm"):
                    self.path.with_name(f"{self.path.name}{ending}").unlink(missing_ok=True)
                self.path.replace(damaged)
        return damaged

    def _present(self) -> sqlite3.Connection:
        """Return the connection, a new one when the file is no longer the one that was opened."""
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        require_ours(self.path.parent)
        with suppress(FileExistsError):
            flags = os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC
            os.close(os.open(self.path, flags, 0o600))
        found = _identity(self.path)
        if self._connection is None or found != self._opened:
            self.close()
            self._opened = found
            self._connection = _connected(self.path)
        return self._connection


def told(error: sqlite3.Error | Foreign) -> Unusable:
    """Return what to say of an error of SQLite."""
    if isinstance(error, Foreign):
        return Unusable(str(error))
    code = getattr(error, "sqlite_errorcode", 0) & _PRIMARY
    if code in _DAMAGED:
        return Damaged(f"it is damaged ({error})")
    return Unusable(_REMEDIES.get(code, f"{error}; report this"))


def _connected(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=WAIT_S, isolation_level=None)
    try:
        for pragma in ("trusted_schema = OFF", "foreign_keys = ON", "synchronous = FULL"):
            connection.execute(f"PRAGMA {pragma}")
        migrate(connection)
        connection.execute(f"PRAGMA journal_size_limit = {_LOG_BYTES}")
        _write_ahead(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def _write_ahead(connection: sqlite3.Connection) -> None:
    try:
        connection.execute("PRAGMA journal_mode = WAL")
    except sqlite3.OperationalError as error:
        # Another process may be about it, for all of them.
        if error.sqlite_errorcode & _PRIMARY != sqlite3.SQLITE_BUSY:
            raise


def _identity(path: Path) -> tuple[int, int]:
    """Return which file is there, one that SQLite may open without waiting for anybody.

    Raises:
        OSError: it is none.
    """
    found = path.lstat()
    if not stat.S_ISREG(found.st_mode):
        raise OSError(None, "it is no regular file; remove it")
    return found.st_dev, found.st_ino
