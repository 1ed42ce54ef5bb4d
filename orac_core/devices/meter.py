"""What only the difference of two readings tells: load of the CPU, and power from energy counters.

/proc/stat counts ticks since the machine started (proc(5)). RAPL counts microjoules for each
package of the CPU and begins anew at ``max_energy_range_uj``; many kernels let only root read it.
"""

import re
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from attrs import define, field, frozen

from .figures import MOST_WATTS, number
from .nodes import Nodes, entries
from .power import RAPL
from .values import Device

TICKS = re.compile(r"cpu ((?: [0-9]{1,18}){4,10})(?:\n|$)")
IDLE = slice(3, 5)
"""Of the ticks: idle, and waiting for a disk."""

OWN = slice(0, 8)
"""Guests' ticks, behind these, are in the others already."""

DOMAIN = re.compile(r"intel-rapl:[0-9]{1,3}")
"""A package; what is below it is a part of it. AMD's have this name as well."""

MICRO = 1_000_000

SHORTEST_S = 0.01
"""RAPL counts anew about every millisecond; a shorter span would show that more than the power."""


@frozen
class Domain:
    """An energy counter: its name, its file and where it begins anew."""

    name: str
    path: Path
    range_uj: int


@frozen
class Counts:
    """The counters at one moment; the ticks are those that the CPU worked, and all."""

    at: float
    ticks: tuple[int, int] | None
    energies: Mapping[str, int]


@define(eq=False)
class Meter:
    """Compares the counters with how they stood before. Not for two threads at a time.

    Attributes:
        root: Where the file system of the machine begins.
        nodes: Reads the files.
        clock: Tells seconds that never go back.
    """

    root: Path
    nodes: Nodes = field(factory=Nodes)
    clock: Callable[[], float] = time.perf_counter
    _domains: tuple[Domain, ...] | None = field(default=None, init=False)
    _last: Counts | None = field(default=None, init=False)
    _told: Device = field(factory=Device, init=False)

    def read(self) -> Device:
        """Return load and watts since the reading before; the first time nothing is known."""
        now = self.clock()
        if self._last is not None and now - self._last.at < SHORTEST_S:
            return self._told
        last, self._last = self._last, self._counts(now)
        self._told = Device() if last is None else self._since(last, self._last)
        return self._told

    def _counts(self, now: float) -> Counts:
        if self._domains is None:
            self._domains = domains(self.root, self.nodes)
        energies = ((each.name, self.nodes.whole(each.path)) for each in self._domains)
        known = {key: energy for key, energy in energies if energy is not None}
        return Counts(now, self._ticks(), known)

    def _ticks(self) -> tuple[int, int] | None:
        found = TICKS.match(self.nodes.text(self.root / "proc/stat"))
        if found is None:
            return None
        ticks = [int(each) for each in found[1].split()][OWN]
        return sum(ticks) - sum(ticks[IDLE]), sum(ticks)

    def _since(self, last: Counts, now: Counts) -> Device:
        seconds = now.at - last.at
        ranges = {each.name: each.range_uj for each in self._domains or ()}
        powers = {
            key: drawn(last.energies.get(key), energy, ranges[key], seconds)
            for key, energy in now.energies.items()
        }
        return Device(cpu_load_ratio=load(last.ticks, now.ticks), rails_w=powers)


def domains(root: Path, nodes: Nodes) -> tuple[Domain, ...]:
    """Return the energy counters of the packages, those that this user may read."""
    found: dict[str, Domain] = {}
    for folder in entries(root / "sys/class/powercap", "intel-rapl:"):
        own, path = nodes.text(folder / "name"), folder / "energy_uj"
        if not DOMAIN.fullmatch(folder.name) or not own.startswith("package"):
            continue
        if nodes.whole(path) is not None:
            key = RAPL + own.removeprefix("package").replace("-", " ")
            found[key] = Domain(key, path, nodes.whole(folder / "max_energy_range_uj") or 0)
    return tuple(found.values())


def drawn(before_uj: int | None, after_uj: int, range_uj: int, seconds: float) -> float | None:
    """Return the watts between two counts, of which the second may have begun anew once."""
    if before_uj is None or seconds <= 0:
        return None
    used = after_uj - before_uj
    if used < 0:
        used += range_uj
    return number(used / MICRO / seconds, 0, MOST_WATTS) or None


def load(last: tuple[int, int] | None, now: tuple[int, int] | None) -> float | None:
    """Return which share of the ticks between two counts the CPU worked."""
    if last is None or now is None or now[1] <= last[1]:
        return None
    return min(1.0, max(0.0, (now[0] - last[0]) / (now[1] - last[1])))
