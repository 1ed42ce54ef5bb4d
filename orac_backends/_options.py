"""Options of an answer: an allow-list with ranges, as a number can harm the engine. Pure."""

import math
from typing import Any

from attrs import frozen

from orac_core import GenerateOptions, InvalidRequest

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
        return f"must be a {kind} from {self.low:,g} to {self.high:,g}".replace(",", " ")


RANGES = {
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
"""The options that are numbers, by name; llama.cpp and most others know them by these names."""


def checked_fields(options: GenerateOptions, context_length: int) -> dict[str, Any]:
    """Return *options* as fields of a request to an engine.

    An answer is never unlimited: without ``max_tokens`` it may fill the context.

    Raises:
        InvalidRequest: naming every option that is out of range.
    """
    given = {name: getattr(options, name) for name in RANGES}
    fields = {name: value for name, value in given.items() if value is not None}
    problems = {
        name: problem
        for name, value in fields.items()
        if (problem := RANGES[name].problem(value)) is not None
    }
    if problem := _stop_problem(options.stop):
        problems["stop"] = problem
    if not isinstance(options.ignore_eos, bool | None):
        problems["ignore_eos"] = "must be true or false"
    if problems:
        told = "; ".join(f"{name} {problem}" for name, problem in problems.items())
        raise InvalidRequest(told, {f"options.{name}": it for name, it in problems.items()})
    if options.stop:
        fields["stop"] = list(options.stop)
    fields["max_tokens"] = min(fields.get("max_tokens", context_length), context_length)
    return fields


def _stop_problem(stop: object) -> str | None:
    if not isinstance(stop, (tuple, list)) or len(stop) > _MAX_STOPS:
        return f"must be a list of at most {_MAX_STOPS} texts"
    if all(isinstance(text, str) and 0 < len(text) <= _MAX_STOP_LENGTH for text in stop):
        return None
    return f"must hold texts of 1 to {_MAX_STOP_LENGTH} characters"
