"""Measuring models: speed, quality and energy, kept and compared."""

from .benchmarks import Benchmarks
from .compare import Comparison, compare
from .history import History
from .meter import Meter, NoMeter
from .progress import Progress
from .recommend import Recommendation, recommend
from .request import (
    LONGEST_PROMPT,
    MIB,
    MOST_MODELS,
    MOST_PRESETS,
    MOST_PROMPTS,
    RANGES,
    BenchmarkRequest,
    Goals,
    Limit,
)
from .results import Report, Result, Sample, Verification, Workload
from .run import Runner
from .store import Entry

__all__ = [
    "LONGEST_PROMPT",
    "MIB",
    "MOST_MODELS",
    "MOST_PRESETS",
    "MOST_PROMPTS",
    "RANGES",
    "BenchmarkRequest",
    "Benchmarks",
    "Comparison",
    "Entry",
    "Goals",
    "History",
    "Limit",
    "Meter",
    "NoMeter",
    "Progress",
    "Recommendation",
    "Report",
    "Result",
    "Runner",
    "Sample",
    "Verification",
    "Workload",
    "compare",
    "recommend",
]
