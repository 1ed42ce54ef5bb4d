"""What crosses between ORAC, the bridge and the replicas: plain data, in MessagePack. Pure.

A stream is made of messages, each a letter and what it carries; exactly one `END` or `ERROR` comes
last.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Self, TypeVar

import msgspec
from attrs import field, frozen

from orac_core import BackendError, OracError

T = TypeVar("T")

TAKEN = b"t"
"""A replica has begun to work on it; pieces of a text that come at once need no such sign."""

ITEM = b"i"
"""A piece: what it is, the operation says."""

END = b"e"
"""It is over and whole; an answer that is no stream comes with it, or the last pieces of one."""

ERROR = b"x"
"""It is over and failed; a `Failure` comes with it."""


def _with_all_below(kind: type[OracError]) -> Iterator[type[OracError]]:
    yield kind
    for each in kind.__subclasses__():
        yield from _with_all_below(each)


_ERRORS: Mapping[str, type[OracError]] = MappingProxyType(
    {
        each.__name__: each
        for each in _with_all_below(OracError)
        if each.__module__.startswith("orac_core.")  # a plugin's own is not known everywhere
    }
)

packed = msgspec.msgpack.encode


def unpacked(data: bytes, kind: type[T]) -> T:
    """Return the value of that *kind*.

    Raises:
        BackendError: when it is none, as from an ORAC of another version.
    """
    try:
        return msgspec.msgpack.decode(data, type=kind)
    except msgspec.DecodeError as error:
        raise BackendError(
            f"what came is no {kind.__name__} ({error}); install the same version of ORAC on every "
            "node of the cluster",
        ) from error


@frozen
class Question:
    """What ORAC asks the bridge.

    Attributes:
        operation: What to do.
        app: The application on the cluster that it is for.
        body: What the operation takes.
    """

    operation: str
    app: str = ""
    body: bytes = b""


@frozen
class Failure:
    """An error of ORAC's as plain data.

    Attributes:
        kind: Name of its class.
        message: What it says.
        facts: Its attributes that are plain.
    """

    kind: str
    message: str
    facts: Mapping[str, Any] = field(factory=dict)

    @classmethod
    def of(cls, error: OracError) -> Self:
        """Return *error* as plain data; one of a class that is not known here as its base."""
        bases = (each.__name__ for each in type(error).__mro__)
        known = next(each for each in bases if each in _ERRORS)
        return cls(known, str(error), {name: _plain(it) for name, it in vars(error).items()})

    def error(self) -> OracError:
        """Return the error again."""
        kind = _ERRORS.get(self.kind, BackendError)
        error = kind.__new__(kind)
        error.__dict__.update(self.facts)
        if "path" in self.facts:
            error.__dict__["path"] = Path(str(self.facts["path"]))
        error.args = (self.message,)
        return error


def failed(error: OracError) -> bytes:
    """Return *error* as the last message of a stream."""
    return ERROR + packed(Failure.of(error))


def _plain(value: object) -> Any:
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, Mapping):
        return {str(key): _plain(each) for key, each in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(each) for each in value]
    return str(value)
