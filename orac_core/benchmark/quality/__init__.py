"""How good a model's answers are: tasks whose answers a program can check, and no model judges."""

from .comparison import Comparison, Difference, compare
from .measuring import Ask, Measurement, OnProgress, measure
from .outcome import Check, Mark, Outcome
from .parts import FAMILIES, PARTS, WEIGHTS, Part
from .reading import built_in, read_folder
from .scoring import scored
from .tasks import Question, Task, TaskSet

__all__ = [
    "FAMILIES",
    "PARTS",
    "WEIGHTS",
    "Ask",
    "Check",
    "Comparison",
    "Difference",
    "Mark",
    "Measurement",
    "OnProgress",
    "Outcome",
    "Part",
    "Question",
    "Task",
    "TaskSet",
    "built_in",
    "compare",
    "measure",
    "read_folder",
    "scored",
]
