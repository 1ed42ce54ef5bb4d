"""Heat: thermal zones with the limits that the kernel keeps, and what cools by slowing down."""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from .figures import celsius, name
from .nodes import Nodes, entries, unlike
from .values import Limits

Zones = Mapping[str, Path]
"""The folder of each thermal zone, by the name of the zone."""

PASSIVE, CRITICAL = "passive", "critical"
"""Types of trip points: from the first on clocks are lowered, at the second the machine stops."""

THROTTLES = "-throttle-alert"
"""How a Jetson's cooling devices end that are active while clocks are lowered."""


def zones(root: Path, nodes: Nodes) -> Zones:
    """Return the thermal zones, each name once."""
    found: dict[str, Path] = {}
    for zone in entries(root / "sys/class/thermal", "thermal_zone"):
        kind = name(nodes.text(zone / "type"))
        if kind is not None:
            found[unlike({**found}, re.sub(r"[-_]therm(al)?$", "", kind))] = zone
    return found


def temperatures(zones: Zones, nodes: Nodes) -> dict[str, float | None]:
    """Return the degrees Celsius of each zone; None where its sensor is offline."""
    return {key: celsius(nodes.whole(zone / "temp"), 1000) for key, zone in zones.items()}


def limits(zones: Zones, nodes: Nodes) -> dict[str, Limits]:
    """Return the lowest trip points of each zone that has any."""
    found = {key: _limits(zone, nodes) for key, zone in zones.items()}
    return {key: each for key, each in found.items() if each != Limits()}


def alerts(root: Path, nodes: Nodes) -> tuple[Path, ...]:
    """Return the state of each of a Jetson's throttle alerts."""
    devices = entries(root / "sys/class/thermal", "cooling_device")
    found = (each for each in devices if nodes.text(each / "type").endswith(THROTTLES))
    return tuple(each / "cur_state" for each in found)


def throttling(alerts: Iterable[Path], nodes: Nodes) -> bool | None:
    """Whether any alert is active; None where there are none."""
    states = [state for each in alerts if (state := nodes.whole(each)) is not None]
    return any(state > 0 for state in states) if states else None


def _limits(zone: Path, nodes: Nodes) -> Limits:
    points: dict[str, list[float]] = {}
    for point in entries(zone, "trip_point_"):
        if point.name.endswith("_type"):
            path = point.with_name(point.name.removesuffix("type") + "temp")
            limit = celsius(nodes.whole(path), 1000)
            # What is not above freezing has never been set.
            if limit is not None and limit > 0:
                points.setdefault(nodes.text(point), []).append(limit)
    return Limits(
        min(points.get(PASSIVE, ()), default=None), min(points.get(CRITICAL, ()), default=None)
    )
