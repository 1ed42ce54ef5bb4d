"""What the backend tells about its models: the recipe, its file and the object, joined. Pure."""

from typing import TYPE_CHECKING

from orac_core import FileInfo, LoadedInfo, ModelInfo, ModelState, Registration

from .place import Place

if TYPE_CHECKING:
    from .held import Held

_CHANGED = "what it was made of has changed since; unload and load it to have that"

_STUCK = "a call of it has not returned yet, so it can not leave the memory"


def listed(
    recipe: Registration, place: Place | None, sha256: str | None, held: "Held | None"
) -> ModelInfo:
    """Return what is known of one model; nothing of what its loader is called with.

    Args:
        recipe: How it is made.
        place: The file that it needs; None when it needs none.
        sha256: What that hashes to, when that is known.
        held: The object; None when it is not in memory.
    """
    problem = place.problem if place else None
    file = FileInfo(str(recipe.path), sha256, problem) if place else None
    named = f"{recipe.path.name}: {problem}" if recipe.path and problem else problem
    state, reason = _state(held, named)
    return ModelInfo(
        recipe.name,
        state,
        reason,
        size_bytes=place.size_bytes if place and not problem else None,
        modified_at=place.modified_at if place else None,
        capabilities=held.capabilities if held else recipe.capabilities or (),
        file=file,
        loaded=_loaded(held),
        warning=_CHANGED if held and place and not problem and held.print != place.print else None,
        would_use=LoadedInfo(parallel=recipe.parallel),
        digest=sha256,
    )


def _state(held: "Held | None", problem: str | None) -> tuple[ModelState, str | None]:
    if held is not None:
        return (ModelState.FAILED, _STUCK) if held.leaving else (ModelState.READY, None)
    return (ModelState.FAILED if problem else ModelState.STOPPED), problem


def _loaded(held: "Held | None") -> LoadedInfo | None:
    if held is None:
        return None
    return LoadedInfo(parallel=held.recipe.parallel, memory_bytes=held.memory_bytes)
