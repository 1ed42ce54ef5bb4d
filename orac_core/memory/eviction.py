"""Which models have to go so that another one fits. Pure."""

from collections.abc import Iterator, Sequence
from itertools import combinations

from attrs import frozen

_MOST_COMPARED = 12


@frozen
class Space:
    """Memory of two kinds, in bytes: the machine's own, and that of a GPU with memory of its own.

    Where CPU and GPU share one memory, all of it is ``host_bytes``.
    """

    host_bytes: int = 0
    gpu_bytes: int = 0

    def __add__(self, other: "Space") -> "Space":
        return Space(self.host_bytes + other.host_bytes, self.gpu_bytes + other.gpu_bytes)

    def __sub__(self, other: "Space") -> "Space":
        return Space(self.host_bytes - other.host_bytes, self.gpu_bytes - other.gpu_bytes)

    def holds(self, other: "Space") -> bool:
        """Whether *other* fits into it."""
        return self.host_bytes >= other.host_bytes and self.gpu_bytes >= other.gpu_bytes

    @property
    def total_bytes(self) -> int:
        """Both together."""
        return self.host_bytes + self.gpu_bytes


@frozen
class Resident:
    """A model in memory.

    Attributes:
        name: ``instance/model``.
        space: What it takes, and gives back when it goes.
        idle_s: Seconds since it was last used.
        reload_s: Seconds that loading it took.
        kept: Why it must not go, in words that follow "is": ``pinned``; None when it may.
        busy: Whether it is being used, or somebody waits for it.
        leaving: Whether it is going anyway.
    """

    name: str
    space: Space
    idle_s: float = 0.0
    reload_s: float = 0.0
    kept: str | None = None
    busy: bool = False
    leaving: bool = False

    @property
    def worth(self) -> float:
        """What it costs to have it gone: long to load and lately used is dear."""
        if self.leaving:
            return 0.0
        return (1.0 + self.reload_s) / (1.0 + self.idle_s)


def victims(residents: Sequence[Resident], missing: Space) -> tuple[Resident, ...] | None:
    """Return the fewest models whose going frees what is *missing*, of those the least worth.

    Models that are kept or busy never go. Of equal sets the one that frees least is taken, then
    the first by name, so that the answer does not depend on the order of *residents*.

    Returns:
        The models, the least worth first; empty when nothing is missing, None when even all of
        them would not do.
    """
    if Space().holds(missing):
        return ()
    may_go = sorted((each for each in residents if _helps(each, missing)), key=_dearness)
    if not _free_enough(may_go, missing):
        return None
    sets = _enough(may_go, missing) if len(may_go) <= _MOST_COMPARED else ()
    return min(sets, key=_price, default=None) or _thinned(may_go, missing)


def _helps(resident: Resident, missing: Space) -> bool:
    if resident.kept or resident.busy:
        return False
    lacks_host, lacks_gpu = missing.host_bytes > 0, missing.gpu_bytes > 0
    space = resident.space
    return (lacks_host and space.host_bytes > 0) or (lacks_gpu and space.gpu_bytes > 0)


def _dearness(resident: Resident) -> tuple[float, str]:
    return resident.worth, resident.name


def _price(chosen: Sequence[Resident]) -> tuple[float, int, tuple[str, ...]]:
    freed = sum(each.space.total_bytes for each in chosen)
    return sum(each.worth for each in chosen), freed, tuple(each.name for each in chosen)


def _free_enough(chosen: Sequence[Resident], missing: Space) -> bool:
    return sum((each.space for each in chosen), Space()).holds(missing)


def _enough(may_go: Sequence[Resident], missing: Space) -> Iterator[tuple[Resident, ...]]:
    """Yield every set of the least size that will do."""
    for size in range(1, len(may_go) + 1):
        found = [each for each in combinations(may_go, size) if _free_enough(each, missing)]
        if found:
            yield from found
            return


def _thinned(may_go: Sequence[Resident], missing: Space) -> tuple[Resident, ...]:
    """Return a set none of which is superfluous, where there are too many to compare all sets."""
    chosen = list(may_go)
    for dear in reversed(may_go):
        without = [each for each in chosen if each is not dear]
        if _free_enough(without, missing):
            chosen = without
    return tuple(chosen)
