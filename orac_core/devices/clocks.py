"""Clocks and load of the GPU in the chip (devfreq) and of the CPU (cpufreq)."""

import re
from pathlib import Path

from .figures import hertz, name, part, ratio
from .nodes import Nodes, entries
from .values import Device, Gpu

KHZ = 1000

GPU = re.compile(r"gpu-gpc-0|[0-9a-f]+\.(gpu|gm20b|gp10b|gv11b|ga10b|gb10b)")
"""Names in /sys/class/devfreq: of Thor, and of the boards from Nano to Orin."""


def chip(root: Path) -> Path | None:
    """Return the folder of devfreq for the GPU; None where there is none."""
    found = (each for each in entries(root / "sys/class/devfreq") if GPU.fullmatch(each.name))
    return next(found, None)


def gpu(folder: Path | None, info: dict[str, int], nodes: Nodes) -> Gpu:
    """Return what devfreq says now of a GPU, and what of the memory in *info* it has."""
    used = part(info.get("NvMapMemUsed"), info.get("MemTotal"))
    if folder is None:
        return Gpu(memory_used_bytes=used)
    return Gpu(
        memory_used_bytes=used,
        load_ratio=ratio(nodes.whole(folder / "device/load"), 1000),
        frequency_hz=hertz(nodes.whole(folder / "cur_freq")),
    )


def gpu_itself(folder: Path | None, nodes: Nodes) -> Gpu:
    """Return what of a GPU hardly ever changes; the highest clock is that of the power mode."""
    if folder is None:
        return Gpu()
    return Gpu(
        name=name(nodes.text(folder / "device/of_node/name")) or name(folder.name),
        frequency_max_hz=hertz(nodes.whole(folder / "max_freq")),
    )


def policies(root: Path) -> tuple[Path, ...]:
    """Return the folders of cpufreq, one for each group of cores that share a clock."""
    return tuple(entries(root / "sys/devices/system/cpu/cpufreq", "policy"))


def cpu(policies: tuple[Path, ...], nodes: Nodes) -> Device:
    """Return the highest clock of all cores, now and at most."""
    now = [_clock(each, nodes) for each in policies]
    most = [hertz(nodes.whole(each / "cpuinfo_max_freq"), KHZ) for each in policies]
    return Device(
        cpu_frequency_hz=max((each for each in now if each), default=None),
        cpu_frequency_max_hz=max((each for each in most if each), default=None),
    )


def _clock(policy: Path, nodes: Nodes) -> int | None:
    # The first is what the hardware does, for root only; the second may be what was asked for.
    said = hertz(nodes.whole(policy / "cpuinfo_cur_freq"), KHZ)
    return said or hertz(nodes.whole(policy / "scaling_cur_freq"), KHZ)
