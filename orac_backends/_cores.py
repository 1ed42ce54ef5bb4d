"""How many threads may compute.

The engine's threads wait for each other by spinning, after every layer. When another program takes
one of their cores, all the others spin in vain: on two busy cores two threads were measured at a
few tokens a second where one thread made thousands. So one core always stays free.
"""

import os
from pathlib import Path

_QUOTA = Path("/sys/fs/cgroup/cpu.max")


def free_cores() -> int:
    """Return the number of threads for an engine that nobody has told one."""
    import psutil  # noqa: PLC0415 - only a load needs it

    allowed = len(os.sched_getaffinity(0))
    physical = psutil.cpu_count(logical=False) or allowed
    return threads(physical, allowed, _quota())


def threads(physical: int, allowed: int, quota: float | None) -> int:
    """Return the number of threads; pure.

    Args:
        physical: Cores of the machine; a second thread on one core computes nothing more.
        allowed: Processors that this process may run on.
        quota: Processors' worth of time that its container may use; None for no limit.
    """
    limit = allowed if quota is None else min(allowed, int(quota))
    return max(1, min(physical, limit - 1))


def _quota() -> float | None:
    """Return the limit of the control group (cgroup v2, ``cpu.max``)."""
    try:
        time, period = _QUOTA.read_text().split()
        return int(time) / int(period)
    except (OSError, ValueError):  # no such group, or "max"
        return None
