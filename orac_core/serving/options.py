"""Loads that were asked for in different ways. Pure."""

from collections.abc import Sequence
from pathlib import Path

from ..errors import StateConflict
from ..types import Adapter, LoadedInfo, LoadRequest


def refuse_other_options(
    asked: LoadRequest, how: str, *given: LoadRequest | LoadedInfo | None
) -> None:
    """Refuse to pass a model loaded one way for one asked for in another.

    Args:
        asked: What is asked for now.
        how: What the model is: loaded, or being loaded.
        given: What was asked for then, and what came of it. An engine may give less than it was
            asked for, so either of them will do.

    Raises:
        StateConflict: naming each option that differs.
    """
    differing = []
    for name in ("context_length", "gpu_layers", "parallel"):
        wanted = getattr(asked, name)
        had = [value for each in given if (value := getattr(each, name, None)) is not None]
        if wanted is not None and had and wanted not in had:
            differing.append(f"{name} {had[-1]} instead of {wanted}")
    differing += _other_adapters(asked, given)
    if differing:
        raise StateConflict(
            f"{asked.model} {how} with {', '.join(differing)}; unload it first, then load it anew",
        )


def shown(adapters: Sequence[Adapter]) -> str:
    """Return adapters in words."""
    named = (f"{Path(it.path).name} (scale {it.scale:g})" for it in adapters)
    return f"the adapters {', '.join(named)}" if adapters else "no adapters"


def _other_adapters(
    asked: LoadRequest, given: Sequence[LoadRequest | LoadedInfo | None]
) -> list[str]:
    """Return how the adapters differ; files that changed meanwhile are no other ones."""
    told = [each.adapters for each in given if each and each.adapters is not None]
    if asked.adapters is None or not told:
        return []
    if _names(asked.adapters) in map(_names, told):
        return []
    return [f"{shown(told[-1])} instead of {shown(asked.adapters)}"]


def _names(adapters: Sequence[Adapter]) -> list[tuple[str, float]]:
    return [(it.path, it.scale) for it in adapters]
