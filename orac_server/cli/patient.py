"""One model under examination: its file, and whether it really loads and answers."""

import os
import pwd
import stat
from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path
from time import perf_counter
from typing import Any

import attrs

from orac_core import (
    GgufHeader,
    LoadRequest,
    ModelFile,
    ModelManager,
    ModelNotFound,
    OracError,
    ServedModel,
)

from .findings import Finding, Section
from .output import count, listed, size

HEADER_FACTS = (
    *("version", "architecture", "kind", "name", "parameters", "quantization"),
    *("context_length", "layers", "heads", "kv_heads", "embedding_length", "vocabulary_size"),
    *("tokenizer", "has_chat_template", "chat_template_suspicious", "tensor_count"),
    *("tensor_bytes", "needed_bytes", "split_count", "warnings"),
)
"""What of a header belongs into a report."""

_ELSEWHERE = "see the places above; a file belongs into one of them"


async def examined(manager: ModelManager, name: str) -> tuple[Section, ...]:
    """Look at the model that *name* means, and try to load it."""
    try:
        served = await manager.find(name)
    except OracError as error:
        return (await _unknown(manager, name, error), *_sections_of(await manager.files.find(name)))
    file = await manager.files.find(served.info.id) if served.info.file else None
    return (_identity(name, served), *_sections_of(file), await _load(manager, served))


async def _unknown(manager: ModelManager, name: str, error: OracError) -> Section:
    known = [each.info.id for each in await manager.models()]
    close = get_close_matches(name, known) if isinstance(error, ModelNotFound) else []
    remedy = f"did you mean {' or '.join(map(repr, close))}?" if close else _ELSEWHERE
    facts = {"asked": name, "id": None, "instance": None, "kind": None, "similar": close}
    return Section("model", facts, (Finding("bad", str(error), remedy),))


def _identity(name: str, served: ServedModel) -> Section:
    facts = {
        "asked": name,
        "id": served.info.id,
        "instance": served.instance,
        "kind": served.kind,
        "similar": [],
    }
    means = f"{name} means " if name != served.info.id else ""
    text = f"{means}{served.info.id}, served by {served.instance} (kind {served.kind})"
    return Section("model", facts, (Finding("good", text),))


def _sections_of(file: ModelFile | None) -> tuple[Section, ...]:
    return (_file(file),) if file else ()


def _file(file: ModelFile) -> Section:
    parts = [_part_facts(path) for path in file.parts]
    facts = {
        "path": str(file.path),
        "place": str(file.place.path),
        "origin": file.place.origin,
        "size_bytes": file.size_bytes,
        "parts": parts,
        "header": _header_facts(file.header),
        "problem": file.problem,
    }
    return Section("file", facts, (*map(_part, parts), *_header(file)))


def _part_facts(path: Path) -> dict[str, Any]:
    facts: dict[str, Any] = {"path": str(path), "exists": False, "error": None}
    try:
        found = path.stat()
    except OSError as error:
        return {**facts, "error": error.strerror}
    return {
        **facts,
        "exists": True,
        "size_bytes": found.st_size,
        "mode": stat.filemode(found.st_mode),
        "owner": _owner(found.st_uid),
        "readable": os.access(path, os.R_OK),
    }


def _owner(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _part(facts: dict[str, Any]) -> Finding:
    if not facts["exists"]:
        return Finding("bad", f"{facts['path']}: {facts['error']}")
    text = (
        f"{facts['path']}: {size(facts['size_bytes'])} ({facts['size_bytes']} bytes), "
        f"{facts['mode']}, owner {facts['owner']}"
    )
    if facts["readable"]:
        return Finding("good", f"{text}, readable by this user")
    return Finding(
        "bad",
        f"{text}, not readable by this user (uid {os.getuid()})",
        f"let this user read it: chmod a+r {facts['path']}",
    )


def _header_facts(header: GgufHeader | None) -> dict[str, Any] | None:
    if header is None:
        return None
    facts = {name: getattr(header, name) for name in HEADER_FACTS}
    return {**facts, "warnings": list(header.warnings)}


def _header(file: ModelFile) -> tuple[Finding, ...]:
    findings = []
    if file.header:
        findings.append(Finding("good", f"header: {_summary(file.header)}"))
        findings += [Finding("warning", f"header: {text}") for text in file.header.warnings]
    if file.problem:
        findings.append(Finding("bad", file.problem))
    return tuple(findings)


def _summary(header: GgufHeader) -> str:
    facts = {
        "GGUF": header.version,
        "architecture": header.architecture,
        "parameters": count(header.parameters),
        "quantization": header.quantization,
        "context": header.context_length,
        "layers": header.layers,
        "vocabulary": header.vocabulary_size,
    }
    template = "a chat template" if header.has_chat_template else "no chat template"
    return f"{listed(facts)}, {template}"


async def _load(manager: ModelManager, served: ServedModel) -> Section:
    """Load the model for real; a load ends well only when it has answered one token."""
    started = perf_counter()
    try:
        loaded = await manager.load(LoadRequest(f"{served.instance}/{served.info.id}"))
    except OracError as error:
        facts = {"ok": False, "load_ms": _ms(perf_counter() - started), "error": str(error)}
        nothing = {"applied": None, "warning": None}
        return Section("load", {**facts, **nothing}, (Finding("bad", _told(error)),))
    applied = attrs.asdict(loaded.applied)
    facts = {"ok": True, "load_ms": _ms(loaded.load_s), "error": None, "applied": applied}
    well = Finding("good", _told_well(loaded.load_s, applied))
    worse = (Finding("warning", loaded.warning),) if loaded.warning else ()
    return Section("load", {**facts, "warning": loaded.warning}, (well, *worse))


def _told(error: OracError) -> str:
    notes: Sequence[str] = getattr(error, "__notes__", ())
    return "\n".join((f"it does not load: {error}", *notes))


def _told_well(took_s: float, applied: dict[str, Any]) -> str:
    memory = applied["memory_bytes"]
    facts = {
        "context": applied["context_length"],
        "GPU layers": applied["gpu_layers"],
        "parallel": applied["parallel"],
        "memory": size(memory) if memory is not None else None,
    }
    uses = listed(facts)
    return f"loaded, and answered one token, in {took_s:.2f} s" + (f" ({uses})" if uses else "")


def _ms(seconds: float) -> float:
    return round(seconds * 1000, 1)
