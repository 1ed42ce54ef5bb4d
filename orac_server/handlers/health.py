"""How everything is."""

import platform
import re
import time
from collections.abc import Mapping
from importlib.metadata import version
from typing import Any

from aiohttp import web
from attrs import asdict

from orac_core import BackendUnavailable, Health, ModelManager, ShuttingDown
from orac_core.devices import Device, Gpu, Machine
from orac_core.doctor import Diagnosis
from orac_core.doctor import Finding as Cause
from orac_core.health import Finding, Flaw, summary
from orac_core.serving.breaker import Spell

from ..body import reply
from ..examinations import findings
from ..keys import MANAGER, READINESS, STARTED_AT
from ..pulse import verdict
from ..wire import Json, timestamp

FOLDERS = re.compile(r"(?<![\w:/.])/(?:[^\s/'\":]+/)+")
"""The folders of an absolute path within a text."""


async def health(request: web.Request) -> web.StreamResponse:
    """``GET /v1/health``: 200 when healthy or degraded, 503 when unhealthy."""
    status, body = await state(request.app)
    return reply(body, 503 if status == "unhealthy" else 200)


async def state(app: web.Application) -> tuple[str, Json]:
    """Return the status, and all that is told of how everything is."""
    manager = app[MANAGER]
    found = await verdict(app)
    uptime_s = time.monotonic() - app[STARTED_AT]
    body: Json = _without_folders(_body(manager, found, await manager.machine(), uptime_s))
    return found.status, body


async def live(_request: web.Request) -> web.StreamResponse:
    """``GET /v1/health/live``: 200 while the process answers at all."""
    return reply({"status": "live", "version": version("orac")})


async def ready(request: web.Request) -> web.StreamResponse:
    """``GET /v1/health/ready``: 200 while new work is taken and all that is required is ready.

    Raises:
        ShuttingDown: when no new work is taken.
        BackendUnavailable: when something required is not usable, or not loaded yet.
    """
    manager = request.app[MANAGER]
    if manager.closing:
        raise ShuttingDown("ORAC is stopping and takes no new work", manager.closes_in_s)
    if manager.required and (lacking := (await manager.health()).unready):
        raise _not_ready(request.app, summary(lacking))
    request.app[READINESS].over()
    return reply({"status": "ready"})


def _not_ready(app: web.Application, lacking: str) -> BackendUnavailable:
    error = BackendUnavailable(f"not ready: {lacking}; GET /v1/health says why")
    error.retry_after_s = app[READINESS].goes_on()
    return error


def _body(manager: ModelManager, found: Health, machine: Machine, uptime_s: float) -> Json:
    return {
        "status": found.status,
        "message": found.message,
        "uptime_s": round(uptime_s, 3),
        "versions": _versions(found),
        "memory": asdict(machine.memory),
        "gpu": _told(machine.gpu),
        "device": _told(machine.device),
        "instances": _instances(manager, found),
        "models_loaded": dict(found.models_loaded),
        "starting": sorted(manager.start.pending),
        "loaded_count": found.loaded_count,
        "total_count": len(found.models_loaded),
        "errors": dict(found.errors),
        "plugins": {
            "loaded": list(manager.plugins.plugins),
            "broken": dict(manager.plugins.broken),
        },
        "degradation": _degradation(manager, found),
    }


def _degradation(manager: ModelManager, found: Health) -> list[Json]:
    """Return everything that is not well; of a slow model also why."""
    found_in = manager.clinic.diagnoses
    return [
        {**_told_of(each), "findings": findings(_causes(each, found_in))}
        for each in found.degradation
    ]


def _causes(finding: Finding, found_in: Mapping[str, Diagnosis]) -> tuple[Cause, ...]:
    diagnosis = found_in.get(finding.subject) if finding.flaw is Flaw.MODEL_IMPAIRED else None
    return diagnosis.findings if diagnosis else ()


def _told_of(finding: Finding) -> Json:
    about = dict.fromkeys(("model", "instance", "plugin", "role", "service"))
    return {
        "kind": finding.flaw.value,
        **about,
        finding.flaw.about: finding.subject,
        "message": finding.text,
    }


def _versions(found: Health) -> Json:
    return {
        "orac": version("orac"),
        "python": platform.python_version(),
        "backends": {name: instance.version for name, instance in found.instances.items()},
    }


def _told(values: Gpu | Device | None) -> Json | None:
    return None if values is None else asdict(values)


def _instances(manager: ModelManager, found: Health) -> Json:
    return {
        name: {
            "kind": manager.backends.kinds.get(name),
            "usable": instance.usable,
            "message": instance.message,
            "version": instance.version,
            "warnings": list(instance.warnings),
            "details": dict(instance.details),
            "breaker": _breaker(manager.breaker(name)),
        }
        for name, instance in found.instances.items()
    }


def _breaker(spell: Spell) -> Json:
    return {"state": spell.state, "since": timestamp(spell.since), "failures": spell.failures}


def _without_folders(value: object) -> Any:
    """Return *value* with every absolute path in its texts cut down to the last part."""
    match value:
        case str():
            return FOLDERS.sub("", value)
        case dict():
            return {_without_folders(key): _without_folders(each) for key, each in value.items()}
        case list() | tuple():
            return [_without_folders(each) for each in value]
        case _:
            return value
