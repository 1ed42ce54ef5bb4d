"""Figures as sensors give them: one that can not be true is None."""

MOST_BYTES = 1 << 60
"""More than any machine has."""

COLDEST_C, HOTTEST_C = -50.0, 150.0
"""Beyond these a sensor is offline (Jetson says -256 °C then) or broken."""

MOST_WATTS = 10_000.0
MOST_HERTZ = 100_000_000_000


def number(value: object, least: float, most: float) -> float | None:
    """Return *value* when it is a number from *least* to *most*; texts and NaN are none."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return value if least <= value <= most else None


def size(value: object, unit: int = 1) -> int | None:
    """Return the bytes in *value* times *unit*."""
    found = number(value, 0, MOST_BYTES // unit)
    return None if found is None else int(found) * unit


def celsius(value: object, per_degree: int = 1) -> float | None:
    """Return the temperature in *value*, of which *per_degree* make one degree."""
    found = number(value, COLDEST_C * per_degree, HOTTEST_C * per_degree)
    return None if found is None else found / per_degree


def watts(value: object, per_watt: int = 1000) -> float | None:
    """Return the power in *value*, of which *per_watt* make one watt.

    0 is none, for what can be asked takes some.
    """
    found = number(value, 0, MOST_WATTS * per_watt)
    return found / per_watt if found else None


def ratio(value: object, whole: int) -> float | None:
    """Return which share *value* is of *whole*."""
    found = number(value, 0, whole)
    return None if found is None else found / whole


def hertz(value: object, unit: int = 1) -> int | None:
    """Return the frequency in *value* times *unit*; 0 is none."""
    found = number(value, 0, MOST_HERTZ // unit)
    return int(found) * unit if found else None


def part(value: int | None, whole: int | None) -> int | None:
    """Return *value* unless it is more than the *whole* that it is a part of."""
    return None if value is None or (whole is not None and value > whole) else value


def name(value: object) -> str | None:
    """Return the printable text in *value*; what drivers write for "unknown" is none."""
    text = value.decode(errors="replace") if isinstance(value, bytes) else value
    if not isinstance(text, str):
        return None
    text = "".join(each for each in text.partition("\0")[0].strip()[:200] if each.isprintable())
    return None if text.lower() in {"", "n/a", "[n/a]", "unknown", "none"} else text
