"""Why a model answers slower than it did: an ordered differential diagnosis (pure).

A cause is found only where a sign of it has changed together with the rate. What was there at the
baseline explains nothing, and a model that is not slow has no finding.
"""

import math
from collections.abc import Callable, Sequence

from attrs import evolve, frozen

from ..memory.words import size
from ..statistics import summary
from . import clocks, placement
from .causes import Cause, Finding, finding
from .comparison import Comparison, compared, usable
from .evidence import Evidence, Snapshot
from .placement import spill

SHALLOW_TOKENS = 2048
DEEPER_RATIO = 1.25
"""A context is deep from SHALLOW_TOKENS on, and more than so many times that of the baseline."""

MUCH_DEEPER = 4.0
"""So many times the depth slows down by itself, where no rate at little depth is known."""

AT_DEPTH = 0.85
"""Slower by depth: the rate below this share of the present one at little depth."""

SWAPS = 4 << 20
"""Bytes a second read back from swap that are no housekeeping of the kernel."""

SWAP_GREW_BYTES = 128 << 20
"""Growth of used swap that is no housekeeping either: the kernel moves single MiB."""

Rule = Callable[[Evidence], Finding | None]


@frozen
class Diagnosis:
    """What a slow model suffers from.

    Attributes:
        findings: Causes, the likeliest first; empty for a healthy model.
        healthy: Whether it is as fast as it was; None when there is nothing to compare with.
        comparison: The present rate as a share of the baseline, with its 95 % interval.
        summary: All of it in one sentence.
        tokens_per_second: The present rate; None where there is none.
        baseline_tokens_per_second: What counts as usual; None where nothing does.
    """

    findings: tuple[Finding, ...]
    healthy: bool | None
    comparison: Comparison
    summary: str
    tokens_per_second: float | None = None
    baseline_tokens_per_second: float | None = None

    @property
    def likeliest(self) -> Finding | None:
        """The first finding; None when there is none."""
        return self.findings[0] if self.findings else None


def diagnose(evidence: Evidence) -> Diagnosis:
    """Return why the model is slower than at the baseline, the likeliest cause first."""
    comparison = compared(evidence.present, evidence.baseline)
    findings = suspects(evidence, comparison.ratio) if comparison.slow else ()
    healthy = None if comparison.slow is None else not comparison.slow
    return Diagnosis(
        findings,
        healthy,
        comparison,
        _summary(evidence, comparison, findings),
        _median(evidence.present),
        _median(evidence.baseline),
    )


def suspects(evidence: Evidence, ratio: float | None) -> tuple[Finding, ...]:
    """Return the causes whose signs have changed, weighed; never none."""
    found = _by(DIRECT, evidence)
    found = [*found, *_by(EXCLUDING, evidence)] if spill(evidence) else found
    found = found or _by(LAST, evidence)[:1] or [unknown(evidence)]
    return weighed(found, ratio)


def weighed(findings: Sequence[Finding], ratio: float | None) -> tuple[Finding, ...]:
    """Return *findings*, likeliest first, each weighed by how much of the slowdown it explains.

    Slowdowns multiply, so they are added on a logarithmic scale. What those of known factor leave
    unexplained is shared by the others.
    """
    whole = _log(ratio) or 1.0
    known = [_log(each.factor) for each in findings if each.factor is not None]
    others = len(findings) - len(known)
    rest = max(0.0, whole - sum(known)) / others if others else 0.0
    heavy = [_weigh(each, rest, whole) for each in findings]
    return tuple(sorted(heavy, key=lambda each: -each.likelihood))


def context(evidence: Evidence) -> Finding | None:
    """The conversation is long: each token reads the cache of all before it."""
    now, was = evidence.seen.context_tokens, evidence.before.context_tokens
    if now is None or not _deep(now, was):
        return None
    share = compared(evidence.present, evidence.shallow).ratio
    if share is None or share > AT_DEPTH:
        return None
    told = f"at a depth of {now} tokens it has {share:.0%} of its present rate at little depth"
    before = None if was is None else f"the baseline had {was} tokens"
    return finding(Cause.CONTEXT, 0.9, told, before, factor=share)


def swap(evidence: Evidence) -> Finding | None:
    """Memory is read back from swap while it answers."""
    now = evidence.seen.swapped_in_bytes_per_second
    was = evidence.before.swapped_in_bytes_per_second
    if now is None or now - (was or 0) < SWAPS:
        return None
    used = evidence.seen.swap_used_bytes
    told = f"while it answers {now / (1 << 20):.0f} MiB/s are read back from swap"
    amount = None if used is None else f"{size(used)} of memory is swapped out"
    return finding(Cause.SWAP, 0.9 if was is not None else 0.7, told, amount)


def company(evidence: Evidence) -> Finding | None:
    """More answers run at once than at the baseline."""
    now, was = evidence.seen.concurrency, evidence.before.concurrency or 1
    if now is None or now <= was:
        return None
    return finding(Cause.COMPANY, 0.8, f"{now} answers ran at once, where {was} did")


def engine_changed(evidence: Evidence) -> Finding | None:
    """The engine is of another version."""
    now, was = evidence.seen.engine_version, evidence.before.engine_version
    if now is None or was is None or now == was:
        return None
    return finding(Cause.ENGINE_CHANGED, 0.7, f"the engine is {now}, where it was {was}")


def swapped_out(evidence: Evidence) -> Finding | None:
    """More is in swap than was; nobody says whether it is read back."""
    now, was = evidence.seen, evidence.before
    if now.swapped_in_bytes_per_second is not None:
        return None
    after, before = now.swap_used_bytes, was.swap_used_bytes
    if after is None or before is None or after - before < SWAP_GREW_BYTES:
        return None
    return finding(Cause.SWAP, 0.5, f"{size(after - before)} more went to swap since the baseline")


def grown_context(evidence: Evidence) -> Finding | None:
    """A conversation was or is long, and it is not known how fast a short one would be."""
    now, was = evidence.seen, _deepest(evidence.before)
    deepest = _deepest(now)
    if evidence.shallow and deepest == (now.context_tokens or 0):
        return None
    if deepest < max(SHALLOW_TOKENS, MUCH_DEEPER * was):
        return None
    told = (
        f"its context has grown to {deepest} tokens since the load; some engines stay slow after "
        "that until it is loaded anew"
    )
    return finding(Cause.CONTEXT, 0.4, told)


def unknown(evidence: Evidence) -> Finding:
    """Nothing that is known has changed with the rate."""
    found = spill(evidence)
    told = "nothing that is known of the machine has changed with the rate"
    if evidence.then is None:
        told = "nothing is known of the machine at the time of the baseline"
    if found is not None:
        told = f"{found}, and no sign says why"
    return finding(Cause.UNKNOWN, 0.2, f"{told}, which is {_middle(evidence.present):.1f} tokens/s")


DIRECT: tuple[Rule, ...] = (
    placement.gpu_lost,
    placement.page_cache,
    placement.leftover,
    placement.memory_late,
    placement.larger_context,
    context,
    clocks.power_mode,
    clocks.over_current,
    clocks.heat,
    clocks.lowered,
    swap,
    placement.gpu_shared,
    company,
    engine_changed,
)
"""Causes with a sign of their own."""

EXCLUDING: tuple[Rule, ...] = (placement.unexplained,)
"""What a model suffers from that has left the GPU without any of those signs."""

LAST: tuple[Rule, ...] = (swapped_out, grown_context)
"""Causes with a sign that may be innocent, named only when there is no other."""


def _by(rules: Sequence[Rule], evidence: Evidence) -> list[Finding]:
    found = (rule(evidence) for rule in rules)
    return [each for each in found if each is not None]


def _weigh(found: Finding, rest: float, whole: float) -> Finding:
    own = rest if found.factor is None else _log(found.factor)
    return evolve(
        found, likelihood=round(found.likelihood * (0.4 + 0.6 * min(1.0, own / whole)), 2)
    )


def _log(factor: float | None) -> float:
    """Return how much slower a factor makes, on a logarithmic scale; 0 for none."""
    return 0.0 if factor is None else -math.log(min(1.0, max(factor, 1e-3)))


def _deepest(snapshot: Snapshot) -> int:
    return max(snapshot.context_tokens or 0, snapshot.deepest_tokens or 0)


def _deep(now: int, was: int | None) -> bool:
    return now > max(SHALLOW_TOKENS, DEEPER_RATIO * (was or 0))


def _summary(evidence: Evidence, comparison: Comparison, findings: tuple[Finding, ...]) -> str:
    if comparison.slow is None:
        return "there is nothing to compare with: run it a few times while it is fast"
    now, was = _middle(evidence.present), _middle(evidence.baseline)
    rates = f"{now:.1f} tokens/s where it had {was:.1f}"
    if not comparison.slow:
        return f"it is as fast as it was: {rates}, {comparison}"
    word = "degraded" if comparison.degraded else "slower"
    causes = ", ".join(_named(each) for each in findings)
    return f"{word}: {rates}, {comparison}; likely {causes}"


def _named(found: Finding) -> str:
    return f"{found.cause.replace('_', ' ')} ({found.likelihood:.0%})"


def _median(rates: Sequence[float]) -> float | None:
    found = summary(usable(rates))
    return None if found is None else found.p50


def _middle(rates: Sequence[float]) -> float:
    ordered = sorted(usable(rates))
    return ordered[len(ordered) // 2]
