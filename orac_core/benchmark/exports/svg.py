"""Drawing in SVG: escaped elements, and scales from values to places."""

import math
import re
from collections.abc import Iterator, Sequence
from html import escape

from attrs import frozen

Markup = str
"""Text in which everything that others said is escaped."""

_HIDDEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ufffe\uffff]"
)

_LEAST_SPREAD = 1e-9

TICKS = 5
"""About so many of them stand on an axis."""


def element(name: str, *inside: Markup, **attributes: float | str | None) -> Markup:
    """Return an element; ``class_`` is its class, and ``_`` in a name stands for ``-``."""
    given = "".join(
        f' {_attribute(key)}="{_value(value)}"'
        for key, value in attributes.items()
        if value is not None
    )
    return f"<{name}{given}>{''.join(inside)}</{name}>"


def text(words: object) -> Markup:
    """Return *words* so that nothing in them is markup."""
    return escape(_printable(str(words)))


@frozen
class Scale:
    """From values to places on a line.

    Attributes:
        low: The value at the beginning.
        high: The value at the end.
        start: The place of the beginning.
        end: The place of the end.
    """

    low: float
    high: float
    start: float
    end: float

    @classmethod
    def over(
        cls, values: Sequence[float], start: float, end: float, *, zero: bool = True
    ) -> "Scale":
        """Return one on which all *values* have a place, from 0 on where *zero* says so."""
        known = [value for value in values if math.isfinite(value)] or [0.0]
        low, high = (min(0.0, *known), max(0.0, *known)) if zero else (min(known), max(known))
        spread = max(high - low, max(abs(low), abs(high)) * _LEAST_SPREAD)
        room = 0.05 * (spread if spread > _LEAST_SPREAD else 1.0)
        return cls(low if zero and low == 0 else low - room, high + room, start, end)

    def __call__(self, value: float) -> float:
        """Return the place of *value*."""
        part = (value - self.low) / (self.high - self.low)
        return round(self.start + part * (self.end - self.start), 2)

    @property
    def ticks(self) -> Iterator[float]:
        """Round values on the scale, ascending."""
        step = _round_up((self.high - self.low) / TICKS)
        first = math.ceil(self.low / step)
        for nth in range(first, first + 2 * TICKS + 1):
            if nth * step <= self.high:
                yield nth * step


def _round_up(step: float) -> float:
    power = 10.0 ** math.floor(math.log10(step))
    return next(power * times for times in (1, 2, 5, 10, 20) if power * times >= step)


def _attribute(key: str) -> str:
    return key.rstrip("_").replace("_", "-") if key != "viewBox" else key


def _value(value: float | str) -> str:
    return text(value) if isinstance(value, str) else f"{value:g}"


def _printable(words: str) -> str:
    """Return *words* without what HTML does not allow, and what turns the direction of others."""
    known = words.encode(errors="replace").decode()
    return _HIDDEN.sub("�", known)
