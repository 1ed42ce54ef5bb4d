"""JSON as a model writes it: read with suspicion, so that nothing it says can do harm.

Stricter than ``json.loads``: what RFC 8259 does not have (NaN, Infinity) is refused, and so is
what programs read differently: the same key twice, half a surrogate pair, numbers beyond a double.
"""

import json
import math
from collections.abc import Iterator
from typing import Any, NoReturn

MAX_DEPTH = 64
"""Lists and objects inside each other."""

MAX_DIGITS = 308
"""Of a whole number: the largest double has as many."""

_FENCE = "```"


class NotJson(ValueError):
    """The text is no JSON, or none that every program reads alike; the message says why."""


def read(text: str) -> Any:
    """Return the value that *text* is, all of it.

    Raises:
        NotJson: saying why it is none.
    """
    try:
        value = json.loads(
            text,
            object_pairs_hook=_object,
            parse_constant=_refuse,
            parse_int=_whole,
            parse_float=_double,
        )
    except NotJson:
        raise
    except (ValueError, RecursionError) as error:
        raise NotJson(f"no JSON: {error}") from error
    _hold_to_limits(value)
    return value


def read_loosely(text: str) -> Any:
    """Return the value that *text* is, or that stands in the only code block of it.

    Raises:
        NotJson: saying why there is none.
    """
    blocks = list(_blocks(text))
    return read(blocks[0] if len(blocks) == 1 else text)


def same(one: Any, other: Any) -> bool:
    """Whether two values are equal as JSON has it: 1 is 1.0 and is not true."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    return isinstance(one, bool) is isinstance(other, bool) and bool(one == other)


def _blocks(text: str) -> Iterator[str]:
    """Yield what stands between each opening and closing fence."""
    inside: list[str] | None = None
    for line in text.splitlines():
        if inside is None:
            inside = [] if line.startswith(_FENCE) else None
        elif line.rstrip() == _FENCE:
            yield "\n".join(inside)
            inside = None
        else:
            inside.append(line)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made: dict[str, Any] = {}
    for key, value in pairs:
        if key in made:
            raise NotJson(f"the key {key[:60]!r} stands twice in an object")
        made[key] = value
    return made


def _refuse(name: str) -> NoReturn:
    raise NotJson(f"JSON has no {name}")


def _whole(digits: str) -> int:
    if len(digits.lstrip("-")) > MAX_DIGITS:
        raise NotJson(f"a number of over {MAX_DIGITS} digits")
    return int(digits)


def _double(digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value):
        raise NotJson(f"the number {digits[:60]} is too large")
    return value


def _hold_to_limits(value: Any) -> None:
    level = [value]
    for _ in range(MAX_DEPTH + 1):
        for each in filter(_is_broken, level):
            raise NotJson(f"half a surrogate pair in {each[:60]!r}")
        if not any(isinstance(each, dict | list) for each in level):
            return
        level = [part for each in level for part in _parts(each)]
    raise NotJson(f"nested more than {MAX_DEPTH} deep")


def _parts(value: Any) -> Iterator[Any]:
    if isinstance(value, dict):
        yield from value
        yield from value.values()
    elif isinstance(value, list):
        yield from value


def _is_broken(value: Any) -> bool:
    return isinstance(value, str) and any("\ud800" <= letter <= "\udfff" for letter in value)
