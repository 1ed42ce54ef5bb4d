"""Causes that keep a model from the GPU: who has the memory that it should have had (pure).

Each function returns a finding, whose likelihood is only how sure its sign is, or None.
"""

from collections.abc import Iterable
from itertools import chain

from attrs import frozen

from ..memory.words import size
from .causes import Cause, Finding, finding
from .evidence import Evidence, Process, Snapshot

SHARE_FELL = 0.05
"""Share of the model by which less of it is on the GPU; one layer of 32 is 0.03."""

OFF = 0.01
"""Below this share a model is not on the GPU."""

PART = 0.10
"""Memory below this share of the model's size makes no difference that could be felt."""

LATE_S = 30.0
"""A load that began longer than this after the last unload found all memory back. Engines wait
for 5 s; llama.cpp and Ollama were seen to need up to 10 s (ollama#9016, #7654)."""

LATE_PART = 0.15
"""What of the memory that did not come back has to be nobody's: a runner's size is not exact."""

SLOWNESS_UNIFIED, SLOWNESS = 6.0, 10.0
"""How much longer a layer takes on the CPU. The reports from Jetsons had 37 tokens/s become 5."""

BUSY = 0.6
"""A GPU works more than this while a model answers that is on it altogether."""

LEAST_USER = 256 << 20
"""A program with less on the GPU is a desktop, which does no work there that could be felt."""


@frozen
class Spill:
    """Less of a model is on the GPU than there was.

    Attributes:
        before: Share on the GPU at the baseline.
        after: Share on it now.
        factor: What this leaves of the rate, roughly.
    """

    before: float
    after: float
    factor: float

    def __str__(self) -> str:
        return f"{self.after:.0%} of it is on the GPU, where {self.before:.0%} was"


def spill(evidence: Evidence) -> Spill | None:
    """Return how much less of the model is on the GPU; None when not less, or not known."""
    before, after = evidence.before.on_gpu_ratio, evidence.seen.on_gpu_ratio
    if before is None or after is None or before - after < SHARE_FELL:
        return None
    slowness = SLOWNESS_UNIFIED if _unified(evidence.seen) else SLOWNESS
    factor = _work(before, slowness) / _work(after, slowness)
    return Spill(before, after, factor)


def page_cache(evidence: Evidence) -> Finding | None:
    """The engine took the page cache for used memory, and put layers onto the CPU."""
    found, hidden = spill(evidence), _hidden_more(evidence)
    if found is None or not hidden:
        return None
    memory = evidence.seen.memory_before
    known = _hidden(evidence.before) is not None and memory.unified is True
    return finding(
        Cause.PAGE_CACHE,
        0.9 if known else 0.7,
        str(found),
        f"{size(memory.available_bytes or 0)} was available before the load, but only "
        f"{size(memory.free_bytes or 0)} free: the rest is page cache, which the kernel would have "
        "given back",
        _idle_gpu(evidence.seen),
        factor=_part(evidence, Cause.PAGE_CACHE, found),
    )


def memory_late(evidence: Evidence) -> Finding | None:
    """Memory of a model that was unloaded before had not come back yet."""
    found, late, now = spill(evidence), _late(evidence), evidence.seen
    if found is None or not late:
        return None
    return finding(
        Cause.MEMORY_LATE,
        0.9,
        str(found),
        f"{size(late)} of models unloaded before was not back when it was loaded{_ago(now)}",
        factor=_part(evidence, Cause.MEMORY_LATE, found),
    )


def gpu_lost(evidence: Evidence) -> Finding | None:
    """The engine no longer sees the GPU."""
    found = spill(evidence)
    if found is None or not _lost(evidence):
        return None
    return finding(
        Cause.GPU_LOST, 0.95, f"the engine lists no GPU, and {found}", factor=found.factor
    )


def leftover(evidence: Evidence) -> Finding | None:
    """A runner that serves no model still has memory, or still works."""
    runners = fresh(evidence.seen.leftovers, evidence.before.leftovers)
    if not runners:
        return None
    known = evidence.before.leftovers is not None
    pids = " ".join(str(each.pid) for each in runners if each.pid is not None)
    found = spill(evidence)
    return finding(
        Cause.LEFTOVER,
        0.85 if known else 0.5,
        f"{len(runners)} of the engine's runners serve no model: {_listed(runners)}",
        None if found is None else str(found),
        factor=_part(evidence, Cause.LEFTOVER, found),
        command=f"kill {pids}" if pids else None,
    )


def gpu_shared(evidence: Evidence) -> Finding | None:
    """Another program uses the GPU."""
    users = _new_users(evidence)
    if not users:
        return None
    known = evidence.before.gpu_users is not None
    found = spill(evidence)
    return finding(
        Cause.GPU_SHARED,
        0.85 if known else 0.4,
        f"{len(users)} other on the GPU: {_listed(users)}"
        + (", not there at the baseline" if known else ""),
        None if found is None else str(found),
        factor=_part(evidence, Cause.GPU_SHARED, found),
    )


def larger_context(evidence: Evidence) -> Finding | None:
    """It was loaded with a larger context, whose cache takes the room of layers."""
    found, grown = spill(evidence), _grown(evidence)
    if found is None or not grown:
        return None
    return finding(
        Cause.CONTEXT,
        0.85,
        f"it is loaded with a context of {evidence.seen.context_length} tokens, where it had "
        f"{evidence.before.context_length}: {size(grown)} more",
        str(found),
        factor=_part(evidence, Cause.CONTEXT, found),
    )


def unexplained(evidence: Evidence) -> Finding | None:
    """The GPU has less of the model, and no sign says why: what is left by exclusion."""
    found = spill(evidence)
    if found is None or _withheld(evidence) or _lost(evidence):
        return None
    now = evidence.seen
    if found.after < OFF and now.engine_sees_gpu is None:
        return finding(Cause.GPU_LOST, 0.5, str(found), factor=found.factor)
    if now.unreturned_bytes is None and _soon(now):
        told = f"nothing else is seen to have its memory{_ago(now)}"
        return finding(Cause.MEMORY_LATE, 0.4, str(found), told, factor=found.factor)
    return None


def fresh(now: Iterable[Process] | None, before: Iterable[Process] | None) -> tuple[Process, ...]:
    """Return the processes that were not there before; a pid tells, else the name."""
    old = {(each.name, each.pid) for each in before or ()}
    return tuple(each for each in now or () if (each.name, each.pid) not in old)


def _work(on_gpu: float, slowness: float) -> float:
    return on_gpu + (1 - on_gpu) * slowness


def _unified(snapshot: Snapshot) -> bool:
    return bool(snapshot.memory_before.unified or snapshot.memory.unified)


def _withheld(evidence: Evidence) -> dict[Cause, int]:
    """Return how much of the memory that the model lacks each cause has."""
    leftovers = fresh(evidence.seen.leftovers, evidence.before.leftovers)
    found = {
        Cause.PAGE_CACHE: _hidden_more(evidence),
        Cause.MEMORY_LATE: _late(evidence),
        Cause.LEFTOVER: _bytes(leftovers, evidence.seen),
        Cause.GPU_SHARED: _bytes(_new_users(evidence), evidence.seen),
        Cause.CONTEXT: _grown(evidence),
    }
    return {cause: amount for cause, amount in found.items() if amount > 0}


def _part(evidence: Evidence, cause: Cause, found: Spill | None) -> float | None:
    """Return what of the rate a cause leaves by its part in the spill; None when it has none."""
    if found is None:
        return None
    if _lost(evidence):
        return 1.0
    withheld = _withheld(evidence)
    part = withheld.get(cause, 0) / (sum(withheld.values()) or 1)
    if part < 0.3 and cause in {Cause.LEFTOVER, Cause.GPU_SHARED}:  # noqa: PLR2004 - it also works
        return None
    return float(found.factor**part)


def _lost(evidence: Evidence) -> bool:
    before, now = evidence.before, evidence.seen
    off = now.on_gpu_ratio is not None and now.on_gpu_ratio < OFF
    return off and now.engine_sees_gpu is False and before.engine_sees_gpu is not False


def _hidden(snapshot: Snapshot) -> int | None:
    """Return what page cache there was in the place of the model; None when not known."""
    available = snapshot.memory_before.available_bytes
    free = snapshot.memory_before.free_bytes
    if available is None or free is None:
        return None
    return max(0, min(available, snapshot.size_bytes or available) - free)


def _hidden_more(evidence: Evidence) -> int:
    """Return how much more page cache there is in the place of the model; 0 when that is no sign.

    No sign is what was there already, and a split that fits the available memory better than the
    free one: then the engine counts the cache as available.
    """
    now, hidden = evidence.seen, _hidden(evidence.seen)
    if hidden is None or _has_own_memory(now) or not _follows_free(now):
        return 0
    more = min(hidden, _cache(now) - _cache(evidence.before))
    return more if more > PART * (now.size_bytes or now.memory_before.available_bytes or 0) else 0


def _cache(snapshot: Snapshot) -> int:
    """Return what was available before the load, and not free; 0 when not known."""
    memory = snapshot.memory_before
    if memory.available_bytes is None or memory.free_bytes is None:
        return 0
    return memory.available_bytes - memory.free_bytes


def _has_own_memory(now: Snapshot) -> bool:
    if now.memory_before.unified is not None:
        return now.memory_before.unified is False
    return now.gpu.memory_total_bytes is not None


def _follows_free(now: Snapshot) -> bool:
    """Whether the share on the GPU is rather what was free than what was available."""
    before, needed = now.memory_before, now.size_bytes
    if not needed or now.on_gpu_ratio is None:
        return True
    by_free = min(1.0, (before.free_bytes or 0) / needed)
    by_available = min(1.0, (before.available_bytes or 0) / needed)
    return now.on_gpu_ratio < (by_free + by_available) / 2


def _late(evidence: Evidence) -> int:
    """Return what was not back and is nobody's; 0 when that is no sign."""
    now, unreturned = evidence.seen, evidence.seen.unreturned_bytes
    if unreturned is None or not _soon(now, LATE_S):
        return 0
    late = unreturned - sum(each.bytes or 0 for each in now.leftovers or ())
    late -= evidence.before.unreturned_bytes or 0
    return late if late > max(PART * (now.size_bytes or 0), LATE_PART * unreturned) else 0


def _soon(now: Snapshot, within_s: float = LATE_S / 3) -> bool:
    return now.unload_to_load_s is None or now.unload_to_load_s < within_s


def _grown(evidence: Evidence) -> int:
    was, now = evidence.before, evidence.seen
    if None in (was.context_length, now.context_length, was.size_bytes, now.size_bytes):
        return 0
    grown = (now.size_bytes or 0) - (was.size_bytes or 0)
    larger = (now.context_length or 0) > (was.context_length or 0)
    return grown if larger and grown > PART * (was.size_bytes or 0) else 0


def _new_users(evidence: Evidence) -> tuple[Process, ...]:
    users = _by_name(evidence.seen.gpu_users), _by_name(evidence.before.gpu_users)
    return tuple(each for each in fresh(*users) if each.bytes is None or each.bytes >= LEAST_USER)


def _by_name(users: Iterable[Process] | None) -> tuple[Process, ...]:
    """Return *users* without their pids: the same program, started again, is no other."""
    return tuple(Process(each.name, None, each.bytes) for each in users or ())


def _bytes(processes: Iterable[Process], now: Snapshot) -> int:
    """Return what they have; half the model where one does not say."""
    unknown = (now.size_bytes or 0) // 2
    return sum(unknown if each.bytes is None else each.bytes for each in processes)


def _listed(processes: tuple[Process, ...]) -> str:
    return ", ".join(
        " ".join(
            chain(
                [each.name],
                [f"(pid {each.pid})"] if each.pid is not None else [],
                [f"with {size(each.bytes)}"] if each.bytes is not None else [],
            )
        )
        for each in processes
    )


def _ago(now: Snapshot) -> str:
    if now.unload_to_load_s is None:
        return ""
    return f" ({now.unload_to_load_s:.1f} s after the last unload)"


def _idle_gpu(now: Snapshot) -> str | None:
    gpu, cpu = now.gpu.load_ratio, now.cpu_load_ratio
    if gpu is None or cpu is None or gpu > BUSY:
        return None
    return f"while it answers the GPU works {gpu:.0%} of the time, and the CPU {cpu:.0%}"
