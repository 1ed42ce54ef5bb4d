"""The black box: the last minutes before something went wrong, in two files that take turns.

What is told as events is written as lines of JSON, a batch every few seconds. It survives the
death of the process; a loss of power takes what the kernel had not written yet. Nothing waits for
it: what can not be written is said once and goes without.
"""

import errno
import fcntl
import json
import logging
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import IO, Any, TypeVar

from attrs import define, field

from .events import NOTHING, Event, Events
from .state_directory import StateDirectory, require_ours

T = TypeVar("T")

logger = logging.getLogger("orac.blackbox")

KEPT_S = 600.0
"""What is younger is kept, as far as there is room for it."""

MOST_BYTES = 4 << 20
"""Size of both files together."""

PAUSE_S = 5.0
"""Between two batches."""

WAITING = 2048
"""Events that may wait for the next batch; of more, the oldest are lost."""

LONGEST_LINE = 16 * 1024

FIRST_LINES = 20
"""So many lines are searched for when a file began; a full disk may have cut the first."""

DUMPS = 5
"""Copies that are kept."""

DUMP_PAUSE_S = 60.0
"""Between two copies that were made because health changed, or at a start."""

PARTING_S = 2.0
"""Time that the last batch gets when ORAC stops."""

SEGMENTS = ("blackbox.0.jsonl", "blackbox.1.jsonl")
LOCK = "blackbox.lock"
CLOSED = b'"kind":"closed"'
SAFELY = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
DUMP_NAME = "blackbox-%Y%m%dT%H%M%SZ.jsonl"


@define(eq=False)
class BlackBox:
    """Writes down what happens. Make one with `recording`.

    Attributes:
        folder: Where the files are; made by the first batch.
        most_bytes: Size of both files together.
        kept_s: What is younger is kept.
        wall: Tells the time of day, in seconds since 1970.
        problem: Why the last batch was lost; None when it was not.
    """

    folder: Path
    most_bytes: int = MOST_BYTES
    kept_s: float = KEPT_S
    wall: Callable[[], float] = time.time
    problem: str | None = field(default=None, init=False)
    _waiting: deque[Event] = field(factory=lambda: deque(maxlen=WAITING), init=False)
    _status: str | None = field(default=None, init=False)
    _reasons: deque[str] = field(factory=lambda: deque(maxlen=1), init=False)
    _wanted: threading.Event = field(factory=threading.Event, init=False)
    _current: Path | None = field(default=None, init=False)
    _stopped: bool = field(default=False, init=False)
    _lock: int | None = field(default=None, init=False)
    _turn: threading.Lock = field(factory=threading.Lock, init=False)

    def put(self, event: Event) -> None:
        """Take an event; when it says that health became unhealthy, a copy is made soon."""
        self._waiting.append(event)
        if event.kind == "health":
            before, self._status = self._status, event.data.get("status")
            if self._status == "unhealthy" != before:
                self._reasons.append(f"unhealthy: {event.data.get('message')}")
                self._wanted.set()

    def run(self, pause_s: float = PAUSE_S) -> None:
        """Write a batch every so often, until `stop`; for a thread of its own."""
        with self._turn:
            self._guarded(self._look_back)
        while not self._stopped:
            self._wanted.wait(pause_s)
            self._wanted.clear()
            self.flush()
            self._dump_when_worse()
        self.close()

    def stop(self) -> None:
        """Let `run` write what waits, and return."""
        self._stopped = True
        self._wanted.set()

    def flush(self) -> None:
        """Write what waits."""
        with self._turn:
            self._guarded(self._flush)

    def close(self) -> None:
        """Write what waits, and that it ended in good order; let go of the files."""
        with self._turn:
            self._guarded(self._close)

    def dump(self, reason: str) -> Path | None:
        """Copy all that is there to a file of its own, and keep only the newest of these.

        Returns:
            The copy; None when it could not be made.
        """
        with self._turn:
            return self._guarded(lambda: self._dump(reason))

    def _guarded(self, work: Callable[[], T]) -> T | None:
        """Return what *work* does; when the folder can not be used, say so once."""
        try:
            self._own()
            result = work()
        except (OSError, ValueError, OverflowError) as error:
            why = getattr(error, "strerror", None) or error
            problem = f"the black box in {self.folder} can not be used: {why}; nothing waits for it"
            if problem != self.problem:
                logger.warning("%s", problem)
            self.problem = problem
            return None
        self.problem = None
        return result

    def _own(self) -> None:
        """Make sure that the folder is there, and no other process writes the same files."""
        if self._lock is not None:
            return
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        require_ours(self.folder)
        lock = os.open(self.folder / LOCK, os.O_RDWR | os.O_CREAT | SAFELY, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(lock)
            raise OSError(error.errno, "another process of ORAC uses it") from error
        self._lock = lock

    def _close(self) -> None:
        try:
            self._flush()
            _append(self._segment(), [line("closed", self.wall())])
        finally:
            if self._lock is not None:
                os.close(self._lock)
                self._lock = None

    def _look_back(self) -> None:
        """Copy what a process left behind that did not end in good order."""
        left = segments(self.folder)
        if left and CLOSED not in _last_line(left[-1]) and self._may_dump():
            self._dump("the process before this one was killed, or the machine stopped")

    def _dump_when_worse(self) -> None:
        while self._reasons:
            reason = self._reasons.popleft()
            if self._may_dump():
                self.dump(reason)

    def _may_dump(self) -> bool:
        now = self.wall()
        return all(abs(now - made.stat().st_mtime) >= DUMP_PAUSE_S for made in dumps(self.folder))

    def _flush(self) -> None:
        batch: list[bytes] = []
        file = self._segment()
        room = self.most_bytes // 2 - _size(file)
        while self._waiting:
            event = self._waiting.popleft()
            text = line(event.kind, event.at, event.data)
            if len(text) > room:
                _append(file, batch)
                batch, file = [], self._next(file)
                room = self.most_bytes // 2
            batch.append(text)
            room -= len(text)
        _append(file, batch)

    def _segment(self) -> Path:
        """Return the file to write to: the newer one, unless that began too long ago."""
        if self._current is None:
            found = segments(self.folder)
            self._current = found[-1] if found else self.folder / SEGMENTS[0]
        began = _began(self._current)
        if began is None or 0 <= self.wall() - began < self.kept_s:
            return self._current
        return self._next(self._current)

    def _next(self, file: Path) -> Path:
        self._current = self.folder / SEGMENTS[file.name == SEGMENTS[0]]
        self._current.unlink(missing_ok=True)
        return self._current

    def _dump(self, reason: str) -> Path:
        self._flush()
        at = self.wall()
        path = self.folder / datetime.fromtimestamp(at, UTC).strftime(DUMP_NAME)
        temporary = self.folder / f".{path.stem}.tmp"
        with _opened(temporary, "wb") as copy:
            copy.write(line("dump", at, {"reason": reason}))
            # Not by the time of their last change: the clock may have been set meanwhile.
            for segment in sorted(segments(self.folder), key=lambda path: path == self._current):
                copy.write(_whole(segment.read_bytes()))
        temporary.replace(path)
        os.utime(path, (at, at))
        for old in dumps(self.folder)[:-DUMPS]:
            old.unlink(missing_ok=True)
        return path


@contextmanager
def recording(
    events: Events, state: StateDirectory, pause_s: float = PAUSE_S
) -> Iterator[BlackBox | None]:
    """Write down all *events*, in a thread; None where there is no folder that keeps anything."""
    if state.path is None:
        yield None
        return
    box = BlackBox(state.path, wall=events.wall)
    writing = threading.Thread(target=box.run, args=(pause_s,), name="black box", daemon=True)
    writing.start()
    try:
        with events.listening(box.put):
            yield box
    finally:
        box.stop()
        writing.join(PARTING_S)


def segments(folder: Path) -> list[Path]:
    """Return the files that are written in turn, the newer one last."""
    found = [path for name in SEGMENTS if (path := folder / name).is_file()]
    return sorted(found, key=lambda path: path.stat().st_mtime_ns)


def dumps(folder: Path) -> list[Path]:
    """Return the copies, the newest last."""
    return sorted(folder.glob("blackbox-*.jsonl"))


def line(kind: str, at: float, data: Mapping[str, Any] = NOTHING) -> bytes:
    """Return an event as it is written: ``at`` in ISO 8601, ``kind``, and its data."""
    when = datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds")
    start = {"at": f"{when[:-6]}Z", "kind": kind}
    try:
        text = json.dumps(start | dict(data), separators=(",", ":"), allow_nan=False)
    except (TypeError, ValueError, RecursionError):
        text = ""
    if not 0 < len(text) < LONGEST_LINE:
        text = json.dumps(start | {"left_out": "too long, or no JSON"}, separators=(",", ":"))
    return text.encode() + b"\n"


def _opened(path: Path, mode: str) -> IO[bytes]:
    how = os.O_APPEND if mode == "ab" else os.O_TRUNC
    flags = os.O_WRONLY | os.O_CREAT | SAFELY | how
    return os.fdopen(os.open(path, flags, 0o600), mode, buffering=0)


def _append(file: Path, batch: list[bytes]) -> None:
    if not batch:
        return
    begun = b"" if _last_byte(file) in (b"", b"\n") else b"\n"
    data = begun + b"".join(batch)
    with _opened(file, "ab") as opened:
        if opened.write(data) != len(data):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _last_byte(file: Path) -> bytes:
    return _tail(file, 1)


def _last_line(file: Path) -> bytes:
    return _tail(file, LONGEST_LINE).rstrip(b"\n").rpartition(b"\n")[2]


def _tail(file: Path, size: int) -> bytes:
    try:
        with file.open("rb") as opened:
            opened.seek(max(0, os.fstat(opened.fileno()).st_size - size))
            return opened.read(size)
    except FileNotFoundError:
        return b""


def _whole(lines: bytes) -> bytes:
    """Return *lines* with an end to the last one, which may have been cut."""
    return lines if lines.endswith(b"\n") or not lines else lines + b"\n"


def _began(file: Path) -> float | None:
    """Return when the first whole line of *file* was written; None when none says so."""
    with suppress(FileNotFoundError), file.open("rb") as opened:
        for each in islice(opened, FIRST_LINES):
            with suppress(ValueError, KeyError, TypeError):
                return datetime.fromisoformat(json.loads(each)["at"]).timestamp()
    return None


def _size(file: Path) -> int:
    try:
        return file.stat().st_size
    except FileNotFoundError:
        return 0
