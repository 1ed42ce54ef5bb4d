"""Noticing that a model has become slower than it was: baselines, depth, verdicts. Pure."""

from .baseline import Baseline, Conditions
from .depth import Depth
from .drift import DEGRADED_RATIO, SLOWER_RATIO, Drift, Slowdown, Verdict
from .pace import Pace

__all__ = [
    "DEGRADED_RATIO",
    "SLOWER_RATIO",
    "Baseline",
    "Conditions",
    "Depth",
    "Drift",
    "Pace",
    "Slowdown",
    "Verdict",
]
