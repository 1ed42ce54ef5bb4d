"""What follows from the steps of an experiment (pure)."""

from collections.abc import Sequence
from itertools import chain, pairwise

from attrs import frozen

from .causes import Cause, Finding
from .comparison import SLOWER_RATIO, compared
from .degradation import Diagnosis, diagnose
from .evidence import Evidence, Snapshot
from .step import Step, Trial

SHOWS = {
    Trial.FRESH: Cause.MEMORY_LATE,
    Trial.CACHE: Cause.PAGE_CACHE,
    Trial.ALL_LAYERS: Cause.PAGE_CACHE,
}
"""The cause that a step removes, and no step before it does."""

MEANS = {
    Trial.REPEAT: "it passed by itself, without a reload",
    Trial.CYCLE: "a reload alone cures it",
    Trial.FRESH: "it has to be loaded when the memory is back, and not before",
    Trial.CACHE: "the page cache of its file stood in the way",
    Trial.ALL_LAYERS: "the memory is there: the engine only thinks that it is not",
}


@frozen
class Conclusion:
    """What follows from an experiment.

    Attributes:
        cause: What is most likely wrong; None when nothing is, or nothing was measured.
        text: In words.
        cure: The step that made the model faster; None when none did.
        findings: Causes, the likeliest first, by what differed between slow and fast answers.
    """

    cause: Cause | None
    text: str
    cure: Trial | None = None
    findings: tuple[Finding, ...] = ()


def conclude(
    steps: Sequence[Step], baseline: tuple[float, ...] = (), then: Snapshot | None = None
) -> Conclusion:
    """Return what follows from *steps*, and from the *baseline* where there is one."""
    measured = [each for each in steps if each.rates]
    if not measured:
        return Conclusion(None, "nothing was measured" + _errors(steps))
    cure = _cure(measured, baseline)
    if cure is not None:
        return _cured(measured, cure, baseline, then)
    return _not_cured(measured, baseline, then)


def _cure(measured: Sequence[Step], baseline: tuple[float, ...]) -> Step | None:
    """Return the step with which the rate rose most; faster than usual is no cure."""
    rises = [
        each
        for former, each in pairwise(measured)
        if each.faster and (not baseline or (former.to_baseline.ratio or 0.0) < SLOWER_RATIO)
    ]
    return max(rises, key=lambda each: each.to_former.ratio or 0, default=None)


def _cured(
    measured: Sequence[Step], cure: Step, baseline: tuple[float, ...], then: Snapshot | None
) -> Conclusion:
    slow = measured[measured.index(cure) - 1]
    contrast = Evidence(cure.rates, slow.rates, slow.snapshot, cure.snapshot)
    remaining = _remaining(cure, baseline, then)
    refuted = _refuted(measured, cure)
    found = _joined(diagnose(contrast).findings, remaining.findings)
    left = tuple(each for each in found if each.cause not in refuted)
    cause = _shown(cure, left)
    known = diagnose(Evidence(baseline, slow.rates, slow.snapshot, then)).findings
    findings = _joined(left, [each for each in known if each.cause is cause])
    parts = [
        _told(cure),
        MEANS[cure.trial],
        _fell(measured),
        _because(cause, findings),
        _still(cure, baseline),
    ]
    return Conclusion(cause, "; ".join(filter(None, parts)), cure.trial, findings)


def _not_cured(
    measured: Sequence[Step], baseline: tuple[float, ...], then: Snapshot | None
) -> Conclusion:
    worst = _slowest(measured)
    rates, usual = (baseline, then) if baseline else (measured[0].rates, measured[0].snapshot)
    diagnosis = diagnose(Evidence(rates, worst.rates, worst.snapshot, usual))
    if diagnosis.healthy is not False:
        return Conclusion(None, f"no step changes much: {diagnosis.summary}")
    cause = _first(diagnosis.findings)
    text = "no step makes it faster, so it is not the way in which it is loaded"
    parts = [_fell(measured) or text, _because(cause, diagnosis.findings)]
    return Conclusion(cause, "; ".join(filter(None, parts)), None, diagnosis.findings)


def _refuted(measured: Sequence[Step], cure: Step) -> set[Cause]:
    """Return the causes that a step before the cure removes, and with which it stayed slow."""
    before = [each.trial for each in measured[: measured.index(cure)] if not each.faster]
    return {SHOWS[trial] for trial in before if trial in SHOWS} - {SHOWS.get(cure.trial)}


def _remaining(cure: Step, baseline: tuple[float, ...], then: Snapshot | None) -> Diagnosis:
    """Return why it is still slow after the cure, where it is."""
    return diagnose(Evidence(baseline, cure.rates, cure.snapshot, then))


def _joined(*findings: Sequence[Finding]) -> tuple[Finding, ...]:
    found: dict[Cause, Finding] = {}
    for each in chain.from_iterable(findings):
        found.setdefault(each.cause, each)
    return tuple(found.values())


def _shown(cure: Step, findings: Sequence[Finding]) -> Cause:
    """Return what the cure shows, unless the machine shows another cause and not that one."""
    found, shown = [each.cause for each in findings], SHOWS.get(cure.trial)
    if shown is None or (shown not in found and found and found[0] is not Cause.UNKNOWN):
        return _first(findings)
    return shown


def _first(findings: Sequence[Finding]) -> Cause:
    return findings[0].cause if findings else Cause.UNKNOWN


def _slowest(measured: Sequence[Step]) -> Step:
    return min(measured, key=lambda each: each.to_baseline.ratio or 1.0)


def _told(step: Step) -> str:
    median = "" if step.tokens_per_second is None else f"{step.tokens_per_second.p50:.1f} tokens/s"
    return f"{step.trial.told}: {step.to_former} of the rate before, {median}"


def _fell(measured: Sequence[Step]) -> str | None:
    """Return with which step the model became slow, where that was seen."""
    fall = next((each for each in measured if each.slower), None)
    return None if fall is None else f"it became slow with this step: {_told(fall)}"


def _because(cause: Cause, findings: Sequence[Finding]) -> str:
    name = cause.replace("_", " ")
    found = next((each for each in findings if each.cause == cause), None)
    return f"likely {name}" + (f": {', '.join(found.evidence)}" if found else "")


def _still(cure: Step, baseline: tuple[float, ...]) -> str | None:
    left = compared(cure.rates, baseline)
    if left.ratio is None or left.ratio >= SLOWER_RATIO:
        return None
    return f"but it still has only {left} of the baseline"


def _errors(steps: Sequence[Step]) -> str:
    told = [f"{each.trial.told}: {each.error}" for each in steps if each.error]
    return f": {'; '.join(told)}" if told else ""
