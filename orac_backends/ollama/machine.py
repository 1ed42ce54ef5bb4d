"""What ORAC sees of the machine that Ollama runs on, when that is its own."""

import asyncio
from collections.abc import Callable
from time import monotonic

from attrs import define, field

_GIVEN_BACK = 0.8
_WITHIN_S = 5.0
_SETTLED_S = 1.0
_PAUSE_S = 0.1
_NOISE = 64 << 20


def available_bytes() -> int:
    """Return the memory that could be had without swapping."""
    import psutil  # noqa: PLC0415 - only an unload needs it

    return int(psutil.virtual_memory().available)


@define(eq=False)
class Recovery:
    """Waiting for memory to come back after a model has gone.

    Ollama says that a model is gone before its runner is, and a model loaded too early finds too
    little memory and lands on the CPU. Ollama itself waits for 80 % of what it expects, up to 5 s
    (waitForVRAMRecovery in server/sched.go).

    Attributes:
        held: Memory that the model took, as Ollama counted it.
        available: Tells the memory that is available now.
    """

    held: int
    available: Callable[[], int] = available_bytes
    _before: int = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._before = self.available()

    async def wait(self) -> int:
        """Wait, within bounds; return how many bytes have come back.

        It also ends when nothing more comes: pages of a file that is mapped counted as available
        all the time.
        """
        ends_at = monotonic() + _WITHIN_S
        back, since = self._back(), monotonic()
        while not self.enough(back) and monotonic() < min(ends_at, since + _SETTLED_S):
            await asyncio.sleep(_PAUSE_S)
            now = self._back()
            if now - back > self.held // 100:
                back, since = now, monotonic()
        return back

    def enough(self, back: int) -> bool:
        """Whether *back* is as much as one may expect; a small model is lost in the noise."""
        return back >= _GIVEN_BACK * self.held or self.held < _NOISE

    def _back(self) -> int:
        return max(0, self.available() - self._before)
