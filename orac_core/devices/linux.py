"""What the kernel says in /proc and /sys. What is not there, or can not be true, is None."""

import os
import re
from collections.abc import Iterator
from itertools import islice
from pathlib import Path, PurePosixPath

from .figures import celsius, hertz, name, part, ratio, size
from .values import Device, Gpu, Memory, Reading

MOST_READ = 1 << 16
"""Bytes that are read of one file; /proc/vmstat has 5 KB."""

MOST_ENTRIES = 256
"""Entries that are looked at in one folder."""

KB = 1024
"""/proc/meminfo writes "kB" and means this (proc(5))."""

MEMINFO = re.compile(r"^([A-Za-z_]+):[ \t]+([0-9]{1,18}) kB[ \t]*$", re.MULTILINE)
VMSTAT = re.compile(r"^(pswpin|pswpout) ([0-9]{1,18})$", re.MULTILINE)
L4T = re.compile(r"R([0-9]{1,3}) \(release\), REVISION: ([0-9.]{1,9})")
POWER_MODE = re.compile(r"pmode:([0-9]{1,9})")
NAME_OF_MODE = re.compile(r"<\s*POWER_MODEL\s+ID=([0-9]{1,9})\s+NAME=(\w{1,99})")
WHOLE = re.compile(r"-?[0-9]{1,18}")
"""The 19 digits that the first control groups write for "no limit" are too many."""
GPU = re.compile(r"gpu-gpc-0|[0-9a-f]+\.(gpu|gm20b|gp10b|gv11b|ga10b|gb10b)")
"""Names in /sys/class/devfreq: of Thor, and of the boards from Nano to Orin."""

GROUP_FILES = re.compile(r"^(?:total_)?(?:in)?active_file ([0-9]{1,18})$", re.MULTILINE)
"""What memory.stat of a control group says of files; the first kind has totals beside."""

THROTTLES = "-throttle-alert"
"""How a Jetson's cooling devices end that are active while clocks are lowered."""


def fixed(root: Path = Path("/")) -> Reading:
    """Return what does not change while the machine runs."""
    tree = root / "proc/device-tree"
    jetson = "nvidia,tegra" in _text(tree / "compatible") or bool(_l4t(root))
    return Reading(
        memory=Memory(unified=jetson or None),
        device=Device(board=name(_text(tree / "model")), jetpack=_l4t(root)),
    )


def changing(root: Path = Path("/")) -> Reading:
    """Return what may be different at the next look."""
    info = meminfo(root)
    device = Device(
        power_mode=power_mode(root),
        temperatures=temperatures(root),
        throttling=throttling(root),
    )
    return Reading(memory(root, info), gpu(root, info), device)


def meminfo(root: Path = Path("/")) -> dict[str, int]:
    """Return all figures of /proc/meminfo, in bytes."""
    found = MEMINFO.findall(_text(root / "proc/meminfo"))
    figures = ((key, size(int(value), KB)) for key, value in found)
    return {key: value for key, value in figures if value is not None}


def memory(root: Path, info: dict[str, int]) -> Memory:
    """Return the memory of the CPU as in *info*, with swapping and the control group's limit."""
    total = info.get("MemTotal") or None
    swap_total = info.get("SwapTotal")
    swapped = _swapped(root)
    return Memory(
        total_bytes=total,
        available_bytes=part(info.get("MemAvailable"), total),
        free_bytes=part(info.get("MemFree"), total),
        page_cache_bytes=part(_page_cache(info), total),
        swap_total_bytes=swap_total,
        swap_free_bytes=part(info.get("SwapFree"), swap_total),
        swapped_in_bytes=swapped.get("pswpin"),
        swapped_out_bytes=swapped.get("pswpout"),
        limit_bytes=part(limit(root), total),
        limit_available_bytes=part(left(root), total),
    )


def gpu(root: Path, info: dict[str, int]) -> Gpu:
    """Return what devfreq says of a GPU in the chip, and what of the memory in *info* it has."""
    used = part(info.get("NvMapMemUsed"), info.get("MemTotal"))
    found = (each for each in _entries(root / "sys/class/devfreq") if GPU.fullmatch(each.name))
    folder = next(found, None)
    if folder is None:
        return Gpu(memory_used_bytes=used)
    return Gpu(
        name=name(_text(folder / "device/of_node/name")) or name(folder.name),
        memory_used_bytes=used,
        load_ratio=ratio(_whole(folder / "device/load"), 1000),
        frequency_hz=hertz(_whole(folder / "cur_freq")),
    )


def temperatures(root: Path = Path("/")) -> dict[str, float | None]:
    """Return the degrees Celsius of each thermal zone; None where its sensor is offline."""
    found: dict[str, float | None] = {}
    for zone in _entries(root / "sys/class/thermal", "thermal_zone"):
        kind = name(_text(zone / "type"))
        if kind is not None:
            key = _unlike(found, re.sub(r"[-_]therm(al)?$", "", kind))
            found[key] = celsius(_whole(zone / "temp"), 1000)
    return found


def throttling(root: Path = Path("/")) -> bool | None:
    """Whether any of a Jetson's throttle alerts is active; None where there are none."""
    devices = _entries(root / "sys/class/thermal", "cooling_device")
    alerts = (each for each in devices if _text(each / "type").endswith(THROTTLES))
    states = [state for each in alerts if (state := _whole(each / "cur_state")) is not None]
    return any(state > 0 for state in states) if states else None


def power_mode(root: Path = Path("/")) -> str | None:
    """Return the name of the power mode that nvpmodel noted when it set it."""
    noted = POWER_MODE.search(_text(root / "var/lib/nvpmodel/status"))
    if noted is None:
        return None
    mode = int(noted[1])
    names = NAME_OF_MODE.findall(_text(root / "etc/nvpmodel.conf"))
    return next((each for number, each in names if int(number) == mode), f"mode {mode}")


def limit(root: Path = Path("/")) -> int | None:
    """Return the least memory limit of the control groups around this process, v2 or v1."""
    limits = (size(_whole(each)) for each in _limit_files(root))
    return min((each for each in limits if each), default=None)


def left(root: Path = Path("/")) -> int | None:
    """Return the least that a control group around this process lets it have in addition."""
    left = (_left(path) for path in _limit_files(root))
    return min((each for each in left if each is not None), default=None)


def _left(limit_file: Path) -> int | None:
    """Return what is below a limit, with what the group's files hold: the kernel gives it back."""
    folder, second = limit_file.parent, limit_file.name == "memory.max"
    most = size(_whole(limit_file))
    used = size(_whole(folder / ("memory.current" if second else "memory.usage_in_bytes")))
    if not most or used is None:
        return None
    stat = _text(folder / "memory.stat")
    totals = "\n".join(line for line in stat.splitlines() if line.startswith("total_"))
    files = sum(int(each) for each in GROUP_FILES.findall(totals or stat))
    return min(most, max(0, most - used + files))


def _limit_files(root: Path) -> Iterator[Path]:
    groups = root / "sys/fs/cgroup"
    for line in _text(root / "proc/self/cgroup").splitlines()[:MOST_ENTRIES]:
        number, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if number == "0" and not controllers:
            yield from (folder / "memory.max" for folder in _around(groups, path))
        elif "memory" in controllers.split(","):
            folders = _around(groups / "memory", path)
            yield from (folder / "memory.limit_in_bytes" for folder in folders)


def _around(top: Path, path: str) -> Iterator[Path]:
    """Yield *top* and every folder from there on the way down *path*."""
    yield top
    for step in PurePosixPath(path[:4096]).parts[:64]:
        if step not in {"/", ".."} and "\0" not in step:
            top /= step
            yield top


def _page_cache(info: dict[str, int]) -> int | None:
    """Return what free(1) calls cache, without the buffers."""
    cached = info.get("Cached")
    return None if cached is None else cached + info.get("SReclaimable", 0)


def _swapped(root: Path) -> dict[str, int | None]:
    page = os.sysconf("SC_PAGE_SIZE")
    found = VMSTAT.findall(_text(root / "proc/vmstat"))
    return {key: size(int(pages), page) for key, pages in found}


def _l4t(root: Path) -> str | None:
    text = _text(root / "etc/nv_tegra_release")
    found = L4T.search(text)
    return f"L4T {found[1]}.{found[2]}" if found else name(text.partition("\n")[0])


def _unlike(taken: dict[str, float | None], key: str) -> str:
    """Return *key*, with a number behind it when it is taken: laptops have several "acpitz"."""
    number = 2
    wanted = key
    while wanted in taken:
        wanted = f"{key} {number}"
        number += 1
    return wanted


def _entries(folder: Path, prefix: str = "") -> list[Path]:
    """Return what lies in *folder*, in order of the numbers at the end of the names."""
    try:
        found = list(islice(folder.iterdir(), MOST_ENTRIES))
    except OSError:
        return []
    found = [each for each in found if each.name.startswith(prefix)]
    return sorted(found, key=lambda each: (len(each.name), each.name))


def _whole(path: Path) -> int | None:
    text = _text(path)
    return int(text) if WHOLE.fullmatch(text) else None


def _text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return file.read(MOST_READ).decode(errors="replace").strip("\0 \t\r\n")
    except (OSError, ValueError):
        return ""
