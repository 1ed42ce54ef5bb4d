"""What the pages of the reference say because the code says it: a generator for each topic."""

from collections.abc import Callable, Mapping
from types import MappingProxyType

from . import commands, contract, errors, events, hooks, metrics, routes, settings

TOPICS: Mapping[str, Callable[[], Mapping[str, str]]] = MappingProxyType(
    {
        "command": commands.sections,
        "contract": contract.sections,
        "errors": errors.sections,
        "events": events.sections,
        "hooks": hooks.sections,
        "metrics": metrics.sections,
        "routes": routes.sections,
        "settings": settings.sections,
    }
)
"""What makes the sections of each topic: Markdown by the name of the section."""


def sections() -> dict[str, str]:
    """Return everything that pages have to have, by what stands in the marker of it."""
    return {
        f"{topic} {name}".strip(): text
        for topic, made in TOPICS.items()
        for name, text in made().items()
    }


__all__ = ["TOPICS", "sections"]
