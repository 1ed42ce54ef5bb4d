"""What the backend tells about its models: the file on the disk and the worker, joined. Pure."""

from attrs import evolve

from orac_core import ModelFile, ModelInfo, ModelState

from .._described import described
from .worker_process import Worker


def listed(file: ModelFile, worker: Worker | None, pooling: str | None = None) -> ModelInfo:
    """Return what is known of one model; a broken file that no worker uses is ``failed``.

    Args:
        file: The model.
        worker: What serves it; None when nothing does.
        pooling: How it makes vectors; None when it makes none.
    """
    info = described(file)
    if pooling and "completion" in info.capabilities:
        info = _embedding(info, pooling)
    if worker is None:
        return info
    info = evolve(info, loaded=worker.loaded)
    if worker.state is ModelState.STOPPED:
        return info
    info = _corrected(info, knows_tools=worker.knows_tools)
    return evolve(info, state=worker.state, state_reason=worker.reason)


def _embedding(info: ModelInfo, pooling: str) -> ModelInfo:
    """Return a model that makes vectors too, with the memory that this takes."""
    shape = evolve(info.shape, pooling=pooling) if info.shape else None
    return evolve(info, capabilities=(*info.capabilities, "embedding"), shape=shape)


def _corrected(info: ModelInfo, *, knows_tools: bool) -> ModelInfo:
    """Return a model with what the engine made of its chat template."""
    others = tuple(it for it in info.capabilities if it != "tools")
    return evolve(info, capabilities=(*others, "tools") if knows_tools else others)
