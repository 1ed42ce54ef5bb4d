"""An event loop on virtual time: hours pass in milliseconds, and every run is the same."""

import asyncio
import gc
import inspect
import selectors
from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")

START_S = 1000.0
"""What the clock shows at first: not 0, which `asyncio.Timeout` users take for "at once"."""

TURNS = 100_000
"""Turns of the loop at one instant after which it is said to be busy for nothing."""


class Standstill(AssertionError):
    """Time can not go on; the text names every task and where it waits."""


class _Jumping(selectors.SelectSelector):
    """Lets time pass in place of waiting."""

    def __init__(self, wait: Callable[[float | None], None]) -> None:
        super().__init__()
        self._wait = wait

    def select(self, timeout=None):
        self._wait(timeout)
        return super().select(0)


class VirtualLoop(asyncio.SelectorEventLoop):
    """Jumps to the next timer whenever nothing is ready. What is meant for a thread runs inline.

    Sockets and pipes do not stop the clock, so what is tested has to do without them.

    Attributes:
        complaints: Errors that nobody took, and generators that nobody closed.
    """

    def __init__(self) -> None:
        self._now = START_S
        self._turns = 0
        self.complaints: list[str] = []
        super().__init__(_Jumping(self._pass))
        self.set_exception_handler(self._complain)

    def time(self) -> float:
        return self._now

    def run_in_executor(self, executor, func, *args):  # type: ignore[override]
        future = self.create_future()
        try:
            future.set_result(func(*args))
        except Exception as error:  # noqa: BLE001 - it reaches the one who waits
            future.set_exception(error)
        return future

    def _pass(self, seconds: float | None) -> None:
        if seconds is None:
            raise Standstill(f"nothing is ready and no timer is set\n{self._tasks()}")
        self._turns = 0 if seconds else self._turns + 1
        if self._turns > TURNS:
            raise Standstill(f"{TURNS} turns of the loop took no time\n{self._tasks()}")
        self._now += seconds

    def _tasks(self) -> str:
        tasks = sorted(asyncio.all_tasks(self), key=lambda task: task.get_name())
        return "\n".join(f"  {task.get_name()}: {waits_at(task)}" for task in tasks)

    def _complain(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        self.complaints.append(f"{context['message']}: {context.get('exception')!r}")

    def _asyncgen_finalizer_hook(self, agen) -> None:
        self.complaints.append(f"{agen.__qualname__} was thrown away without being closed")
        super()._asyncgen_finalizer_hook(agen)  # type: ignore[misc]


def run(make: Callable[[], Any]) -> Any:
    """Return the result of the coroutine that *make* returns, run on a loop of its own.

    Raises:
        Standstill: when all wait for each other, or somebody goes round in circles.
    """
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(make())


def running() -> VirtualLoop:
    """Return the loop that runs."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop)
    return loop


def waits_at(task: asyncio.Task) -> str:
    """Return where *task* waits: ``outer:12 > inner:34``, with lines of their files."""
    places, awaited = [], task.get_coro()
    while awaited is not None:
        if frame := _frame(awaited):
            places.append(f"{frame.f_code.co_qualname}:{frame.f_lineno}")
        awaited = _within(awaited)
    return " > ".join(places) or "not begun"


def _frame(awaited: Any) -> Any:
    names = ("cr_frame", "ag_frame", "gi_frame")
    return next((getattr(awaited, name) for name in names if hasattr(awaited, name)), None)


def _within(awaited: Any) -> Any:
    """Return what *awaited* itself waits for; what ``anext`` returns does not say it."""
    for name in ("cr_await", "ag_await", "gi_yieldfrom"):
        if hasattr(awaited, name):
            return getattr(awaited, name)
    if asyncio.isfuture(awaited):
        return None
    inside = gc.get_referents(awaited)
    return next((it for it in inside if inspect.isasyncgen(it) or inspect.iscoroutine(it)), None)
