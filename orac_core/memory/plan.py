"""Does a model fit, and what must go? Pure."""

from collections.abc import Sequence

from attrs import evolve, frozen

from .capacity import Capacity
from .demand import Demand
from .estimate import Need, largest_context
from .eviction import Resident, victims


@frozen
class Plan:
    """Whether a model fits into the memory there is, and what would have to go.

    Attributes:
        model: ``instance/model``.
        demand: What it needs; None when nothing is known of it, and it counts as fitting.
        capacity: What there is; None when the machine does not say, and all counts as fitting.
        fits: Whether it fits once the models in ``evict`` are gone.
        evict: Models that would have to go, the least worth first.
        residents: All models in memory.
        context_length: The largest context with which it would fit, when it does not.
        loaded: Whether it is in memory already.
    """

    model: str
    demand: Demand | None = None
    capacity: Capacity | None = None
    fits: bool = True
    evict: tuple[Resident, ...] = ()
    residents: tuple[Resident, ...] = ()
    context_length: int | None = None
    loaded: bool = False

    @property
    def awaited(self) -> tuple[Resident, ...]:
        """Those of ``evict`` that are being used: they go when that has ended."""
        return tuple(each for each in self.evict if each.busy)

    @property
    def certain(self) -> bool:
        """Whether it is known to fit, and nobody has to go."""
        known = self.demand is not None and self.capacity is not None
        return known and self.fits and not self.evict


def plan(
    model: str,
    demand: Demand | None,
    capacity: Capacity | None,
    residents: Sequence[Resident] = (),
) -> Plan:
    """Return whether *model* fits and what would have to go.

    Models that are used by nobody go first; only where they would not do, models in use are
    named, whose answers have to end before.
    """
    known = Plan(model, demand, capacity, residents=tuple(residents))
    if demand is None or capacity is None:
        return known
    evict = _to_go(demand, capacity, residents)
    if evict is not None:
        return evolve(known, evict=evict)
    return evolve(known, fits=False, context_length=_smaller(demand, capacity, residents))


def _to_go(
    demand: Demand, capacity: Capacity, residents: Sequence[Resident]
) -> tuple[Resident, ...] | None:
    """Return what has to go; None when nothing helps."""
    free_gpu = max(0, capacity.space.gpu_bytes)
    ways = demand.ways(unified=capacity.unified, free_gpu_bytes=free_gpu)
    for wanted in ways:
        missing = wanted - capacity.space
        for among in (residents, [evolve(each, busy=False) for each in residents]):
            found = victims(among, missing)
            if found is not None:
                return _as_they_are(found, residents)
    return None


def _as_they_are(chosen: Sequence[Resident], residents: Sequence[Resident]) -> tuple[Resident, ...]:
    known = {each.name: each for each in residents}
    return tuple(known[each.name] for each in chosen)


def _smaller(demand: Demand, capacity: Capacity, residents: Sequence[Resident]) -> int | None:
    """Return the largest context with which it would fit; None when none would do."""
    if demand.shape is None:
        return None

    def fits(need: Need) -> bool:
        return _to_go(demand.at(need), capacity, residents) is not None

    return largest_context(demand.shape, demand.setup, fits)
