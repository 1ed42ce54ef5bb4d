"""Numbers as people type them, and the values they stand for."""

import random
import re
from zlib import crc32

from . import words

NUMERAL = re.compile(r"\d*\.?\d+")
LONGEST = 99
"""The farthest move in meters, and the farthest coordinate from zero."""

FULL_TURN = 360
HELD_OUT = 10
"""One in this many numerals, and one in this many wordings, is kept for the measurement."""

SMALL = 0.4
WHOLE = 0.6
"""Parts of the numbers: up to twelve, and whole; the rest have one decimal."""


def is_held_out(numeral: str) -> bool:
    """Whether training never shows this numeral; those of one or two characters it all shows."""
    return len(numeral) > len("10") and crc32(numeral.encode()) % HELD_OUT == 0


def plain(value: float) -> float:
    """The value as JSON writes it shortest: a whole number without a decimal point."""
    short = round(value, 4)
    return int(short) if short == int(short) else short


def positive(rng: random.Random) -> str:
    """A numeral above zero and at most ``LONGEST``: mostly small, with at most one decimal."""
    kind = rng.random()
    if kind < SMALL:
        return str(rng.randint(1, 12))
    if kind < WHOLE:
        return str(rng.randint(1, LONGEST))
    return f"{rng.randint(0, rng.choice((9, 20)))}.{rng.randint(1, 9)}"


def length(rng: random.Random) -> tuple[str, float]:
    """A length with its unit, and its meters."""
    kind = rng.random()
    if kind < 1 / 8:
        text = rng.choice(list(words.WORD_LENGTHS))
        return text, words.WORD_LENGTHS[text]
    if kind < 1 / 5:
        centimeters = 5 * rng.randint(1, 40)
        return joined(rng, str(centimeters), words.CENTIMETER_UNITS), plain(centimeters / 100)
    numeral = positive(rng)
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
    numeral = str(degrees)
    return f"{numeral}{rng.choice(words.DEGREE_UNITS)}", plain(float(numeral))


def coordinate(rng: random.Random) -> tuple[str, float]:
    """A coordinate from ``-LONGEST`` to ``LONGEST``, as text and value."""
    if rng.random() < 1 / 12:
        return "0", 0
    numeral = positive(rng)
    if rng.random() < SMALL:
        return f"-{numeral}", plain(-float(numeral))
    return numeral, plain(float(numeral))
