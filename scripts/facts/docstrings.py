"""Docstrings as Markdown (pure)."""

import inspect
import re
from collections.abc import Mapping

SECTION = re.compile(r"^(Attributes|Args|Raises|Returns|Yields):\n", re.MULTILINE)
ENTRY = re.compile(r"^(\w+): ", re.MULTILINE)


def told(owner: object) -> str:
    """Return what the docstring of *owner* says before its sections, as one paragraph."""
    return markdown(_parts(owner)[0])


def attributes(cls: type) -> Mapping[str, str]:
    """Return what the docstrings of *cls* and of those before it say of each attribute."""
    found: dict[str, str] = {}
    for each in reversed(cls.__mro__):
        found |= entries(each, "Attributes")
    return found


def entries(owner: object, section: str) -> Mapping[str, str]:
    """Return what stands in a section of a docstring, by name."""
    parts = _parts(owner)
    sections = dict(zip(parts[1::2], parts[2::2], strict=True))
    _, *listed = ENTRY.split(inspect.cleandoc(f"\n{sections.get(section, '')}"))
    return {name: markdown(text) for name, text in zip(listed[::2], listed[1::2], strict=True)}


def markdown(text: str) -> str:
    """Return a piece of a docstring as one line of Markdown."""
    plain = re.sub(r":\w+:`~?(?:\w+\.)*(\w+)`", r"`\1`", text).replace("``", "`")
    return " ".join(plain.split())


def _parts(owner: object) -> list[str]:
    return SECTION.split(inspect.cleandoc(owner.__doc__ or ""))
