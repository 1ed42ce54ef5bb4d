"""Times and durations as Go writes and reads them, and a clock that a test winds."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any

from attrs import define

from .refusal import Refusal

FOR_EVER = timedelta(microseconds=2**63 // 1000)
"""The longest duration of Go, some 292 years."""

DEFAULT = timedelta(minutes=5)

_UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1, "m": 60, "h": 3600}
_PIECE = r"(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|ms|s|m|h)"
_KINDS = {bool: "bool", list: "[]interface {}", dict: "map[string]interface {}"}


def now() -> datetime:
    return datetime.now(UTC)


@define(eq=False)
class ManualClock:
    """Stands still until it is told to go on."""

    at: datetime = datetime(2026, 1, 1, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.at

    def advance(self, seconds: float) -> None:
        self.at += timedelta(seconds=seconds)


def stamp(at: datetime) -> str:
    """Return a time as Go writes it, with what zeros end it left out."""
    text = at.strftime("%Y-%m-%dT%H:%M:%S.%f").rstrip("0").rstrip(".")
    return f"{text}Z"


def keep_alive(given: Any) -> timedelta | None:
    """Return how long a model stays; None when nothing is said.

    Raises:
        Refusal: It is no duration.
    """
    if given is None:
        return None
    if type(given) in _KINDS:
        raise Refusal(400, f"Unsupported type: '{_KINDS[type(given)]}'")
    seconds = _seconds(given) if isinstance(given, str) else float(given)
    return FOR_EVER if seconds < 0 else min(timedelta(seconds=seconds), FOR_EVER)


def _seconds(text: str) -> float:
    sign, rest = (-1, text[1:]) if text.startswith("-") else (1, text.removeprefix("+"))
    if rest == "0":
        return 0
    if not re.fullmatch(f"({_PIECE})+", rest):
        raise Refusal(400, f'time: invalid duration "{text}"')
    return sign * sum(float(many) * _UNITS[unit] for many, unit in re.findall(_PIECE, rest))
