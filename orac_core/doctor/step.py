"""One step of an experiment: what was tried, and which rates came of it."""

from enum import StrEnum

from attrs import field, frozen

from ..statistics import Summary
from .comparison import Comparison
from .evidence import Snapshot


class Trial(StrEnum):
    """What can be tried with a model, in the order in which it is."""

    AS_FOUND = "as_found"
    REPEAT = "repeat"
    CYCLE = "cycle"
    FRESH = "fresh"
    CACHE = "cache_given_back"
    ALL_LAYERS = "all_layers"

    @property
    def told(self) -> str:
        """What is done, in words."""
        return TOLD[self]


TOLD = {
    Trial.AS_FOUND: "measure it as it is",
    Trial.REPEAT: "measure it again, kept loaded",
    Trial.CYCLE: "unload it and load it again at once",
    Trial.FRESH: "unload it, wait until its memory is back, load it in a new process",
    Trial.CACHE: "unload it, give the page cache of its file back, load it",
    Trial.ALL_LAYERS: "load it with all layers forced onto the GPU",
}


@frozen
class Step:
    """What a trial came to.

    Attributes:
        trial: What was tried.
        rates: Decode rates, in tokens/s; empty when there are none.
        tokens_per_second: What they come to, with the 95 % interval of their median.
        to_former: Compared with the step before.
        to_baseline: Compared with the baseline.
        changed: Whether the rate is another than in the step before: intervals that do not overlap
            and a difference of more than a tenth. None when that can not be told.
        snapshot: What was known around these answers.
        error: Why there are no rates; None when there are.
    """

    trial: Trial
    rates: tuple[float, ...] = ()
    tokens_per_second: Summary | None = None
    to_former: Comparison = field(factory=Comparison)
    to_baseline: Comparison = field(factory=Comparison)
    changed: bool | None = None
    snapshot: Snapshot = field(factory=Snapshot)
    error: str | None = None

    @property
    def faster(self) -> bool:
        """Whether the rate rose with this step, and not by chance."""
        return self.changed is True and (self.to_former.ratio or 0) > 1

    @property
    def slower(self) -> bool:
        """Whether the rate fell with this step, and not by chance."""
        return self.changed is True and (self.to_former.ratio or 0) < 1
