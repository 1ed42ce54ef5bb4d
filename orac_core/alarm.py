"""A limit of time for many short waits."""

import asyncio
from types import TracebackType
from typing import Self

from attrs import define, field


@define(eq=False)
class Alarm:
    """Limits one wait after another, as ``asyncio.timeout`` does one, with one timer for all.

    An answer waits for each of its tokens. A timer that is made and cancelled for each of them
    costs more than all else that is done with a token.

        with alarm.within(5.0):
            await something

    One wait at a time. Make one with an event loop running, and `close` it when there are no more.
    """

    # Asking which loop runs is a system call in Python 3.11, and it is asked for each token.
    _loop: asyncio.AbstractEventLoop = field(factory=asyncio.get_running_loop, init=False)
    _due: float = field(default=0.0, init=False)
    _rings_at: float = field(default=0.0, init=False)
    _timer: asyncio.TimerHandle | None = field(default=None, init=False)
    _task: "asyncio.Task[object] | None" = field(default=None, init=False)
    _cancelling: int = field(default=0, init=False)
    _rung: bool = field(default=False, init=False)

    def within(self, span_s: float) -> Self:
        """Let the wait that comes now, or is under way, take so long from now on."""
        return self.by(self._loop.time() + span_s)

    def by(self, at: float) -> Self:
        """Let the wait that comes now, or is under way, take until *at* by the loop's clock."""
        self._due = at
        if self._timer is None or at < self._rings_at:
            self._arm()
        return self

    def close(self) -> None:
        """Forget the timer."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def __enter__(self) -> Self:
        self._task = asyncio.current_task(self._loop)
        self._cancelling = self._task.cancelling() if self._task else 0
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Leave the wait.

        Raises:
            TimeoutError: when it took too long.
        """
        task, self._task = self._task, None
        if not self._rung or task is None:
            return
        self._rung = False
        if task.uncancel() <= self._cancelling and kind is asyncio.CancelledError:
            raise TimeoutError from error

    def _arm(self) -> None:
        self.close()
        self._rings_at = self._due
        self._timer = self._loop.call_at(self._due, self._ring)

    def _ring(self) -> None:
        """End the wait, unless its time is not over yet: the timer is set anew only here."""
        self._timer = None
        if self._task is None:
            return
        if self._loop.time() < self._due:
            self._arm()
        elif not self._rung:
            self._rung = True
            self._task.cancel()
