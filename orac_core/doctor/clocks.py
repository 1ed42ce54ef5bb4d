"""Causes that make the whole chip slower: power mode, current, heat (pure).

Each function returns a finding, whose likelihood is only how sure its sign is, or None.
"""

from .causes import Cause, Finding, finding
from .evidence import Evidence, Snapshot
from .placement import BUSY, spill

FELL = 0.80
"""A clock below this share of its former one has fallen; the usual noise is 5 %."""

HELD = 0.92
"""A clock above this share has not fallen, and explains nothing."""

NEAR_C = 8.0
"""So far below its limit a chip counts as hot: sensors stand beside the hottest place."""

ROSE_C = 8.0
"""By how much it has to be hotter than it was."""

USUAL_LIMIT_C = 87.0
"""Where clocks begin to be lowered on Jetsons; for boards that do not say it."""


def power_mode(evidence: Evidence) -> Finding | None:
    """The board runs in another power mode, with lower clocks."""
    was, now = evidence.before.device.power_mode, evidence.seen.device.power_mode
    ratio = _allowed(evidence) or clock(evidence)
    if was is None or now is None or was == now or (ratio is not None and ratio > HELD):
        return None
    told = f"the power mode is {now}, where it was {was}"
    known = ratio is not None
    return finding(Cause.POWER_MODE, 0.95 if known else 0.6, told, _clocks(evidence), factor=ratio)


def over_current(evidence: Evidence) -> Finding | None:
    """The board lowered its clocks because it took too much current."""
    was, now = evidence.before.over_current_events, evidence.seen.over_current_events
    if was is None or now is None or now <= was:
        return None
    ratio = _apart_from_mode(evidence)
    fell = ratio is not None and ratio < FELL
    told = f"{now - was} times since the baseline the board took too much current ({now} in all)"
    lies = "" if fell else "; what Linux says of the clocks need not be true after that"
    return finding(
        Cause.OVER_CURRENT,
        0.9 if fell else 0.6,
        told + lies,
        _clocks(evidence),
        factor=ratio if fell else None,
    )


def heat(evidence: Evidence) -> Finding | None:
    """The chip is at its limit and lowers its clocks."""
    hottest, was = evidence.seen.hottest, evidence.before.hottest
    if hottest is None or not _near(evidence) or not _slowed(evidence):
        return None
    if was is not None and hottest[1] - was[1] < ROSE_C:
        return None
    ratio = _apart_from_mode(evidence)
    before = "" if was is None else f", where it had {was[1]:.0f} °C"
    told = f"{hottest[0]} has {hottest[1]:.0f} of {_limit(evidence.seen):.0f} °C{before}"
    factor = ratio if ratio is not None and ratio < FELL else None
    return finding(Cause.HEAT, 0.9, told, _clocks(evidence), factor=factor)


def lowered(evidence: Evidence) -> Finding | None:
    """The clocks are lower, and nothing of the above says why."""
    if power_mode(evidence) or over_current(evidence) or heat(evidence):
        return None
    ratio = _allowed(evidence)
    if ratio is not None and ratio < FELL:
        return finding(Cause.CLOCKS, 0.8, _allowance(evidence), factor=ratio)
    ratio = clock(evidence)
    fell = ratio is not None and ratio < FELL and _busy(evidence)
    if not fell and not (_throttles(evidence) and not (ratio is not None and ratio > HELD)):
        return None
    factor = ratio if fell else None
    return finding(Cause.CLOCKS, 0.7, _throttled(evidence.seen), _clocks(evidence), factor=factor)


def clock(evidence: Evidence) -> float | None:
    """Return the present clock as a share of the former; None when it is not known.

    That of the GPU counts only while it works: an idle one lowers its clock by itself, which is
    no cause of anything.
    """
    was, now = evidence.before, evidence.seen
    ratios = [_ratio(now.cpu_frequency_hz, was.cpu_frequency_hz)]
    if spill(evidence) is None and _gpu_works(now):
        ratios.append(_ratio(now.gpu.frequency_hz, was.gpu.frequency_hz))
    return min((each for each in ratios if each is not None), default=None)


def _apart_from_mode(evidence: Evidence) -> float | None:
    """Return the share of the former clock that the power mode does not explain."""
    ratio, allowed = clock(evidence), _allowed(evidence)
    return ratio if ratio is None or allowed is None else min(1.0, ratio / allowed)


def _allowed(evidence: Evidence) -> float | None:
    was, now = evidence.before, evidence.seen
    found = (
        _ratio(now.gpu_frequency_max_hz, was.gpu_frequency_max_hz),
        _ratio(now.cpu_frequency_max_hz, was.cpu_frequency_max_hz),
    )
    return min((each for each in found if each is not None), default=None)


def _ratio(now: int | None, was: int | None) -> float | None:
    return now / was if now is not None and was else None


def _gpu_works(now: Snapshot) -> bool:
    return now.gpu.load_ratio is None or now.gpu.load_ratio > BUSY


def _busy(evidence: Evidence) -> bool:
    """Whether the clocks are low although there is work: else they are low for the lack of it."""
    now = evidence.seen
    loads = now.gpu.load_ratio, now.cpu_load_ratio
    return any(each is not None and each > BUSY for each in loads)


def _throttles(evidence: Evidence) -> bool:
    was, now = evidence.before.device.throttling, evidence.seen.device.throttling
    return now is True and was is not True


def _throttled(now: Snapshot) -> str | None:
    if not now.device.throttling:
        return None
    hottest = "" if now.hottest is None else f", {now.hottest[0]} has {now.hottest[1]:.0f} °C"
    return f"the board says that it lowers its clocks{hottest}"


def _slowed(evidence: Evidence) -> bool:
    ratio = clock(evidence)
    return _throttles(evidence) or (ratio is not None and ratio < FELL)


def _limit(now: Snapshot) -> float:
    return USUAL_LIMIT_C if now.limit_c is None else now.limit_c


def _near(evidence: Evidence) -> bool:
    now, hottest = evidence.seen, evidence.seen.hottest
    return hottest is not None and hottest[1] > _limit(now) - NEAR_C


def _clocks(evidence: Evidence) -> str | None:
    was, now = evidence.before, evidence.seen
    pairs = (
        ("GPU", now.gpu.frequency_hz, was.gpu.frequency_hz),
        ("CPU", now.cpu_frequency_hz, was.cpu_frequency_hz),
    )
    told = [_clock(*each) for each in pairs]
    return ", ".join(each for each in told if each) or None


def _allowance(evidence: Evidence) -> str:
    was, now = evidence.before, evidence.seen
    gpu = _clock("GPU", now.gpu_frequency_max_hz, was.gpu_frequency_max_hz)
    cpu = _clock("CPU", now.cpu_frequency_max_hz, was.cpu_frequency_max_hz)
    return f"the highest clocks allowed are lower: {', '.join(filter(None, (gpu, cpu)))}"


def _clock(chip: str, now: int | None, was: int | None) -> str | None:
    if now is None:
        return None
    before = "" if was is None else f", where it had {was / 1e6:.0f}"
    return f"the {chip} runs at {now / 1e6:.0f} MHz{before}"
