"""Which machine it is, so that figures of one are not taken for those of another."""

import os
import platform
import re
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from .figures import name
from .nodes import Nodes
from .values import Device, Gpu, Machine

NODES = Nodes()

MODEL = re.compile(r"^model name[ \t]*:[ \t]*(.+)$", re.MULTILINE)
CORE = re.compile(r"^processor[ \t]*:", re.MULTILINE)
PART = re.compile(r"^CPU (?:implementer|part)[ \t]*:[ \t]*(0x[0-9a-f]{1,4})$", re.MULTILINE)
"""What ARM writes instead of a name."""

CONTAINERS = (("kubepods", "kubernetes"), ("docker", "docker"), ("libpod", "podman"))
"""What stands in the paths of control groups, and which container that is; inner ones first."""


def fingerprint(
    machine: Machine, root: Path = Path("/"), environ: Mapping[str, str] | None = None
) -> Mapping[str, Any]:
    """Return what *machine* is, in plain JSON values: hardware, settings, versions.

    There is neither a name of the machine nor one of a user in it. What is not known is None.

    Args:
        machine: What the sensors say of it.
        root: Where its file system begins.
        environ: Environment variables; those of this process when None.
    """
    device, gpu = machine.device or Device(), machine.gpu or Gpu()
    info = NODES.text(root / "proc/cpuinfo")
    return {
        "board": device.board,
        "jetpack": device.jetpack,
        "power_mode": device.power_mode,
        "jetson_clocks": device.jetson_clocks,
        "cpu": _cpu(root, info),
        "cores": len(CORE.findall(info)) or None,
        "cpu_frequency_max_hz": device.cpu_frequency_max_hz,
        "memory_total_bytes": machine.memory.total_bytes,
        "swap_total_bytes": machine.memory.swap_total_bytes,
        "unified_memory": machine.memory.unified,
        "gpu": gpu.name,
        "gpu_memory_total_bytes": gpu.memory_total_bytes,
        "gpu_frequency_max_hz": gpu.frequency_max_hz,
        "driver": gpu.driver,
        "cuda": gpu.cuda,
        "kernel": name(NODES.text(root / "proc/sys/kernel/osrelease")),
        "architecture": platform.machine() or None,
        "python": platform.python_version(),
        "container": container(root, os.environ if environ is None else environ),
        "orac": _version(),
    }


def container(root: Path, environ: Mapping[str, str]) -> str | None:
    """Return in which container this process runs, as it says itself; None when in none."""
    if "KUBERNETES_SERVICE_HOST" in environ:
        return "kubernetes"
    groups = NODES.text(root / "proc/1/cgroup") + NODES.text(root / "proc/self/cgroup")
    for trace, kind in CONTAINERS:
        if trace in groups:
            return kind
    if (root / "run/.containerenv").exists():
        return "podman"
    return "docker" if (root / ".dockerenv").exists() else name(environ.get("container"))


def _cpu(root: Path, info: str) -> str | None:
    found = MODEL.search(info)
    if found:
        return name(found[1])
    # "arm,cortex-a78", then what it is compatible with.
    core = name(NODES.text(root / "proc/device-tree/cpus/cpu@0/compatible").partition("\0")[0])
    return core or name(" ".join(PART.findall(info)[:2]))


def _version() -> str | None:
    try:
        return version("orac")
    except PackageNotFoundError:
        return None
