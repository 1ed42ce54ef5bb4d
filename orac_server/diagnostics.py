"""What helps to understand a fault, and may leave the machine."""

import json
import os
import platform
import re
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from typing import Any

from attrs import asdict

from orac_core import ModelManager
from orac_core.blackbox import MOST_BYTES, segments
from orac_core.devices import Machine, fingerprint
from orac_core.health import Flaw

from .redaction import Redaction
from .wire import Json

PROMISE = "it holds no prompts and no answers; secrets are masked, homes are written as ~"

MOST_EVENTS = 2000
"""Events that are told, the newest ones."""

FAMILIES = ("ORAC_", "OLLAMA_", "LLAMA_", "GGML_", "CUDA_", "NVIDIA_", "LD_LIBRARY_PATH")
"""Beginnings of the variables whose names are told."""

OF_MODELS = {Flaw.MODEL_NEEDED.value, Flaw.MODEL_FAILED.value}
"""Their messages are an engine's, which may quote what it was asked."""


def collected(manager: ModelManager, health: Json, machine: Machine) -> Json:
    """Return all that helps to understand a fault, everything secret taken out.

    It reads files, so it is for a thread.

    Args:
        manager: What serves.
        health: The answer of ``GET /v1/health``.
        machine: What the machine says of itself.
    """
    settings = manager.backends.settings
    redaction = Redaction.of(settings, os.environ)
    values = {
        "about": about(),
        "versions": versions(),
        "environment": names(os.environ),
        "host": host(machine),
        "backends": settings,
        "health": without_reasons(health),
    }
    folder = manager.state.path
    events = list(told(_recorded(folder), redaction)) if folder else []
    masked: Json = redaction.value(values)
    return {**masked, "events": events[-MOST_EVENTS:]}


def about() -> Json:
    """Return when it was collected, and what is not in it."""
    now = datetime.fromtimestamp(int(time.time()), UTC)
    return {"made_at": now.isoformat().replace("+00:00", "Z"), "promise": PROMISE}


def names(environ: Mapping[str, str]) -> list[str]:
    """Return the names of the variables that mean something to ORAC or an engine."""
    return sorted(name for name in environ if name.startswith(FAMILIES))


def versions() -> dict[str, str | None]:
    """Return the version of Python and of each package that ORAC needs; None for a missing one."""
    needed = (re.split(r"[^\w.-]", each, maxsplit=1)[0] for each in requires("orac") or ())
    found = {name: _version(name) for name in sorted({"orac", *needed})}
    return {"python": platform.python_version(), **found}


def host(machine: Machine) -> Json:
    """Return what *machine* is and does."""
    return {**fingerprint(machine), **asdict(machine)}


def without_reasons(health: Json) -> Json:
    """Return the answer of ``GET /v1/health`` without the words of engines on single models."""
    told = [
        each | {"message": None} if each["kind"] in OF_MODELS else each
        for each in health.get("degradation", [])
    ]
    return health | {"errors": sorted(health.get("errors", {})), "degradation": told}


def told(lines: Iterable[bytes], redaction: Redaction) -> Iterator[Any]:
    """Yield each of the *lines* of a black box that is whole, nothing secret in it."""
    for line in lines:
        with suppress(ValueError, RecursionError):
            yield redaction.value(json.loads(line))


def _recorded(folder: Path) -> Iterator[bytes]:
    for path in segments(folder):
        with suppress(OSError), path.open("rb") as opened:
            yield from opened.read(2 * MOST_BYTES).splitlines()


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
