"""What goes over the wire: core's values as JSON-able dicts.

A unit stands in the name of each number. What is not known is null, never 0.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import PurePath
from typing import Any

from attrs import asdict

from orac_core import (
    Adapter,
    AdapterInfo,
    Answer,
    FileInfo,
    Loaded,
    LoadedInfo,
    LoadProgress,
    ModelInfo,
    ServedModel,
    Unloaded,
)
from orac_core.memory import savings

Json = dict[str, Any]

MILLISECONDS = 1000


def model(served: ServedModel) -> Json:
    """Return a model as ``GET /v1/models/{id}`` shows it."""
    info = served.info
    return {
        "id": info.id,
        "object": "model",
        "created": int(info.modified_at or 0),  # OpenAI's clients take no null
        "owned_by": served.instance,
        "instance": served.instance,
        "kind": served.kind,
        "state": info.state.value,
        "state_reason": info.state_reason,
        "required": served.required,
        "pinned": served.pinned,
        "roles": list(served.roles),
        "size_bytes": info.size_bytes,
        "architecture": info.architecture,
        "parameters": info.parameters,
        "quantization": info.quantization,
        "context_length": info.context_length,
        "memory": memory(info.loaded, served.needs_bytes),
        "remote": info.remote,
        "parallel": info.loaded.parallel if info.loaded else None,
        "requests": _requests(served),
        "speed": asdict(served.speed),
        "savings": _saved(info),
        "expires_at": timestamp(info.expires_at),
        "warning": info.warning,
        "last_used_at": timestamp(served.last_used_at),
        "capabilities": list(info.capabilities),
        "file": file(info.file),
        "adapters": [_adapter(it) for it in info.adapters],
    }


def _requests(served: ServedModel) -> Json:
    return {"active": served.active, "waiting": served.waiting, "at_once": served.at_once}


def _adapter(info: AdapterInfo) -> Json:
    return {
        "name": info.name,
        "scale": info.scale,
        "sha256": info.sha256,
        "problem": info.problem,
    }


def _saved(info: ModelInfo) -> Json | None:
    """Return what a model would leave free, were it loaded smaller; null when not known."""
    found = savings(info)
    return asdict(found) if found else None


def memory(loaded: LoadedInfo | None, needs_bytes: int | None) -> Json:
    """Return what a model needs in memory, and takes there; that is null when it is not loaded."""
    return {
        "estimated_bytes": needs_bytes,
        "measured_bytes": loaded.memory_bytes if loaded else None,
        "on_gpu_ratio": loaded.on_gpu_ratio if loaded else None,
    }


def file(info: FileInfo | None) -> Json | None:
    """Return a model's file; null when its backend knows of none."""
    return asdict(info) if info else None


def timestamp(at: float | None) -> str | None:
    """Return *at*, in seconds since 1970, in ISO 8601, UTC."""
    if at is None:
        return None
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds")[:-6] + "Z"


def progress(told: LoadProgress) -> Json:
    """Return an event ``progress`` of a load."""
    return asdict(told)


def loaded(load: Loaded) -> Json:
    """Return the answer to a load."""
    return {
        "model": load.model,
        "instance": load.instance,
        "state": "ready",
        "load_ms": ms(load.load_s),
        "verified": True,
        "applied": {
            "context_length": load.applied.context_length,
            "gpu_layers": load.applied.gpu_layers,
            "parallel": load.applied.parallel,
            "adapters": _applied(load.applied.adapters or ()),
        },
        "memory": memory(load.applied, load.needs_bytes),
        "already_loaded": load.already_loaded,
        "warning": load.warning,
        "evicted": list(load.evicted),
    }


def _applied(adapters: Sequence[Adapter]) -> list[Json]:
    return [
        {"name": PurePath(it.path).name, "scale": it.scale, "sha256": it.sha256} for it in adapters
    ]


def unloading(*, force: bool) -> Json:
    """Return the event ``progress`` of an unload."""
    first = "ending its running answers" if force else "waiting for its running answers"
    told = {"stage": "stop", "completed": 0, "total": None}
    return {**told, "message": f"{first}, then freeing the memory"}


def unloaded(unload: Unloaded) -> Json:
    """Return the answer to an unload."""
    return {
        "model": unload.model,
        "instance": unload.instance,
        "state": "stopped",
        "freed_bytes": unload.freed_bytes,
        "unload_ms": ms(unload.unload_s),
    }


def answer(whole: Answer) -> Json:
    """Return the answer to a prompt."""
    return {
        "response": whole.text,
        "elapsed_ms": ms(whole.elapsed_s),
        "model": whole.model,
        "instance": whole.instance,
        "role": whole.role,
        "served_by_fallback": whole.served_by_fallback,
        "finish_reason": whole.finish_reason,
        "truncated_prompt": whole.truncated_prompt,
        "format_valid": whole.format_valid,
        "repaired": whole.repaired,
        "usage": {
            "prompt_tokens": whole.usage.prompt_tokens,
            "completion_tokens": whole.usage.completion_tokens,
            "cached_tokens": whole.usage.cached_tokens,
        },
        "timings": _timings(whole),
    }


def _timings(whole: Answer) -> Json:
    return {
        "queue_ms": ms(whole.queue_s),
        "load_ms": ms(whole.load_s),
        "ttft_ms": ms(whole.ttft_s),
        "prefill_tokens_per_second": whole.rates.prefill_tokens_per_second,
        "decode_tokens_per_second": whole.rates.decode_tokens_per_second,
    }


def ms(span_s: float | None) -> float | None:
    """Return a span of seconds in milliseconds, to the microsecond."""
    return None if span_s is None else round(span_s * MILLISECONDS, 3)


def details(faults: Mapping[str, str]) -> list[Json]:
    """Return the faults of a request, each with its path."""
    return [{"path": path, "message": message} for path, message in faults.items()]
