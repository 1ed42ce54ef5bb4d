"""How long a model stays loaded when nobody uses it."""

import asyncio
import math
import time
from collections.abc import Callable

from attrs import define, field


@define(eq=False)
class Lifetime:
    """The time that a loaded model has left.

    Attributes:
        expire: Called when the time is over.
        keep_s: Seconds it stays without being used, infinity for ever.
        wall: Tells the time of day, in seconds since 1970.
        used_at: When it was used last, by the clock of the event loop; None while it never was.
        pinned: Whether it is to stay whatever else needs the memory.
    """

    expire: Callable[[], None]
    keep_s: float = math.inf
    wall: Callable[[], float] = time.time
    used_at: float | None = field(default=None, init=False)
    pinned: bool = field(default=False, init=False)
    _timer: asyncio.TimerHandle | None = field(default=None, init=False)

    def renew(self) -> None:
        """Begin anew: it is being used, or has just been."""
        loop = asyncio.get_running_loop()
        self.used_at = loop.time()
        self.stop()
        if self.keep_s < math.inf:
            self._timer = loop.call_later(self.keep_s, self._over)

    def pin(self, usual_s: float, *, pinned: bool) -> None:
        """Let it last for ever from the next time on that it is renewed, or for *usual_s* again."""
        self.pinned = pinned
        self.keep_s = math.inf if pinned else usual_s

    def end(self) -> None:
        """End it: the model goes over to another state."""
        self.pinned = False
        self.stop()

    def stop(self) -> None:
        """Let it not end by itself: it is not loaded, or in use."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def idle_s(self) -> float:
        """Return the seconds since it was last used."""
        if self.used_at is None:
            return math.inf
        return asyncio.get_running_loop().time() - self.used_at

    @property
    def expires_at(self) -> float | None:
        """When it ends, in seconds since 1970; None when it does not."""
        if self._timer is None:
            return None
        left_s = self._timer.when() - asyncio.get_running_loop().time()
        return self.wall() + max(0.0, left_s)

    def _over(self) -> None:
        self._timer = None
        self.expire()
