"""What the backend tells about its models: the file on the disk and the worker, joined. Pure."""

from attrs import evolve

from orac_core import ModelFile, ModelInfo, ModelState

from .._described import described
from .worker_process import Worker


def listed(file: ModelFile, worker: Worker | None) -> ModelInfo:
    """Return what is known of one model; a broken file that no worker uses is ``failed``."""
    info = described(file)
    if worker is None:
        return info
    info = evolve(info, loaded=worker.loaded)
    if worker.state is ModelState.STOPPED:
        return info
    return evolve(info, state=worker.state, state_reason=worker.reason)
