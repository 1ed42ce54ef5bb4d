"""The memory of the CPU as /proc tells it."""

import os
import re
from pathlib import Path

from .figures import part, size
from .nodes import Nodes
from .values import Memory

KB = 1024
"""/proc/meminfo writes "kB" and means this (proc(5))."""

MEMINFO = re.compile(r"^([A-Za-z_]+):[ \t]+([0-9]{1,18}) kB[ \t]*$", re.MULTILINE)
VMSTAT = re.compile(r"^(pswpin|pswpout) ([0-9]{1,18})$", re.MULTILINE)


def meminfo(root: Path, nodes: Nodes) -> dict[str, int]:
    """Return all figures of /proc/meminfo, in bytes."""
    found = MEMINFO.findall(nodes.text(root / "proc/meminfo"))
    figures = ((key, size(int(value), KB)) for key, value in found)
    return {key: value for key, value in figures if value is not None}


def memory(info: dict[str, int]) -> Memory:
    """Return the memory as in *info*, without what stands elsewhere."""
    total = info.get("MemTotal") or None
    swap_total = info.get("SwapTotal")
    return Memory(
        total_bytes=total,
        available_bytes=part(info.get("MemAvailable"), total),
        free_bytes=part(info.get("MemFree"), total),
        page_cache_bytes=part(_page_cache(info), total),
        swap_total_bytes=swap_total,
        swap_free_bytes=part(info.get("SwapFree"), swap_total),
    )


def swapping(root: Path, nodes: Nodes) -> Memory:
    """Return what was swapped since the machine started."""
    page = os.sysconf("SC_PAGE_SIZE")
    found = VMSTAT.findall(nodes.text(root / "proc/vmstat"))
    swapped = {key: size(int(pages), page) for key, pages in found}
    return Memory(swapped_in_bytes=swapped.get("pswpin"), swapped_out_bytes=swapped.get("pswpout"))


def _page_cache(info: dict[str, int]) -> int | None:
    """Return what free(1) calls cache, without the buffers."""
    cached = info.get("Cached")
    return None if cached is None else cached + info.get("SReclaimable", 0)
