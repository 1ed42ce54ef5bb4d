"""The kernel's sensors asked again and again: files stay open, and each is read at its own pace."""

import time
from collections.abc import Callable
from pathlib import Path
from threading import Lock

from attrs import define, evolve, field

from . import linux
from .meter import Meter
from .nodes import KeptNodes
from .values import Device, Reading, together

SLOW_S = 0.95
"""How long temperatures and the like hold: asking for one may take a millisecond on a board."""

SEARCH_S = 60.0
"""How long it holds where the sensors are: drivers may come and go."""


@define(eq=False)
class Kernel:
    """What of /proc and /sys changes fast. Of two threads one waits.

    Attributes:
        root: Where the file system of the machine begins.
        clock: Tells seconds that never go back.
    """

    root: Path = Path("/")
    clock: Callable[[], float] = time.perf_counter
    _nodes: KeptNodes = field(factory=KeptNodes, init=False)
    _lock: Lock = field(factory=Lock, init=False)
    _meter: Meter = field(init=False)
    _where: linux.Places | None = field(default=None, init=False)
    _searched_at: float = field(default=float("-inf"), init=False)
    _slow: Reading = field(factory=Reading, init=False)
    _slow_at: float = field(default=float("-inf"), init=False)

    def __attrs_post_init__(self) -> None:
        self._meter = Meter(self.root, self._nodes, self.clock)

    def read(self) -> Reading:
        """Return what it says now."""
        with self._lock:
            now = self.clock()
            where = self._places(now)
            quick = linux.quick(self.root, where, self._nodes)
            if now - self._slow_at >= SLOW_S:
                self._slow = linux.slow(self.root, where, self._nodes)
                self._slow_at = now
            return with_meter(together(quick, self._slow), self._meter.read())

    def close(self) -> None:
        """Let go of the files."""
        with self._lock:
            self._nodes.close()

    def _places(self, now: float) -> linux.Places:
        if self._where is None or now - self._searched_at >= SEARCH_S:
            found = linux.places(self.root)
            if found != self._where:
                self._nodes.close()
                self._where = found
            self._searched_at = now
        return self._where


def with_meter(reading: Reading, metered: Device) -> Reading:
    """Return *reading* with what only two readings tell."""
    device = reading.device
    rails_w = {**device.rails_w, **metered.rails_w}
    more = evolve(device, rails_w=rails_w, cpu_load_ratio=metered.cpu_load_ratio)
    return evolve(reading, device=more)
