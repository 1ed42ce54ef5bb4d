"""The values that options of an answer may have: an allow-list, as a number can harm an engine.

Pure, and the one table of them: the manifest and the backends both go by it.
"""

import math
from collections.abc import Mapping
from types import MappingProxyType

from attrs import frozen

from .conversation import GenerateOptions

_MAX_STOPS = 16
_MAX_STOP_LENGTH = 256


@frozen
class Range:
    """The values that an option may have."""

    low: float
    high: float
    whole: bool = False

    def problem(self, value: object) -> str | None:
        """Return what is wrong with *value*; None when nothing is."""
        kinds = int if self.whole else (int, float)
        number = isinstance(value, kinds) and not isinstance(value, bool)
        if number and math.isfinite(value) and self.low <= value <= self.high:  # type: ignore[arg-type,operator]
            return None
        kind = "whole number" if self.whole else "number"
        return f"must be a {kind} from {self.low:,.10g} to {self.high:,.10g}".replace(",", " ")


RANGES: Mapping[str, Range] = MappingProxyType(
    {
        "temperature": Range(0, 5),
        "top_p": Range(0, 1),
        "top_k": Range(0, 1_000_000, whole=True),
        "min_p": Range(0, 1),
        "seed": Range(0, 2**32 - 2, whole=True),  # llama.cpp takes 2**32 - 1 for "any"
        "max_tokens": Range(1, 16 << 20, whole=True),
        "repeat_penalty": Range(0.1, 10),
        "frequency_penalty": Range(-2, 2),
        "presence_penalty": Range(-2, 2),
    }
)
"""The options that are numbers, by name; llama.cpp and most others know them by these names."""


def numbers_given(options: GenerateOptions) -> dict[str, float]:
    """Return those of *options* that are numbers and are given, by their names."""
    found = {name: getattr(options, name) for name in RANGES}
    return {name: value for name, value in found.items() if value is not None}


def option_problems(options: GenerateOptions) -> dict[str, str]:
    """Return what is wrong with each of *options*, by its name; nothing when all are usable."""
    problems = {
        name: problem
        for name, value in numbers_given(options).items()
        if (problem := RANGES[name].problem(value)) is not None
    }
    if problem := _stop_problem(options.stop):
        problems["stop"] = problem
    if not isinstance(options.ignore_eos, bool | None):
        problems["ignore_eos"] = "must be true or false"
    return problems


def _stop_problem(stop: object) -> str | None:
    if not isinstance(stop, (tuple, list)) or len(stop) > _MAX_STOPS:
        return f"must be a list of at most {_MAX_STOPS} texts"
    if all(isinstance(text, str) and 0 < len(text) <= _MAX_STOP_LENGTH for text in stop):
        return None
    return f"must hold texts of 1 to {_MAX_STOP_LENGTH} characters"
