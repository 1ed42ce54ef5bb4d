"""A plan in words, with its numbers. Pure."""

from collections.abc import Iterable
from math import isfinite

from ..durations import shown
from .eviction import Resident
from .plan import Plan

_KIB, _MIB, _GIB = 1 << 10, 1 << 20, 1 << 30


def size(count: int) -> str:
    """Return an amount of memory for people: ``6.1 GiB``, ``34 MiB``."""
    if abs(count) >= _GIB:
        return f"{count / _GIB:.1f} GiB"
    return f"{count / _MIB:.0f} MiB" if abs(count) >= _MIB else f"{count / _KIB:.0f} KiB"


def explained(plan: Plan) -> str:
    """Return what a plan says: what is needed, what there is, what would go."""
    if plan.loaded:
        return f"{plan.model} is loaded"
    if plan.demand is None:
        return f"nothing is known of what {plan.model} needs; it is loaded without a plan"
    needs = f"{plan.model} needs {_needed(plan)}"
    if plan.capacity is None:
        return f"{needs}; the machine does not say what is available"
    return f"{needs}, {_available(plan)}{_verdict(plan)}"


def _needed(plan: Plan) -> str:
    if plan.demand is None:
        return "an unknown amount"
    how = {"measured": "", "estimated": "", "size": " (guessed from its size)"}
    return size(plan.demand.total_bytes) + how[plan.demand.basis]


def _available(plan: Plan) -> str:
    if plan.capacity is None:
        return "nothing is known of what is available"
    space, cached = plan.capacity.space, plan.capacity.page_cache_bytes
    cache = f", {size(cached)} of it page cache" if cached >= _MIB else ""
    gpu = "" if plan.capacity.unified else f" and {size(space.gpu_bytes)} on the GPU"
    return f"{size(space.host_bytes)} available{gpu}{cache}"


def _verdict(plan: Plan) -> str:
    if not plan.fits:
        return f"; it does not fit{_even_without(plan)}{_proposed(plan)}"
    if not plan.evict:
        return "; it fits"
    waits = ", once their answers have ended" if plan.awaited else ""
    return f"; would evict {_listed(plan.evict)}{waits}"


def _even_without(plan: Plan) -> str:
    kept = [each for each in plan.residents if each.kept and each.space.total_bytes]
    gone = [each for each in plan.residents if not each.kept and each.space.total_bytes]
    parts = []
    if gone:
        parts.append(f" even without {_listed(gone)}")
    parts.extend(f"; {each.name} ({size(each.space.total_bytes)}) is {each.kept}" for each in kept)
    return "".join(parts)


def _proposed(plan: Plan) -> str:
    if plan.context_length is None:
        return "; choose a smaller model or quantization, or free memory in other programs"
    return f"; with a context_length of {plan.context_length} it would"


def _listed(residents: Iterable[Resident]) -> str:
    return ", ".join(
        f"{each.name} ({size(each.space.total_bytes)}, {_use(each)})" for each in residents
    )


def _use(resident: Resident) -> str:
    if resident.leaving:
        return "being unloaded"
    if resident.busy:
        return "in use"
    return f"idle {shown(resident.idle_s)}" if isfinite(resident.idle_s) else "not used yet"
