"""Numbers as people type them, and the values they stand for."""

import random
import re
from zlib import crc32

from . import words

NUMERAL = re.compile(r"\d*\.?\d+")
LONGEST = 99.99
"""The farthest move in meters, and the farthest coordinate from zero."""

FULL_TURN = 360
HELD_OUT = 10
"""One in this many numerals, and one in this many wordings, is kept for the measurement."""

SMALL = 0.4
WHOLE = 0.55
ONE_DECIMAL = 0.7
"""Parts of the numbers, or of the rest of them: up to twelve, whole, with a single decimal."""


def is_held_out(numeral: str) -> bool:
    """Whether training never shows this numeral; those of one or two characters it all shows."""
    return len(numeral) > len("10") and crc32(numeral.encode()) % HELD_OUT == 0


def plain(value: float) -> float:
    """The value as JSON writes it shortest: a whole number without a decimal point."""
    short = round(value, 4)
    return int(short) if short == int(short) else short


def positive(rng: random.Random) -> str:
    """A numeral above zero and at most ``LONGEST``: mostly small, with up to two decimals."""
    kind = rng.random()
    if kind < SMALL:
        return str(rng.randint(1, 12))
    if kind < WHOLE:
        return str(rng.randint(1, 99))
    whole = rng.randint(0, rng.choice((9, 9, 99)))
    single = rng.random() < ONE_DECIMAL
    decimals = str(rng.randint(1, 9)) if single else f"{rng.randint(1, 99):02}"
    numeral = f"{whole}.{decimals}"
    return numeral[1:] if whole == 0 and rng.random() < 1 / 10 else numeral


def with_trailing_zero(rng: random.Random, numeral: str) -> str:
    """Now and then ``2.0`` for ``2`` and ``1.50`` for ``1.5``, which mean the same."""
    if rng.random() > 1 / 16 or (numeral.count(".") and len(numeral.split(".")[1]) > 1):
        return numeral
    return f"{numeral}0" if "." in numeral else f"{numeral}.0"


def length(rng: random.Random) -> tuple[str, float]:
    """A length with its unit, and its meters."""
    kind = rng.random()
    if kind < 1 / 8:
        text = rng.choice(list(words.WORD_LENGTHS))
        return text, words.WORD_LENGTHS[text]
    if kind < 1 / 4:
        centimeters = rng.choice((rng.randint(1, 99), 5 * rng.randint(1, 60), rng.randint(1, 999)))
        return joined(rng, str(centimeters), words.CENTIMETER_UNITS), plain(centimeters / 100)
    numeral = with_trailing_zero(rng, positive(rng))
    units = ("",) if rng.random() < 1 / 16 else words.METER_UNITS
    return joined(rng, numeral, units), plain(float(numeral))


def joined(rng: random.Random, numeral: str, units: tuple[str, ...]) -> str:
    """A numeral and one of the units; a symbol may stand right behind the numeral."""
    unit = rng.choice(units)
    symbol = unit in {"", "m", "cm"} and rng.random() < 1 / 2
    return f"{numeral}{unit}" if symbol or not unit else f"{numeral} {unit}"


def angle(rng: random.Random) -> tuple[str, float]:
    """An angle above zero and up to a full turn with its unit, and its degrees."""
    kind = rng.random()
    if kind < 1 / 8:
        text = rng.choice(list(words.WORD_ANGLES))
        return text, words.WORD_ANGLES[text]
    degrees = rng.choice(words.COMMON_ANGLES) if kind < SMALL else rng.randint(1, FULL_TURN)
    numeral = f"{degrees - 1}.{rng.randint(1, 9)}" if rng.random() < 1 / 10 else str(degrees)
    return f"{numeral}{rng.choice(words.DEGREE_UNITS)}", plain(float(numeral))


def coordinate(rng: random.Random) -> tuple[str, float]:
    """A coordinate from ``-LONGEST`` to ``LONGEST``, as text and value."""
    if rng.random() < 1 / 12:
        return "0", 0
    numeral = with_trailing_zero(rng, positive(rng))
    if rng.random() < SMALL:
        sign = "minus " if rng.random() < 1 / 12 else "-"
        return f"{sign}{numeral}", plain(-float(numeral))
    return numeral, plain(float(numeral))
