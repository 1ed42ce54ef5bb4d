"""Power: rails that the board measures, energy counters, batteries; and which of them is best.

The INA3221 of a Jetson gives millivolts and milliamperes for each rail (hwmon's ``in*_input`` and
``curr*_input``), others microwatts (``power*_input``). Labels say which rail it is.
"""

import re
from collections.abc import Iterator, Mapping
from math import prod
from pathlib import Path

from attrs import frozen

from .figures import MOST_WATTS, name, number
from .nodes import Nodes, entries, unlike
from .values import Power

LABEL = re.compile(r"(in|power)([0-9]{1,2})_label")
INPUT = re.compile(r"power([0-9]{1,2})_input")
EVENTS = re.compile(r"oc[0-9]{1,2}_event_cnt")

NO_RAILS = frozenset({"NC", "sum of shunt voltages"})
"""Labels of what is not connected, and of the sum that an INA3221 makes by itself."""

NAMES = {"ina238": "VIN"}
"""Rails of monitors without labels: the carrier board of Thor measures its input with one."""

WHOLES = ("VDD_IN", "VIN", "POM_5V_IN")
"""Rails through which everything goes, the module's or the carrier board's; the best first."""

PARTS = re.compile(r"VIN_SYS_5V0|VDD_GPU|VDD_GPU_SOC|VDD_CPU_CV|VDD_CPU_SOC_MSS")
"""The inputs of an AGX module, which only together are the whole; others lie behind one of them."""

ENTRY = "VIN_SYS_5V0"
"""The one of them without which the others are no whole."""

RAPL, BATTERY = "RAPL package", "battery"
"""How the names of what these measure begin."""

NVML, JTOP = "NVML", "jtop"
"""The GPU by itself; and what jtop takes for the whole board where no rail is that."""

Powers = Mapping[str, float | None]
"""Watts by source."""

MICRO = 1_000_000
"""Microwatts in a watt; the product of millivolts and milliamperes is such, too."""

Labels = Mapping[tuple[str, str], str]
"""What stands on the labels of a monitor, by kind (``in``, ``power``) and number."""


@frozen
class Rail:
    """A rail that is measured.

    Attributes:
        name: As on its label: ``VDD_IN`` …
        paths: Files whose product is its power: voltage and current, or power alone.
        per_watt: How many of that product make one watt.
    """

    name: str
    paths: tuple[Path, ...]
    per_watt: int

    def watts(self, nodes: Nodes) -> float | None:
        """Return its power now; without a current, or turned off, it takes 0."""
        figures = [nodes.whole(path) for path in self.paths]
        known = [each for each in figures if each is not None and each >= 0]
        if len(known) < len(figures):
            return None
        return number(prod(known) / self.per_watt, 0, MOST_WATTS)


def rails(root: Path, nodes: Nodes) -> tuple[Rail, ...]:
    """Return the rails of all monitors and the batteries, each name once."""
    found: dict[str, Rail] = {}
    for each in (*_monitored(root, nodes), *_batteries(root, nodes)):
        key = unlike({**found}, each.name)
        found[key] = Rail(key, each.paths, each.per_watt)
    return tuple(found.values())


def measured(rails: tuple[Rail, ...], nodes: Nodes) -> dict[str, float | None]:
    """Return the power of each rail in watts; None where it can not be read now."""
    return {each.name: each.watts(nodes) for each in rails}


def counters(root: Path) -> dict[str, Path]:
    """Return the files that count over-current events, each by its name (``oc1`` …)."""
    found: dict[str, Path] = {}
    for monitor in entries(root / "sys/class/hwmon", "hwmon"):
        for path in entries(monitor, "oc"):
            if EVENTS.fullmatch(path.name):
                found[unlike({**found}, path.name.partition("_")[0])] = path
    return found


def events(counters: Mapping[str, Path], nodes: Nodes) -> dict[str, int]:
    """Return how often each kind of over-current happened since the machine started."""
    counts = ((key, nodes.whole(path)) for key, path in counters.items())
    return {key: count for key, count in counts if count is not None and count >= 0}


def merged(*said: Powers) -> dict[str, float | None]:
    """Return the watts of all sources; where several know one, what the last of them says."""
    found: dict[str, float | None] = {}
    for powers in said:
        known = {key: each for key, each in powers.items() if each is not None}
        found = {**powers, **found, **known}
    return found


def board(powers: Powers) -> Power | None:
    """Return the power of the whole board; None where nothing measures that."""
    for whole in WHOLES:
        if power_w := powers.get(whole):
            return Power(power_w, whole)
    return _sum_of(powers) or _alone(powers, JTOP)


def best(powers: Powers) -> Power | None:
    """Return the power that says most of the machine: board, GPU, CPU, battery, in this order."""
    return (
        board(powers) or _alone(powers, NVML) or _all_of(powers, RAPL) or _all_of(powers, BATTERY)
    )


def _alone(powers: Powers, source: str) -> Power | None:
    power_w = powers.get(source)
    return Power(power_w, source) if power_w else None


def _sum_of(powers: Powers) -> Power | None:
    parts = {key: each for key, each in powers.items() if PARTS.fullmatch(key)}
    known = [each for each in parts.values() if each is not None]
    if not parts.get(ENTRY) or len(known) < len(parts):
        return None
    return Power(sum(known), " + ".join(sorted(parts)))


def _all_of(powers: Powers, kind: str) -> Power | None:
    known = [each for key, each in powers.items() if key.startswith(kind) and each]
    return Power(sum(known), kind) if known else None


def _monitored(root: Path, nodes: Nodes) -> Iterator[Rail]:
    for monitor in entries(root / "sys/class/hwmon", "hwmon"):
        labels = _labels(monitor, nodes)
        yield from _of_currents(monitor, labels)
        yield from _of_powers(monitor, labels, nodes)


def _of_currents(monitor: Path, labels: Labels) -> Iterator[Rail]:
    for (kind, channel), label in labels.items():
        if kind == "in" and label not in NO_RAILS:
            paths = (monitor / f"in{channel}_input", monitor / f"curr{channel}_input")
            if all(path.exists() for path in paths):
                yield Rail(label, paths, MICRO)


def _of_powers(monitor: Path, labels: Labels, nodes: Nodes) -> Iterator[Rail]:
    for path in entries(monitor, "power"):
        if found := INPUT.fullmatch(path.name):
            chip = name(nodes.text(monitor / "name")) or monitor.name
            yield Rail(labels.get(("power", found[1]), NAMES.get(chip, chip)), (path,), MICRO)


def _labels(monitor: Path, nodes: Nodes) -> Labels:
    found = ((LABEL.fullmatch(each.name), each) for each in entries(monitor))
    labels = {(match[1], match[2]): name(nodes.text(each)) for match, each in found if match}
    return {key: label for key, label in labels.items() if label is not None}


def _batteries(root: Path, nodes: Nodes) -> Iterator[Rail]:
    """Yield what flows out of each battery that is being emptied."""
    for supply in entries(root / "sys/class/power_supply"):
        if nodes.text(supply / "type") != "Battery":
            continue
        if nodes.text(supply / "status") != "Discharging":
            continue
        key = f"{BATTERY} {supply.name}"
        if (supply / "power_now").exists():
            yield Rail(key, (supply / "power_now",), MICRO)
        elif (supply / "current_now").exists():
            paths = (supply / "voltage_now", supply / "current_now")
            yield Rail(key, paths, MICRO * MICRO)
