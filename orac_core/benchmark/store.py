"""Reports in the tables of a database: put in, looked up, listed, pruned."""

import logging
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import groupby
from typing import Any, TypeVar

from attrs import define, field, frozen

from ..errors import BenchmarkNotFound
from .database import Damaged, Database, Unusable, told
from .record import Record, Unreadable, pack, unpack
from .results import Report, Result

logger = logging.getLogger("orac.history")

MOST_REPORTS = 500
MOST_BYTES = 256 << 20
"""Of all reports that are kept, as they lie in the file."""

LATEST = "latest"

_T = TypeVar("_T")

_PUT_REPORT = (
    "INSERT OR REPLACE INTO report (id, suite, started_at, seconds, ended, compressed, bytes,"
    " document) VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
)
_PUT_RESULT = "INSERT INTO result VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
_NEWEST = "SELECT id FROM report ORDER BY place DESC LIMIT 1 OFFSET ?"
_BEGINNING = "SELECT id FROM report WHERE id = ?1 OR substr(id, 1, length(?1)) = ?1 ORDER BY id"
_DOCUMENT = "SELECT document, compressed FROM report WHERE id = ?"
_OLD = (
    "SELECT place FROM (SELECT place, row_number() OVER newest AS nth, sum(bytes) OVER newest"
    " AS total FROM report WINDOW newest AS (ORDER BY place DESC))"
    " WHERE nth > 1 AND (nth > ? OR total > ?)"
)
_LIST = """
    SELECT id, suite, started_at, seconds, ended, result.*
    FROM (SELECT place, id, suite, started_at, seconds, ended FROM report
        WHERE (?1 IS NULL OR place < (SELECT place FROM report WHERE id = ?1))
        AND (?2 IS NULL OR EXISTS (SELECT 1 FROM result WHERE result.report = report.place
            AND (model = ?2 OR substr(model, instr(model, '/') + 1) = ?2 OR sha256 = ?2)))
        ORDER BY place DESC LIMIT ?3) AS shown
    LEFT JOIN result ON result.report = shown.place
    ORDER BY shown.place DESC, result.place
"""


@frozen
class Line:
    """What one model of a benchmark came to, in short: the medians of its first workload.

    Attributes:
        model: ``instance/model``.
        sha256: Checksum of its file.
        engine_version: Version of its engine.
        workload: Name of the workload.
        latency_s: From request to end.
        ttft_s: To the first token.
        decode_tokens_per_second: By the engine.
        score: Quality, 0 to 100.
        gross_j_per_token: Energy.
        error: Why it could not be measured.
    """

    model: str
    sha256: str | None = None
    engine_version: str | None = None
    workload: str | None = None
    latency_s: float | None = None
    ttft_s: float | None = None
    decode_tokens_per_second: float | None = None
    score: float | None = None
    gross_j_per_token: float | None = None
    error: str | None = None


@frozen
class Entry:
    """A benchmark in a listing.

    Attributes:
        id: Of its report.
        suite: What was run.
        started_at: Seconds since 1970.
        seconds: How long it took.
        ended: How it ended.
        lines: One for each model, in the report's order.
    """

    id: str
    suite: str
    started_at: float
    seconds: float
    ended: str
    lines: tuple[Line, ...] = ()


@define(eq=False)
class Store:
    """Reports in one file. Its methods block, and only one thread may call them.

    What can not be kept or read is said once, and then goes without.

    Attributes:
        database: The file; None keeps nothing, without a complaint.
        most_reports: How many are kept.
        most_bytes: What they may take together; the newest is kept in any case.
        problem: Why it can not be used, and what to do; None when the last attempt worked.
    """

    database: Database | None
    most_reports: int = MOST_REPORTS
    most_bytes: int = MOST_BYTES
    problem: str | None = field(default=None, init=False)

    def add(self, report: Report) -> bool:
        """Keep *report*, in place of one of the same id; return whether it is on the disk."""
        record = pack(report)

        def put(connection: sqlite3.Connection) -> bool:
            with _transaction(connection):
                _put(connection, report, record)
                self._drop_old(connection, self.most_reports)
            connection.execute("PRAGMA incremental_vacuum").fetchall()
            return True

        return self._attempt(put, otherwise=False)

    def get(self, name: str) -> Report:
        """Return a report by its id, the beginning of it, ``latest`` or ``latest~N``.

        Raises:
            BenchmarkNotFound: there is none, or more than one.
        """
        record = self._look(lambda connection: _record(connection, name), otherwise=None)
        if record is None:
            raise BenchmarkNotFound(name, self.problem or "none has been kept yet")
        try:
            return unpack(record)
        except Unreadable as error:
            raise BenchmarkNotFound(name, str(error)) from error

    def list(
        self, limit: int = 50, model: str | None = None, before: str | None = None
    ) -> tuple[Entry, ...]:
        """Return the newest ones, as `History.list` does; raises BenchmarkNotFound as that."""

        def entries(connection: sqlite3.Connection) -> tuple[Entry, ...]:
            start = None if before is None else _id(connection, before)
            asked = (start, model and _clean(model), max(0, limit))
            return tuple(_entries(connection.execute(_LIST, asked)))

        return self._look(entries, otherwise=())

    def prune(self, keep: int) -> int:
        """Forget all but the newest *keep*; return how many that were. The newest one stays."""

        def drop(connection: sqlite3.Connection) -> int:
            with _transaction(connection):
                count = self._drop_old(connection, keep)
            connection.execute("PRAGMA incremental_vacuum").fetchall()
            return count

        return self._look(drop, otherwise=0)

    def close(self) -> None:
        """Let go of the file."""
        if self.database is not None:
            self.database.close()

    def _drop_old(self, connection: sqlite3.Connection, keep: int) -> int:
        limits = (min(keep, self.most_reports), self.most_bytes)
        return connection.execute(f"DELETE FROM report WHERE place IN ({_OLD})", limits).rowcount  # noqa: S608 - no text of others

    def _look(self, action: Callable[[sqlite3.Connection], _T], *, otherwise: _T) -> _T:
        """Do as `_attempt`, and nothing where nothing has been kept yet."""
        if self.database is None or not self.database.exists():
            return otherwise
        return self._attempt(action, otherwise=otherwise)

    def _attempt(self, action: Callable[[sqlite3.Connection], _T], *, otherwise: _T) -> _T:
        """Return what *action* does, with a new file when the present one is damaged."""
        if self.database is None:
            return otherwise
        try:
            try:
                found = _done(self.database, action)
            except Damaged as error:
                aside = self.database.put_aside()
                logger.warning("%s is put aside as %s: %s", self.database.path, aside.name, error)
                found = _done(self.database, action)
        except Unusable as error:
            self._failed(self.database, error)
            return otherwise
        self.problem = None
        return found

    def _failed(self, database: Database, error: Unusable) -> None:
        first, self.problem = self.problem is None, f"{database.path} can not be used: {error}"
        if first:
            logger.warning("%s; benchmarks are not kept", self.problem)


def _done(database: Database, action: Callable[[sqlite3.Connection], _T]) -> _T:
    try:
        return action(database.connection())
    except sqlite3.Error as error:
        raise told(error) from error


@contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[None]:
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:  # a full disk ends it by itself
            connection.execute("ROLLBACK")
        raise


def _put(connection: sqlite3.Connection, report: Report, record: Record) -> None:
    row = (
        _clean(report.id),
        report.suite,
        report.started_at,
        report.seconds,
        _clean(report.ended),
        record.compressed,
        len(record.document),
        record.document,
    )
    place = connection.execute(_PUT_REPORT, row).lastrowid
    rows = [(place, nth, *_columns(result)) for nth, result in enumerate(report.results)]
    connection.executemany(_PUT_RESULT, rows)


def _columns(result: Result) -> tuple[Any, ...]:
    """Return a `Line` of a result, as a row."""
    subject, head = result.subject, result.headline
    texts = (subject.model, subject.sha256, subject.engine_version, head and head.workload.name)
    medians = (head.latency_s, head.ttft_s, head.decode_tokens_per_second) if head else (None,) * 3
    return (
        *(text and _clean(text) for text in texts),
        *(found and found.p50 for found in medians),
        result.quality and result.quality.score,
        head and head.energy and head.energy.gross_j_per_token,
        result.error and _clean(result.error),
    )


def _clean(text: str) -> str:
    """Return text that SQLite takes: half a surrogate pair is none."""
    return text.encode(errors="replace").decode()


def _record(connection: sqlite3.Connection, name: str) -> Record:
    row = connection.execute(_DOCUMENT, (_id(connection, name),)).fetchone()
    return Record(row[0], bool(row[1]))


def _id(connection: sqlite3.Connection, name: str) -> str:
    """Return the id that is meant.

    Raises:
        BenchmarkNotFound: none is, or more than one.
    """
    word, _, back = name.partition("~")
    if word == LATEST:
        return _newest(connection, name, back or "0")
    found = [row[0] for row in connection.execute(_BEGINNING, (_clean(name),))] if name else []
    if name in found or len(found) == 1:
        return name if name in found else str(found[0])
    if found:
        raise BenchmarkNotFound(name, f"{len(found)} begin like that; give more of the id")
    raise BenchmarkNotFound(name, "none that is kept begins like that; `latest` is the newest")


def _newest(connection: sqlite3.Connection, name: str, back: str) -> str:
    most = len(str(MOST_REPORTS)) + 1
    if not (back.isascii() and back.isdigit() and len(back) <= most):
        raise BenchmarkNotFound(name, "after latest~ comes how many to go back: latest~1")
    row = connection.execute(_NEWEST, (int(back),)).fetchone()
    if row is None:
        (count,) = connection.execute("SELECT count(*) FROM report").fetchone()
        raise BenchmarkNotFound(name, f"{count} are kept")
    return str(row[0])


def _entries(rows: sqlite3.Cursor) -> Iterator[Entry]:
    """Return entries from rows that have an entry's columns, then a line's."""
    for head, group in groupby(rows, key=lambda row: row[:5]):
        id_, suite, started_at, seconds, ended = head
        lines = tuple(Line(*row[7:]) for row in group if row[5] is not None)
        yield Entry(id_, suite, started_at, seconds, ended, lines)
