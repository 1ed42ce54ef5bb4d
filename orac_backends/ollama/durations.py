"""Spans of time as Ollama writes them: Go's durations, or plain seconds. Pure."""

import re

_UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_WHOLE = re.compile(r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)")
_PART = re.compile(r"((?:\d+(?:\.\d*)?|\.\d+))(ns|us|µs|ms|s|m|h)")


def seconds(text: str) -> float:
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
