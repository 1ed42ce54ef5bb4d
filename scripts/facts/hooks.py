"""The hooks of a backend, out of their specifications."""

import inspect
from collections.abc import Callable
from types import NoneType
from typing import Any, get_args, get_origin, get_type_hints

from orac_core import hookspecs
from orac_core.plugins import REQUIRED

from .docstrings import entries, told
from .markdown import code, table

WORDS = {"Awaitable": "awaitable of", "AsyncGenerator": "async generator of"}


def sections() -> dict[str, str]:
    """Return a table of the hooks, and what each has to do."""
    found = specifications()
    return {
        "table": table(("hook", "returns", "has to be there"), map(_row, found)),
        "each": "\n\n".join(map(section, found)),
    }


def specifications() -> list[Callable[..., Any]]:
    """Return every specification, in the order in which they are written."""
    mark = f"{hookspecs.PROJECT}_spec"
    return [each for each in vars(hookspecs).values() if hasattr(each, mark)]


def section(hook: Callable[..., Any]) -> str:
    """Return what a hook is called with, and what it has to do and may raise."""
    raised = [f"- {code(name)}: {when}" for name, when in entries(hook, "Raises").items()]
    parts = (f"### {signature(hook)}", told(hook), "It may raise:" if raised else "")
    return "\n\n".join(filter(None, (*parts, "\n".join(raised))))


def signature(hook: Callable[..., Any]) -> str:
    """Return the name of a hook with its arguments, as code."""
    return code(f"{hook.__name__}({', '.join(inspect.signature(hook).parameters)})")


def returned(annotation: Any) -> str:
    """Return in words what a hook returns."""
    outer = getattr(get_origin(annotation), "__name__", "")
    within = get_args(annotation)
    if not within:
        return "nothing" if annotation in (None, NoneType) else code(annotation.__name__)
    return f"{WORDS.get(outer, f'{outer.lower()} of')} {returned(within[0])}"


def _row(hook: Callable[..., Any]) -> tuple[str, ...]:
    needed = "yes" if hook.__name__ in REQUIRED else "no"
    returns = returned(get_type_hints(hook)["return"])
    return (
        signature(hook),
        returns,
        "on a plugin with kinds" if hook is hookspecs.backend_kinds else needed,
    )
