"""Finding out why a model is slow: evidence, causes, experiments, remedies."""

from .causes import Cause, Finding
from .comparison import Comparison, compared
from .conclusion import Conclusion
from .degradation import Diagnosis, diagnose
from .evidence import Evidence, Moment, Process, Snapshot, over
from .experiment import Doing, Experiment, Report
from .patient import Bench, Standing
from .remedies import Advice, Attempt, Outcome, Remedies, Tried, Trying
from .step import Step, Trial

__all__ = [
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
    "Moment",
    "Outcome",
    "Process",
    "Remedies",
    "Report",
    "Snapshot",
    "Standing",
    "Step",
    "Trial",
    "Tried",
    "Trying",
    "compared",
    "diagnose",
    "over",
]
