"""What the backend tells about its models: the file on the disk and the worker, joined. Pure."""

from orac_core import FileInfo, GgufHeader, ModelFile, ModelInfo, ModelState

from .worker_process import Worker

# Architectures that turn text into a vector and continue no text.
_EMBEDDING = frozenset(
    {
        "bert",
        "eurobert",
        "gemma-embedding",
        "jina-bert-v2",
        "jina-bert-v3",
        "modern-bert",
        "neo-bert",
        "nomic-bert",
        "nomic-bert-moe",
    }
)


def listed(file: ModelFile, worker: Worker | None) -> ModelInfo:
    """Return what is known of one model; a broken file that no worker uses is ``failed``."""
    header = file.header
    state, reason = _state(file, worker)
    return ModelInfo(
        id=file.id,
        state=state,
        state_reason=reason,
        size_bytes=file.size_bytes,
        modified_at=file.modified_at,
        architecture=header.architecture if header else None,
        parameters=header.parameters if header else None,
        quantization=header.quantization if header else None,
        context_length=header.context_length if header else None,
        capabilities=capabilities(header),
        file=FileInfo(str(file.path), problem=file.problem),
        loaded=worker.loaded if worker else None,
    )


def capabilities(header: GgufHeader | None) -> tuple[str, ...]:
    """Return what a model of that header can do."""
    if header is None:
        return ()
    if header.architecture in _EMBEDDING:
        return ("embedding",)
    return ("completion", "chat") if header.has_chat_template else ("completion",)


def _state(file: ModelFile, worker: Worker | None) -> tuple[ModelState, str | None]:
    if worker is not None and worker.state is not ModelState.STOPPED:
        return worker.state, worker.reason
    if file.problem is not None:
        return ModelState.FAILED, file.problem
    return ModelState.STOPPED, None
