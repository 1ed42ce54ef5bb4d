"""What of a model's speed is kept over a restart, as plain JSON values."""

from functools import cache
from typing import Any

from attrs import frozen
from cattrs import Converter

from ..doctor import Snapshot
from ..pace import Pace

DOCUMENT = "baselines"


@frozen
class Remembered:
    """The baselines of one model, and what was known when the last one was made.

    Attributes:
        pace: Baselines, as `Pace.as_data` gives them.
        rates: Rates of the canaries that made the last one.
        then: What was known around them.
    """

    pace: list[dict[str, Any]]
    rates: tuple[float, ...] = ()
    then: Snapshot | None = None

    @classmethod
    def of(cls, pace: Pace, rates: tuple[float, ...], then: Snapshot | None) -> "Remembered":
        """Return what is to be kept."""
        return cls(pace.as_data(), rates, then)


def pack(value: Remembered) -> Any:
    """Return *value* in plain JSON values."""
    return _converter().unstructure(value)


def unpack(data: object) -> Remembered | None:
    """Return what `pack` made; None of what is none of that."""
    try:
        return _converter().structure(data, Remembered)
    except Exception:  # noqa: BLE001 - cattrs raises whatever the values raise
        return None


@cache
def _converter() -> Converter:
    return Converter(prefer_attrib_converters=True)
