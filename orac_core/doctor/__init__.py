"""Finding out why a model is slow: evidence, causes, experiments, remedies."""

from .causes import Cause, Finding
from .comparison import Comparison, compared
from .conclusion import Conclusion
from .degradation import Diagnosis, diagnose
from .evidence import Evidence, Moment, Process, Snapshot, over
from .experiment import Doing, Experiment, Report
from .patient import Bench, Standing
from .relief import Relief, Situation, Tenant
from .relief import advised as relieving
from .remedies import Advice, Attempt, Outcome, Remedies, Tried, Trying
from .room import CARD, MACHINE, Level, Risk, Room, Wanted, risk
from .step import Step, Trial

__all__ = [
    "CARD",
    "MACHINE",
    "Advice",
    "Attempt",
    "Bench",
    "Cause",
    "Comparison",
    "Conclusion",
    "Diagnosis",
    "Doing",
    "Evidence",
    "Experiment",
    "Finding",
    "Level",
    "Moment",
    "Outcome",
    "Process",
    "Relief",
    "Remedies",
    "Report",
    "Risk",
    "Room",
    "Situation",
    "Snapshot",
    "Standing",
    "Step",
    "Tenant",
    "Trial",
    "Tried",
    "Trying",
    "Wanted",
    "compared",
    "diagnose",
    "over",
    "relieving",
    "risk",
]
