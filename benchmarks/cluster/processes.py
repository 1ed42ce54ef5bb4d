"""The processes of Ray that a benchmark has started: which is which, what they hold and use."""

from collections import defaultdict
from collections.abc import Mapping

import psutil

MIB = 1 << 20
NAMES = {
    "_tether.py": "keepers",
    "_keeper.py": "keepers",
    "orac_backends._ray": "bridge",
    "orac_backends": "worker of llama.cpp",
    "ray::ServeReplica": "replica",
    "ray::ServeController": "Serve's controller",
    "ray::IDLE": "Ray's spare worker",
    "gcs_server": "Ray's gcs_server",
    "raylet/raylet": "Ray's raylet",
    "ray::DashboardAgent": "Ray's agents",
    "ray::RuntimeEnvAgent": "Ray's agents",
    "dashboard": "Ray's dashboard",
    "log_monitor": "Ray's log monitor",
    "autoscaler": "Ray's monitor",
}
"""What a command line that holds one of these is, the first that fits."""

Table = dict[str, list[psutil.Process]]


def below(pid: int) -> Table:
    """Return the processes that one has started, by what they are."""
    found: Table = defaultdict(list)
    for process in psutil.Process(pid).children(recursive=True):
        try:
            found[_name(process)].append(process)
        except psutil.Error:
            continue
    return found


def memory_mib(table: Table) -> dict[str, list[float]]:
    """Return what each process holds for itself alone, in MiB."""
    return {
        name: [round(each.memory_full_info().uss / MIB, 1) for each in some]
        for name, some in table.items()
    }


def used_s(table: Table) -> dict[str, float]:
    """Return the CPU time of the processes of each name, in seconds."""
    return {name: sum(map(cpu_s, some)) for name, some in table.items()}


def cpu_s(process: psutil.Process) -> float:
    """Return the CPU time of a process, in seconds; 0 for one that has ended."""
    try:
        times = process.cpu_times()
    except psutil.NoSuchProcess:
        return 0.0
    return float(times.user + times.system)


def difference(before: Mapping[str, float], after: Mapping[str, float]) -> dict[str, float]:
    """Return what each has used meanwhile."""
    return {name: after[name] - before.get(name, 0.0) for name in after}


def _name(process: psutil.Process) -> str:
    line = " ".join(process.cmdline())
    return next((name for word, name in NAMES.items() if word in line), process.name())
