"""What the manifest may say about a backend of kind ``python``."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from attrs import Attribute, field, frozen
from attrs.validators import optional

from orac_core import Registration

from .reference import Reference

_PLACE = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*(\.[^\W\d]\w*)*")


def _a_reference(_: object, attribute: "Attribute[Any]", value: str) -> None:
    if not _PLACE.fullmatch(value):
        raise ValueError(f"{attribute.name!r} must be written 'package.module:function': {value}")


@frozen
class PythonModel:
    """A table ``[backends.NAME.models.MODEL]``.

    Attributes:
        loader: The function that makes the object: ``package.module:function``. It is imported
            and called in a thread; it may be a class, or ``async def``.
        kwargs: What it is called with; nothing of it is shown in ``GET /v1/models``.
        path: A file or folder that it needs: it is looked at before each load, and ``loader`` gets
            it as ``path``, a text.
        checksum: What the file at ``path`` must hash to: ``sha256:``, ``sha1:`` or ``md5:`` and
            hexadecimal digits; without it that of ``[models.files]``.
        check: A function that is called with the object; when it raises or returns false, the load
            has failed.
        capabilities: What the object can do: ``completion``, ``chat``, ``embedding``; empty for
            one that is only handed out and never called; without it that is found out.
        parallel: Calls of it at once, in as many threads; more of them wait.
        start_timeout_s: Time that the loader has.
    """

    loader: str = field(validator=_a_reference)
    kwargs: Mapping[str, Any] = field(factory=dict, repr=False)
    path: Path | None = None
    checksum: str | None = None
    check: str | None = field(default=None, validator=optional(_a_reference))
    capabilities: tuple[str, ...] | None = None
    parallel: int = 1
    start_timeout_s: float = 300.0

    def __attrs_post_init__(self) -> None:
        self.registration("-")  # names what makes no sense

    def registration(self, name: str) -> Registration:
        """Return the same as if a program had registered it.

        Raises:
            ValueError: when a field makes no sense.
        """
        return Registration(
            name,
            Reference(self.loader),
            self.kwargs,
            self.path.expanduser() if self.path else None,
            self.checksum,
            Reference(self.check) if self.check else None,
            self.capabilities,
            self.parallel,
            self.start_timeout_s,
        )


@frozen
class PythonSettings:
    """The objects to serve.

    Attributes:
        models: How each is made, by what it is called.
    """

    models: Mapping[str, PythonModel] = field(factory=dict)
