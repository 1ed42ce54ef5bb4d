"""What the control groups around this process let it use."""

import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from .figures import size
from .nodes import MOST_ENTRIES, Nodes

GROUP_FILES = re.compile(r"^(?:total_)?(?:in)?active_file ([0-9]{1,18})$", re.MULTILINE)
"""What memory.stat of a control group says of files; the first kind has totals beside."""

NODES = Nodes()


def limit(root: Path = Path("/")) -> int | None:
    """Return the least memory limit of the control groups around this process, v2 or v1."""
    limits = (size(NODES.whole(each)) for each in _limit_files(root))
    return min((each for each in limits if each), default=None)


def left(root: Path = Path("/")) -> int | None:
    """Return the least that a control group around this process lets it have in addition."""
    left = (_left(path) for path in _limit_files(root))
    return min((each for each in left if each is not None), default=None)


def _left(limit_file: Path) -> int | None:
    """Return what is below a limit, with what the group's files hold: the kernel gives it back."""
    folder, second = limit_file.parent, limit_file.name == "memory.max"
    most = size(NODES.whole(limit_file))
    used = size(NODES.whole(folder / ("memory.current" if second else "memory.usage_in_bytes")))
    if not most or used is None:
        return None
    stat = NODES.text(folder / "memory.stat")
    totals = "\n".join(line for line in stat.splitlines() if line.startswith("total_"))
    files = sum(int(each) for each in GROUP_FILES.findall(totals or stat))
    return min(most, max(0, most - used + files))


def _limit_files(root: Path) -> Iterator[Path]:
    groups = root / "sys/fs/cgroup"
    for line in NODES.text(root / "proc/self/cgroup").splitlines()[:MOST_ENTRIES]:
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
