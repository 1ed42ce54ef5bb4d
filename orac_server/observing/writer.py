"""Writing lines without waiting: a log that nobody reads must not stop the service.

Lines go to a thread that writes those of 50 ms at once, so that a request costs no system call.
What is urgent is waited for, though not long, so that it stands there when the process dies next.
"""

import json
import os
import select
from collections import deque
from datetime import UTC, datetime
from io import UnsupportedOperation
from threading import Condition, Event, Thread
from typing import TextIO

from attrs import define, field

ROOM = 4096
"""Lines that wait to be written; more are lost, and counted."""

LINGER_S = 0.05
"""A line waits so long for others to be written with it."""

URGENT_S = 0.1
"""So long an urgent line is waited for; not at all while the one before is not written."""

LAST_WORDS_S = 1.0
"""Time that the last lines get when the process ends."""


@define(eq=False)
class Writer:
    """Writes lines in a thread of its own, which comes with the first line.

    It is a daemon: one that hangs in a full pipe does not keep the process from ending.

    Attributes:
        stream: Where to write; None where there is nothing, as with a closed stderr.
        room: Lines that may wait.
        linger_s: How long a line waits for others.
        lost: Lines that were lost since the start, because too many waited or they could not be
            written.
        problem: Why the last lines were lost; None when they were not.
    """

    stream: TextIO | None
    room: int = ROOM
    linger_s: float = LINGER_S
    lost: int = field(default=0, init=False)
    problem: str | None = field(default=None, init=False)
    _waiting: deque[str] = field(factory=deque, init=False)
    _overflowed: int = field(default=0, init=False)
    _news: Event = field(factory=Event, init=False)
    _hurry: Event = field(factory=Event, init=False)
    _rest: Condition = field(factory=Condition, init=False)
    _busy: bool = field(default=False, init=False)
    _stuck: bool = field(default=False, init=False)
    _thread: Thread | None = field(default=None, init=False)

    def put(self, line: str) -> None:
        """Have a line written; it never waits."""
        if len(self._waiting) >= self.room:
            self._overflowed += 1
            self.lost += 1
            return
        self._waiting.append(line)
        if not self._news.is_set():
            self._begin()

    def put_urgent(self, line: str) -> None:
        """Have a line written, and wait for that a moment."""
        self.put(line)
        if not self._stuck:
            self._stuck = not self.flush(URGENT_S)

    def give_up(self, error: BaseException | None, lines: int = 1) -> None:
        """Take note that lines are lost, and why."""
        self.lost += lines
        self.problem = f"a line of the log was lost: {error}; free some disk, or see to stderr"

    def flush(self, within_s: float = LAST_WORDS_S) -> bool:
        """Wait until everything is written or given up; return whether it is in time."""
        if self._thread is None:
            return True
        self._hurry.set()
        with self._rest:
            return self._rest.wait_for(lambda: not self._waiting and not self._busy, within_s)

    def _begin(self) -> None:
        self._news.set()
        if self._thread is None:
            self._thread = Thread(target=self._run, name="orac-log", daemon=True)
            self._thread.start()

    def _run(self) -> None:
        while True:
            self._news.wait()
            self._hurry.wait(self.linger_s)
            self._busy = True
            self._hurry.clear()
            self._news.clear()
            self._write_all()
            with self._rest:
                self._busy = self._stuck = False
                self._rest.notify_all()

    def _write_all(self) -> None:
        while self._waiting:
            lines = [self._waiting.popleft() for _ in range(len(self._waiting))]
            overflowed, self._overflowed = self._overflowed, 0
            if overflowed:
                lines.append(_confession(overflowed))
            self._write(lines)

    def _write(self, lines: list[str]) -> None:
        try:
            _written(self.stream, "".join(f"{line}\n" for line in lines))
            self.problem = None
        except Exception as error:  # noqa: BLE001 - to tell it in the log would fail again
            self.give_up(error, len(lines))


def _written(stream: TextIO | None, text: str) -> None:
    """Write *text*, past the buffer of *stream*: a thread that hangs must not hold its lock."""
    if stream is None:
        raise OSError("stderr is closed")
    try:
        number = stream.fileno()
    except (UnsupportedOperation, AttributeError):
        stream.write(text)
        stream.flush()
        return
    rest = text.encode(errors="backslashreplace")
    while rest:
        try:
            rest = rest[os.write(number, rest) :]
        except BlockingIOError:
            select.select((), (number,), ())


def _confession(lost: int) -> str:
    now = datetime.now(UTC).isoformat().replace("+00:00", "Z")
    told = {"lost": lost, "event": "lines of the log were lost: nobody read them in time"}
    return json.dumps({**told, "logger": "orac.log", "level": "warning", "timestamp": now})
