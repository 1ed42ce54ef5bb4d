"""The key-value part of a GGUF: walked once, values looked at only when they are asked for.

Source: the GGUF specification (``docs/gguf.md`` of ggml) for the layout; for what is refused,
``gguf.cpp`` of llama.cpp, as a file its engine will not open is of no use. Refused beyond that:
keys that are not UTF-8, booleans other than 0 and 1 (both against the specification), and
amounts no model comes near, which keeps time and memory bounded for any input.
"""

import struct
from typing import Final

from attrs import define, field, frozen

from .malformed import Malformed, quoted
from .window import Window, read_at

STRING: Final = 8
ARRAY: Final = 9
_BOOL: Final = 7

_SCALARS: Final = {
    0: struct.Struct("<B"),
    1: struct.Struct("<b"),
    2: struct.Struct("<H"),
    3: struct.Struct("<h"),
    4: struct.Struct("<I"),
    5: struct.Struct("<i"),
    6: struct.Struct("<f"),
    _BOOL: struct.Struct("<B"),
    10: struct.Struct("<Q"),
    11: struct.Struct("<q"),
    12: struct.Struct("<d"),
}

_MAX_KEYS = 16_384  # a model has 20 to 60
_MAX_KEY_BYTES = 1024
_MAX_STRINGS = 4_000_000  # a vocabulary of 260 000 with its merges has 800 000
_MAX_NUMBERS = 4096  # in a list that is read: one for each layer
_SMALLEST_ENTRY = 8 + 1 + 4 + 1  # length of the key, key, type, value
_U32_MAX = 2**32 - 1


@frozen
class Text:
    """A string that stays in the file."""

    position: int
    length: int


@frozen
class Items:
    """A list that stays in the file."""

    kind: int
    position: int
    count: int


Value = int | float | bool | Text | Items


@define(eq=False)
class Metadata:
    """What the keys of one open file hold; strings and lists are fetched on demand."""

    descriptor: int
    values: dict[str, Value] = field(factory=dict, init=False)
    _strings_left: int = field(default=_MAX_STRINGS, init=False)

    def read(self, window: Window, count: int) -> None:
        """Walk over ``count`` entries.

        Raises:
            Malformed: They are not as the format wants them.
        """
        if count > _MAX_KEYS:
            raise Malformed(f"declares {count} metadata keys; at most {_MAX_KEYS} are read")
        window.require(count * _SMALLEST_ENTRY)
        for _ in range(count):
            key = _key(window)
            if key in self.values:
                raise Malformed(f"the key {quoted(key)} stands in it twice")
            self.values[key] = self._value(window, key)

    def whole_number(self, key: str) -> int | None:
        """Return a number of 0 to 2³²-1, which is what engines take; None when it is absent."""
        value = self.values.get(key)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int):
            raise Malformed(f"{quoted(key)} is {_kind(value)}; expected a whole number")
        return _within_engines(key, value)

    def numbers(self, key: str) -> tuple[int, ...]:
        """Return a list of whole numbers, or the one number that stands in its place."""
        value = self.values.get(key)
        if not isinstance(value, Items):
            number = self.whole_number(key)
            return () if number is None else (number,)
        if value.kind not in _WHOLE or value.count > _MAX_NUMBERS:
            raise Malformed(f"{quoted(key)} is no list of at most {_MAX_NUMBERS} whole numbers")
        form = _SCALARS[value.kind]
        raw = read_at(self.descriptor, value.position, value.count * form.size)
        return tuple(_within_engines(key, int(number)) for (number,) in form.iter_unpack(raw))

    def flags(self, key: str) -> tuple[int, ...]:
        """Return a list of booleans or whole numbers, or the one number that stands in its place.

        It is empty when the key is absent.
        """
        value = self.values.get(key)
        if isinstance(value, Items) and value.kind == _BOOL and value.count <= _MAX_NUMBERS:
            return tuple(read_at(self.descriptor, value.position, value.count))
        return self.numbers(key)

    def text(self, key: str, limit: int) -> bytes | None:
        """Return a string's first ``limit`` bytes; None when it is absent."""
        value = self.values.get(key)
        if value is None:
            return None
        if not isinstance(value, Text):
            raise Malformed(f"{quoted(key)} is {_kind(value)}; expected a string")
        return read_at(self.descriptor, value.position, min(value.length, limit))

    def count(self, key: str) -> int | None:
        """Return how many strings a list of strings has; None when it is absent."""
        value = self.values.get(key)
        if value is None:
            return None
        if not isinstance(value, Items) or value.kind != STRING:
            raise Malformed(f"{quoted(key)} is {_kind(value)}; expected a list of strings")
        return value.count

    def _value(self, window: Window, key: str) -> Value:
        kind = window.u32()
        if kind == STRING:
            return _string(window)
        if kind == ARRAY:
            return self._items(window, key)
        return _scalar(window, key, kind)

    def _items(self, window: Window, key: str) -> Items:
        kind, count = window.u32(), window.u64()
        items = Items(kind, window.position, count)
        if kind == STRING:
            self._skip_strings(window, key, count)
        elif kind == ARRAY:
            # The specification allows them; no engine reads them and no model has them.
            raise Malformed(f"{quoted(key)} is a list of lists, which no engine reads")
        else:
            window.skip(_form(key, kind).size * count)
        return items

    def _skip_strings(self, window: Window, key: str, count: int) -> None:
        window.require(count * 8)
        self._strings_left -= count
        if self._strings_left < 0:
            raise Malformed(f"with {quoted(key)} it has more than {_MAX_STRINGS} strings in lists")
        window.skip_strings(count)


_WHOLE = frozenset({0, 1, 2, 3, 4, 5, 10, 11})


def _key(window: Window) -> str:
    length = window.u64()
    window.require(length)
    if not 0 < length <= _MAX_KEY_BYTES:
        raise Malformed(f"a key has {length} bytes; 1 to {_MAX_KEY_BYTES} are read")
    raw = window.take(length)
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        raise Malformed(f"the key {quoted(raw)} is not UTF-8") from error


def _string(window: Window) -> Text:
    length = window.u64()
    text = Text(window.position, length)
    window.skip(length)
    return text


def _scalar(window: Window, key: str, kind: int) -> int | float | bool:
    form = _form(key, kind)
    value: int | float = form.unpack(window.take(form.size))[0]
    if kind != _BOOL:
        return value
    if value > 1:
        raise Malformed(f"{quoted(key)} is a boolean of {value}; expected 0 or 1")
    return bool(value)


def _form(key: str, kind: int) -> struct.Struct:
    try:
        return _SCALARS[kind]
    except KeyError:
        raise Malformed(f"{quoted(key)} has the unknown value type {kind}") from None


def _within_engines(key: str, number: int) -> int:
    if not 0 <= number <= _U32_MAX:
        raise Malformed(f"{quoted(key)} is {number}; expected 0 to {_U32_MAX}")
    return number


def _kind(value: Value) -> str:
    match value:
        case Text():
            return "a string"
        case Items():
            return "a list"
        case bool():
            return "a boolean"
        case float():
            return "a number with a fraction"
        case _:
            return "a whole number"
