"""What a program that uses ORAC as a library registers: objects of its own, to be served as models.

Nothing of this can be said in a request.
"""

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from os import PathLike
from pathlib import Path
from typing import Any

from attrs import Attribute, define, field, frozen
from attrs.validators import ge, gt, is_callable, le, min_len, optional

from .errors import ConfigurationError

CAPABILITIES = ("completion", "chat", "embedding")
"""What an object may be said to do."""

MOST_AT_ONCE = 64

_CHECKSUM = re.compile("sha256:[0-9a-fA-F]{64}|sha1:[0-9a-fA-F]{40}|md5:[0-9a-fA-F]{32}")


def a_checksum(_: object, attribute: "Attribute[Any]", value: str | None) -> None:
    """Refuse what is no checksum of a file; a validator of attrs."""
    if value is not None and not _CHECKSUM.fullmatch(value):
        raise ValueError(
            f"{attribute.name!r} must be sha256:, sha1: or md5: and hexadecimal digits: {value}"
        )


def _capabilities(_: object, __: "Attribute[Any]", value: tuple[str, ...] | None) -> None:
    if value is not None and not {*value} <= {*CAPABILITIES}:
        raise ValueError(f"'capabilities' may hold {', '.join(CAPABILITIES)}: {value}")


def _a_tuple(value: Iterable[str] | None) -> tuple[str, ...] | None:
    return None if value is None else tuple(value)


def _a_path(value: str | PathLike[str] | None) -> Path | None:
    return None if value is None else Path(value)


@frozen
class Registration:
    """How an object is made, and what is wanted of it.

    Attributes:
        name: What it is called.
        loader: Makes it, in a thread; it may be ``async def``.
        kwargs: What *loader* is called with.
        path: A file or folder that it needs; *loader* gets it as ``path``, a text.
        checksum: ``sha256:…`` that the file must have.
        check: Called with the object once it is made; raises, or returns False, when it is no good.
        capabilities: What the object can do; None to find out.
        parallel: Calls of it at once; most objects of Python bear one.
        start_timeout_s: Time that *loader* has.
        required: Whether ORAC is unhealthy as long as it is not usable.
        load_at_start: Whether to load it as soon as ORAC has started.
    """

    name: str = field(validator=min_len(1))
    loader: Callable[..., object] = field(validator=is_callable())
    kwargs: Mapping[str, Any] = field(factory=dict, repr=False)
    path: Path | None = field(default=None, converter=_a_path)
    checksum: str | None = field(default=None, validator=a_checksum)
    check: Callable[[Any], object] | None = field(default=None, validator=optional(is_callable()))
    capabilities: tuple[str, ...] | None = field(
        default=None, converter=_a_tuple, validator=_capabilities
    )
    parallel: int = field(default=1, validator=[ge(1), le(MOST_AT_ONCE)])
    start_timeout_s: float = field(default=300.0, validator=gt(0.0))
    required: bool = False
    load_at_start: bool = False

    def __attrs_post_init__(self) -> None:
        if self.checksum is not None and self.path is None:
            raise ValueError("'checksum' is that of the file at 'path'; say which file")
        if self.path is not None and "path" in self.kwargs:
            raise ValueError("'path' stands in 'kwargs' too; say it once")


@define(eq=False)
class Registry:
    """The objects that were registered, served by the first backend of kind ``python``."""

    _found: dict[str, Registration] = field(factory=dict, init=False)
    _taken: frozenset[str] | None = field(default=None, init=False)

    def __iter__(self) -> Iterator[Registration]:
        return iter(tuple(self._found.values()))

    def register(self, name: str, **how: Any) -> Registration:
        """Register an object.

        Args:
            name: What it is called.
            how: The other fields of `Registration`, of which ``loader`` is needed.

        Returns:
            What was registered.

        Raises:
            ConfigurationError: when the name is taken, or something makes no sense.
        """
        try:
            made = Registration(name, **how)
        except (ValueError, TypeError) as error:
            raise ConfigurationError(f"{name!r} can not be registered: {error.args[0]}") from error
        if name in self._found or name in (self._taken or ()):
            raise ConfigurationError(f"there is a model named {name!r} already; take another name")
        self._found[name] = made
        return made

    @contextmanager
    def claimed(self, names: Collection[str]) -> Iterator["Registry"]:
        """Yield the registry to the first backend that asks, and an empty one to all others.

        Args:
            names: What the models of that backend are called already.

        Raises:
            ConfigurationError: when an object was registered under one of them.
        """
        if self._taken is not None:
            yield Registry()
            return
        for name in names:
            if name in self._found:
                raise ConfigurationError(f"{name!r} is registered, and stands in the manifest too")
        self._taken = frozenset(names)
        try:
            yield self
        finally:
            self._taken = None
