"""Another ORAC as a backend: what it tells of its models beyond OpenAI's API, and says no with.

Pure. Every text of it may be shown, so none is long or holds what can not be printed.
"""

import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, get_args

from orac_core import (
    BackendError,
    InsufficientMemory,
    LoadedInfo,
    LoadProgress,
    LoadRequest,
    ModelNotFound,
    ModelState,
    OracError,
    StateConflict,
)

HEADER = "X-Orac-Relayed"
"""Tells an ORAC that it is asked by another one, so that it asks no third one."""

LONGEST = 300
"""Characters of a text that are shown."""

LONGEST_S = 3600.0
"""No server is left alone for longer because it wants that."""

_SHA256 = re.compile(r"[0-9a-f]{64}")
_STAGES = {each: each for each in get_args(LoadProgress.__annotations__["stage"])}
_STATES = {each.value: each for each in ModelState}
_MOST_BYTES = 1 << 60


def state(told: Mapping[str, Any]) -> ModelState | None:
    """Return the state of a model; None where none is told."""
    return _STATES.get(str(told.get("state")))


def facts(told: Mapping[str, Any]) -> dict[str, Any]:
    """Return fields of a `ModelInfo` that only an ORAC tells."""
    file, requests = _table(told.get("file")), _table(told.get("requests"))
    digest = file.get("sha256")
    asked = [count(requests.get(name)) for name in ("active", "waiting")]
    return {
        "relayed": True,
        "state_reason": shown(told.get("state_reason")),
        "loaded": _loaded(told) if state(told) is ModelState.READY else None,
        "warning": shown(told.get("warning")),
        "expires_at": _moment(told.get("expires_at")),
        "digest": digest if isinstance(digest, str) and _SHA256.fullmatch(digest) else None,
        "others": None if None in asked else sum(filter(None, asked)),
    }


def unique(listed: Iterable[Mapping[str, Any]]) -> dict[str, tuple[str, Mapping[str, Any]]]:
    """Return what to call each model here, with what to call it there, and what was told of it.

    There ``instance/model`` names one for certain; here the first of a name has it alone.
    """
    found: dict[str, tuple[str, Mapping[str, Any]]] = {}
    for told in listed:
        name, instance = str(told["id"]), told.get("instance")
        sound = isinstance(instance, str) and instance and shown(instance) == instance
        certain = f"{instance}/{name}" if sound else name
        found.setdefault(name if name not in found else certain, (certain, told))
    return found


def has_options(request: LoadRequest) -> bool:
    """Return whether a load asks for more than that the model be loaded."""
    return bool(_options(request))


def body(request: LoadRequest, there: str) -> dict[str, Any]:
    """Return the body of a load of the model that is called so there."""
    return {"model": there, "stream": True, **_options(request)}


def _options(request: LoadRequest) -> dict[str, Any]:
    asked = {name: getattr(request, name) for name in ("context_length", "gpu_layers", "parallel")}
    told = {name: value for name, value in asked.items() if value is not None}
    return told | ({"force": True} if request.force else {})


def progress(told: Mapping[str, Any]) -> LoadProgress:
    """Return how far a load is there."""
    total = count(told.get("total")) or None
    completed = count(told.get("completed")) or 0
    return LoadProgress(
        _STAGES.get(str(told.get("stage")), "start"),
        completed if total is None else min(completed, total),
        total,
        shown(told.get("message")) or "",
    )


def refusal(error: object, text: str, model: str = "") -> OracError | None:
    """Return the error that an error object of an ORAC means; None for what others say as well.

    Args:
        error: The object.
        text: What to tell.
        model: Name of the model here, where one was to be loaded.
    """
    match _table(error).get("code"):
        case "insufficient_memory":
            return _no_room(_table(error), text)
        case "model_file_invalid" | "host_not_allowed":
            return BackendError(text)
        case "model_not_found" if model:
            return ModelNotFound(model, f"that is what its server says: {text}")
        case "state_conflict":
            return StateConflict(text)
    return None


def wait_s(error: object) -> float | None:
    """Return after how many seconds to ask again, as an error object of an ORAC tells it."""
    told = _table(error).get("retry_after_s")
    sound = isinstance(told, int | float) and not isinstance(told, bool) and told > 0
    return float(min(told, LONGEST_S)) if sound and told is not None else None


def shown(value: object) -> str | None:
    """Return a text as it may be shown; None for none."""
    if not isinstance(value, str):
        return None
    text = "".join(each if each.isprintable() else " " for each in value[:LONGEST]).strip()
    return text or None


def count(value: object) -> int | None:
    """Return a number of things or bytes; None for what is none."""
    whole = isinstance(value, int) and not isinstance(value, bool)
    return value if whole and 0 <= value <= _MOST_BYTES else None  # type: ignore[operator,return-value]


def _no_room(error: Mapping[str, Any], text: str) -> InsufficientMemory:
    needed, available = (count(error.get(name)) for name in ("needed_bytes", "available_bytes"))
    return InsufficientMemory(text, needed_bytes=needed, available_bytes=available)


def _loaded(told: Mapping[str, Any]) -> LoadedInfo:
    memory = _table(told.get("memory"))
    ratio = memory.get("on_gpu_ratio")
    sound = isinstance(ratio, int | float) and not isinstance(ratio, bool) and 0 <= ratio <= 1
    return LoadedInfo(
        context_length=count(told.get("context_length")) or None,
        parallel=count(told.get("parallel")) or None,
        memory_bytes=count(memory.get("measured_bytes")) or None,
        on_gpu_ratio=float(ratio) if sound and ratio is not None else None,
    )


def _moment(value: object) -> float | None:
    try:
        return datetime.fromisoformat(value).timestamp() if isinstance(value, str) else None
    except (ValueError, OverflowError):
        return None


def _table(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
