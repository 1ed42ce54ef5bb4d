"""What the backend tells about its models: the checkpoint and the worker, joined. Pure."""

from pathlib import Path

from attrs import evolve

from orac_core import FileInfo, LoadedInfo, ModelInfo, ModelState

from .checkpoint import Checkpoint
from .plan import usual
from .settings import TransformersSettings
from .worker_process import Worker


def listed(found: Checkpoint, worker: Worker | None, settings: TransformersSettings) -> ModelInfo:
    """Return what is known of one model; a broken checkpoint that no worker uses is ``failed``."""
    info = _described(found, usual(found, settings))
    if worker is None:
        return info
    info = evolve(info, loaded=worker.loaded)
    if worker.state is ModelState.STOPPED:
        return info
    return evolve(info, state=worker.state, state_reason=worker.reason)


def _described(found: Checkpoint, would_use: LoadedInfo) -> ModelInfo:
    chats = ("chat",) if found.has_chat_template else ()
    return ModelInfo(
        id=found.id,
        state=ModelState.STOPPED if found.problem is None else ModelState.FAILED,
        state_reason=found.problem or found.note,
        size_bytes=found.size_bytes,
        modified_at=found.modified_at,
        architecture=found.architecture,
        parameters=found.parameters,
        quantization=found.quantization,
        context_length=found.context_length,
        capabilities=("completion", *chats) if found.problem is None else (),
        file=FileInfo(str(_shown(found)), None, found.problem),
        would_use=would_use,
        shape=found.shape,
    )


def _shown(found: Checkpoint) -> Path:
    """Return the file with the weights, which can be hashed; of several their folder."""
    return found.parts[0] if len(found.parts) == 1 else found.path
