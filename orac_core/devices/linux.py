"""What the kernel says in /proc and /sys. What is not there, or can not be true, is None."""

import re
from collections.abc import Mapping
from pathlib import Path

from attrs import evolve, frozen

from . import clocks, groups, power, thermal
from .figures import name, part
from .meminfo import meminfo, memory, swapping
from .nodes import Nodes
from .values import Device, Gpu, Memory, Reading, together

L4T = re.compile(r"R([0-9]{1,3}) \(release\), REVISION: ([0-9.]{1,9})")
POWER_MODE = re.compile(r"pmode:([0-9]{1,9})")
NAME_OF_MODE = re.compile(r"<\s*POWER_MODEL\s+ID=([0-9]{1,9})\s+NAME=(\w{1,99})")

NODES = Nodes()


@frozen
class Places:
    """Where this machine has its sensors; finding them takes longer than reading them."""

    zones: thermal.Zones
    alerts: tuple[Path, ...]
    rails: tuple[power.Rail, ...]
    events: Mapping[str, Path]
    gpu: Path | None
    policies: tuple[Path, ...]


def places(root: Path) -> Places:
    """Return the sensors that there are now."""
    return Places(
        thermal.zones(root, NODES),
        thermal.alerts(root, NODES),
        power.rails(root, NODES),
        power.counters(root),
        clocks.chip(root),
        clocks.policies(root),
    )


def fixed(root: Path = Path("/")) -> Reading:
    """Return what does not change while the machine runs."""
    tree = root / "proc/device-tree"
    jetson = "nvidia,tegra" in NODES.text(tree / "compatible") or bool(_l4t(root))
    return Reading(
        memory=Memory(unified=jetson or None),
        device=Device(board=name(NODES.text(tree / "model")), jetpack=_l4t(root)),
    )


def changing(root: Path = Path("/")) -> Reading:
    """Return what may be different at the next look."""
    where = places(root)
    rare = Reading(
        memory=Memory(limit_bytes=groups.limit(root), limit_available_bytes=groups.left(root)),
        gpu=clocks.gpu_itself(where.gpu, NODES),
        device=Device(
            power_mode=power_mode(root),
            temperature_limits=thermal.limits(where.zones, NODES),
        ),
    )
    whole = together(quick(root, where, NODES), slow(root, where, NODES), rare)
    return evolve(whole, memory=_limited(whole.memory))


def quick(root: Path, where: Places, nodes: Nodes) -> Reading:
    """Return what changes from one tenth of a second to the next."""
    info = meminfo(root, nodes)
    rails_w = power.measured(where.rails, nodes)
    whole = power.board(rails_w)
    return Reading(
        memory(info),
        clocks.gpu(where.gpu, info, nodes),
        Device(rails_w=rails_w, power_w=whole.watts if whole else None),
    )


def slow(root: Path, where: Places, nodes: Nodes) -> Reading:
    """Return what changes from one second to the next, or is dear to ask for."""
    device = evolve(
        clocks.cpu(where.policies, nodes),
        temperatures=thermal.temperatures(where.zones, nodes),
        throttling=thermal.throttling(where.alerts, nodes),
        over_current_events=power.events(where.events, nodes),
    )
    return Reading(swapping(root, nodes), Gpu(), device)


def power_mode(root: Path = Path("/")) -> str | None:
    """Return the name of the power mode that nvpmodel noted when it set it."""
    noted = POWER_MODE.search(NODES.text(root / "var/lib/nvpmodel/status"))
    if noted is None:
        return None
    mode = int(noted[1])
    names = NAME_OF_MODE.findall(NODES.text(root / "etc/nvpmodel.conf"))
    return next((each for number, each in names if int(number) == mode), f"mode {mode}")


def _limited(memory: Memory) -> Memory:
    """Return *memory* without a limit that is none: one above all that there is."""
    return evolve(
        memory,
        limit_bytes=part(memory.limit_bytes, memory.total_bytes),
        limit_available_bytes=part(memory.limit_available_bytes, memory.total_bytes),
    )


def _l4t(root: Path) -> str | None:
    text = NODES.text(root / "etc/nv_tegra_release")
    found = L4T.search(text)
    return f"L4T {found[1]}.{found[2]}" if found else name(text.partition("\n")[0])
