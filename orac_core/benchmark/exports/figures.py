"""Numbers as people read them; what is not known is a dash."""

import math

from ...statistics import Summary

UNKNOWN = "-"

_UNITS = ("B", "KiB", "MiB", "GiB", "TiB")
_KIB = 1024


def number(value: float | None, digits: int = 3) -> str:
    """Return a number with so many digits that count, never as a power of ten."""
    if value is None or not math.isfinite(value):
        return UNKNOWN
    if value == 0:
        return "0"
    places = max(0, digits - 1 - math.floor(math.log10(abs(value))))
    return f"{value:.{min(places, 9)}f}"


def size(bytes_: float | None) -> str:
    """Return an amount of memory."""
    if bytes_ is None or not math.isfinite(bytes_):
        return UNKNOWN
    power = min(len(_UNITS) - 1, int(math.log(max(1.0, bytes_), _KIB)))
    return f"{number(bytes_ / _KIB**power)} {_UNITS[power]}"


def count(value: int | None) -> str:
    """Return a large number of things, such as the weights of a model."""
    if value is None:
        return UNKNOWN
    for power, unit in ((9, " B"), (6, " M"), (3, " K")):
        if value >= 10**power:
            return f"{number(value / 10**power)}{unit}"
    return str(value)


def median(found: Summary | None, times: float = 1.0) -> str:
    """Return a median with its interval."""
    if found is None:
        return UNKNOWN
    return ranged(found.p50, found.ci95, times)


def ranged(value: float, ci95: tuple[float, float] | None, times: float = 1.0) -> str:
    """Return a value with its interval."""
    if ci95 is None:
        return number(value * times)
    low, high = (number(end * times) for end in ci95)
    return f"{number(value * times)} [{low}, {high}]"


def mean(found: Summary | None) -> str:
    """Return a mean with the standard deviation behind it."""
    if found is None:
        return UNKNOWN
    return f"{found.mean:.2f} ± {found.sd:.2f}"


def percent(ratio: float | None) -> str:
    """Return a change in percent, with its sign."""
    if ratio is None or not math.isfinite(ratio):
        return UNKNOWN
    return f"{ratio * 100:+.1f} %"


def short(text: str, most: int = 40) -> str:
    """Return a text that may be long, cut in its middle."""
    if len(text) <= most:
        return text
    half = (most - 1) // 2
    return f"{text[: most - 1 - half]}…{text[-half:]}"
