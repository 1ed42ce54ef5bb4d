"""A model file as an entry of a backend's list, before its engine is asked. Pure."""

from orac_core import FileInfo, GgufHeader, ModelFile, ModelInfo, ModelState


def described(file: ModelFile) -> ModelInfo:
    """Return what the file itself tells; a broken one is ``failed`` with its reason."""
    header = file.header
    return ModelInfo(
        id=file.id,
        state=ModelState.STOPPED if file.problem is None else ModelState.FAILED,
        state_reason=file.problem,
        size_bytes=file.size_bytes,
        modified_at=file.modified_at,
        architecture=header.architecture if header else None,
        parameters=header.parameters if header else None,
        quantization=header.quantization if header else None,
        context_length=header.context_length if header else None,
        capabilities=capabilities(header),
        file=FileInfo(str(file.path), file.sha256, file.problem),
        shape=header.shape if header else None,
        digest=file.sha256,
    )


def capabilities(header: GgufHeader | None) -> tuple[str, ...]:
    """Return what a model of that header can do; nothing for one that only compares texts."""
    if header is None or header.pooling == "rank":
        return ()
    if header.pooling is not None:
        return ("embedding",)
    if not header.has_chat_template:
        return ("completion",)
    return ("completion", "chat", "tools") if header.offers_tools else ("completion", "chat")
