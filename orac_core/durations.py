"""Spans of time as people write them: Go's durations, or plain seconds. Pure."""

import math
import re
from typing import Final

_UNITS: Final = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_WHOLE = re.compile(r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)")
_PART = re.compile(r"((?:\d+(?:\.\d*)?|\.\d+))(ns|us|µs|ms|s|m|h)")
LONGEST_S: Final = 100 * 365 * 86_400.0
"""A hundred years; what is longer is for ever."""

_SHOWN = ((86_400.0, "d"), (3600.0, "h"), (60.0, "min"))


def duration_s(text: str) -> float:
    """Return the seconds that *text* means: ``5m``, ``1h30m``, ``90``, ``-1`` (for ever).

    See https://pkg.go.dev/time#ParseDuration.

    Raises:
        ValueError: when it means none.
    """
    if _WHOLE.fullmatch(text):
        return float(text)
    sign, digits = (-1.0, text[1:]) if text.startswith("-") else (1.0, text.removeprefix("+"))
    parts = _PART.findall(digits)
    if not parts or "".join(number + unit for number, unit in parts) != digits:
        raise ValueError(f"{text!r} is no span of time; write it like 5m, 1h30m, 90 or -1")
    return sign * sum(float(number) * _UNITS[unit] for number, unit in parts)


def limit_s(value: str | float) -> float:
    """Return how many seconds a limit is: *value* is seconds, or a text as `duration_s` takes it.

    Raises:
        ValueError: when it is neither, below 0, or without end.
    """
    found = duration_s(value) if isinstance(value, str) else float(value)
    if not 0 <= found <= LONGEST_S:
        raise ValueError(f"{value!r} is no span of time; write it like 30s, 1h30m or 90")
    return found


def keep_alive(value: str | float) -> float:
    """Return how many seconds a model stays loaded without being used; infinity for ever.

    Args:
        value: Seconds, or a text as `duration_s` takes it. Below 0, and more than a hundred years,
            means for ever; 0 means to unload the model as soon as nobody uses it.

    Raises:
        ValueError: when it is neither.
    """
    found = duration_s(value) if isinstance(value, str) else float(value)
    if math.isnan(found):
        raise ValueError("NaN is no span of time; write it like 5m, 1h30m, 90 or -1")
    return math.inf if found < 0 or found > LONGEST_S else found


def shown(span_s: float) -> str:
    """Return a span in one unit, rounded down, for people: ``12 min``, ``3 s``."""
    for unit_s, name in _SHOWN:
        if span_s >= unit_s:
            return f"{int(span_s // unit_s)} {name}"
    return f"{int(span_s)} s"
