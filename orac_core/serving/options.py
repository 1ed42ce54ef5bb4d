"""Loads that were asked for in different ways. Pure."""

from ..errors import StateConflict
from ..types import LoadedInfo, LoadRequest


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
    if differing:
        raise StateConflict(
            f"{asked.model} {how} with {', '.join(differing)}; unload it first, then load it anew",
        )
