"""What the kernel says of memory that a GPU shares, and of programs that wait for memory."""

import re
from pathlib import Path

from attrs import frozen

from .figures import part, ratio, size
from .meminfo import meminfo
from .nodes import Nodes

NODES = Nodes()

STALL = re.compile(r"^(some|full) avg10=([0-9]{1,3}\.[0-9]{2}) ", re.MULTILINE)
"""The kernel's pressure stall information (Documentation/accounting/psi.rst), of ten seconds."""

CLIENTS = re.compile(r"^total\s+([0-9]{1,15})([KM])\b", re.MULTILINE)
"""What nvmap's list of clients adds up to; only root can read it."""

UNITS = {"K": 1 << 10, "M": 1 << 20}


@frozen
class Shared:
    """What is known beside the figures of a look; None where the kernel does not tell.

    Attributes:
        contiguous_bytes: The part that the kernel keeps for pieces that hang together (CMA).
        contiguous_free_bytes: What is left of that.
        nvmap_bytes: What the GPU and other engines of a Jetson have (NvMap).
        nvmap_free_bytes: What is left of the part that is set aside for them.
        mapped_bytes: What they have mapped through their own tables (IOVMM).
        waiting_ratio: Share of the last ten seconds in which some program waited for memory.
        stalled_ratio: Share in which all that had work did.
    """

    contiguous_bytes: int | None = None
    contiguous_free_bytes: int | None = None
    nvmap_bytes: int | None = None
    nvmap_free_bytes: int | None = None
    mapped_bytes: int | None = None
    waiting_ratio: float | None = None
    stalled_ratio: float | None = None


def shared(root: Path = Path("/")) -> Shared:
    """Return what the kernel says now; it never raises."""
    info = meminfo(root, NODES)
    total = info.get("MemTotal")
    stalls = dict(STALL.findall(NODES.text(root / "proc/pressure/memory")))
    contiguous = part(info.get("CmaTotal"), total) or None
    return Shared(
        contiguous,
        contiguous and part(info.get("CmaFree"), contiguous),
        part(info.get("NvMapMemUsed"), total),
        part(info.get("NvMapMemFree"), total),
        part(_mapped(root), total),
        _share(stalls.get("some")),
        _share(stalls.get("full")),
    )


def _mapped(root: Path) -> int | None:
    found = CLIENTS.search(NODES.text(root / "sys/kernel/debug/nvmap/iovmm/clients"))
    return found and size(int(found[1]), UNITS[found[2]])


def _share(percent: str | None) -> float | None:
    return None if percent is None else ratio(float(percent), 100)
