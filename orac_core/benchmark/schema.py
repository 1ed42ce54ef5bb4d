"""The tables in which reports are kept, and how older ones become the present ones."""

import sqlite3

APPLICATION_ID = 0x4F524143
"""``ORAC``, in the file's header (SQLite's PRAGMA application_id)."""

MIGRATIONS = (
    """
    CREATE TABLE report (
        place INTEGER PRIMARY KEY AUTOINCREMENT,
        id TEXT NOT NULL UNIQUE,
        suite TEXT NOT NULL,
        started_at REAL NOT NULL,
        seconds REAL NOT NULL,
        ended TEXT NOT NULL,
        compressed INTEGER NOT NULL,
        bytes INTEGER NOT NULL,
        document BLOB NOT NULL
    ) STRICT;
    CREATE TABLE result (
        report INTEGER NOT NULL REFERENCES report (place) ON DELETE CASCADE,
        place INTEGER NOT NULL,
        model TEXT NOT NULL,
        sha256 TEXT,
        engine_version TEXT,
        workload TEXT,
        latency_s REAL,
        ttft_s REAL,
        decode_tokens_per_second REAL,
        score REAL,
        gross_j_per_token REAL,
        error TEXT,
        PRIMARY KEY (report, place)
    ) STRICT, WITHOUT ROWID;
    """,
)
"""Each brings the tables from the version before it, counted from 0, to the next."""


class Foreign(Exception):
    """The file is no history that this version can use; the text says why."""


def migrate(connection: sqlite3.Connection) -> None:
    """Bring the tables to the present version: all of the way, or not at all.

    Raises:
        Foreign: they are those of a newer version, or of another program.
        sqlite3.Error: it did not work.
    """
    if _version(connection) == len(MIGRATIONS):
        return
    connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
    connection.execute("BEGIN IMMEDIATE")
    try:
        # Another process may have been faster.
        for script in MIGRATIONS[_version(connection) :]:
            for statement in filter(str.strip, script.split(";")):
                connection.execute(statement)
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {len(MIGRATIONS)}")
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _version(connection: sqlite3.Connection) -> int:
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    (program,) = connection.execute("PRAGMA application_id").fetchone()
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    if tables and program != APPLICATION_ID:
        raise Foreign("it is a database of another program; move it elsewhere")
    if version > len(MIGRATIONS):
        raise Foreign(
            f"a newer ORAC wrote it (version {version}, and this one knows {len(MIGRATIONS)});"
            " update ORAC, or move the file elsewhere"
        )
    return int(version)
