"""What the doctor looks at on every visit: software, environment, manifest, places, backends."""

import platform
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from types import MappingProxyType
from typing import Any

from aiohttp import http_parser

from orac_core import (
    ConfigurationError,
    Health,
    InstanceHealth,
    ModelState,
    OracError,
    ServedModel,
    StateDirectory,
)
from orac_core.files import LookedAt
from orac_core.health import Finding as NotWell
from orac_core.health import Flaw
from orac_core.manifest import ActiveProfile

from .client import NoServer, Server, reach
from .findings import Finding, Section
from .options import shown

VARIABLES: Mapping[str, str] = MappingProxyType(
    {
        "ORAC_URL": "server that the other commands talk to",
        "ORAC_MANIFEST": "manifest to read",
        "ORAC_PROFILE": "profile whose roles hold",
        "LLM_MODELS_PROFILE": "the same, where ORAC_PROFILE is not set",
        "ORAC_MODELS_DIR": "folder with models",
        "ORAC_LOG_LEVEL": "how much the server logs",
        "ORAC_STATE_DIR": "folder for what is kept over a restart",
        "OLLAMA_MODEL_PATH": "folder with models",
        "OLLAMA_MODELS": "Ollama's own store, searched for .gguf files too",
        "CUDA_VISIBLE_DEVICES": "GPUs that the engine may use",
        "LD_LIBRARY_PATH": "where the engine looks for libraries",
    },
)
"""The environment variables that matter, and what for. None of them holds a secret."""


def software() -> Section:
    """Say what runs here; aiohttp may have been installed without its fast parser."""
    fast = hasattr(http_parser, "HttpRequestParserC")
    facts = {
        "orac": version("orac"),
        "python": platform.python_version(),
        "system": platform.system(),
        "machine": platform.machine(),
        "aiohttp": version("aiohttp"),
        "aiohttp_c_parser": fast,
    }
    runs = Finding(
        "good",
        f"orac {facts['orac']} on Python {facts['python']}, {facts['system']} {facts['machine']}",
    )
    return Section("software", facts, (runs, _parser(str(facts["aiohttp"]), fast=fast)))


def _parser(aiohttp: str, *, fast: bool) -> Finding:
    if fast:
        return Finding("good", f"aiohttp {aiohttp} with its C parser")
    return Finding(
        "warning",
        f"aiohttp {aiohttp} without its C parser: HTTP works, several times slower",
        "install a wheel made for this machine: pip install --force-reinstall "
        "--only-binary=:all: aiohttp",
    )


def environment(environ: Mapping[str, str]) -> Section:
    """Say which of the variables that matter are set."""
    facts = []
    findings = []
    for name, meaning in VARIABLES.items():
        value = environ.get(name)
        seen = shown(value) if value and "://" in value else value
        facts.append({"name": name, "value": seen, "meaning": meaning})
        text = f"{name} = {seen}" if value else f"{name} is not set"
        findings.append(Finding("neutral", f"{text} ({meaning})"))
    return Section("environment", facts, tuple(findings))


async def server(url: str) -> Section:
    """Say whether a server answers at *url*."""
    try:
        async with reach(url) as there:
            found = [Finding("good", f"a server answers at {shown(url)}")]
            found += [Finding("warning", each) for each in await _unsafe(there)]
    except NoServer as error:
        found = [Finding("neutral", str(error))]
    except OracError as error:
        found = [Finding("warning", str(error))]
    facts = {"url": shown(url), "answers": found[0].level == "good"}
    return Section("server", facts, tuple(found))


async def _unsafe(there: Server) -> list[str]:
    """Return what the server says of who may ask it; nothing when it says nothing at all."""
    try:
        health = await there.health()
    except OracError:
        return []
    told = health.get("degradation", ())
    return [str(each["message"]) for each in told if each.get("service") == "access"]


def manifest(path: Path | None, wrong: ConfigurationError | None = None) -> Section:
    """Say which manifest holds, or every mistake in it."""
    problems = list(wrong.problems or (str(wrong),)) if wrong else []
    facts = {"path": str(path) if path else None, "problems": problems}
    if wrong:
        found = Finding("bad", str(wrong), "correct it; ORAC does not start on it")
    elif path:
        found = Finding("good", f"{path} is sound")
    else:
        found = Finding("neutral", "there is none; GGUF files are served by llama.cpp")
    return Section("manifest", facts, (found,))


def places(looked_at: Sequence[LookedAt]) -> Section:
    """Say what was found in every place where models are looked for."""
    findings = [_place(each) for each in looked_at]
    if not any(each.models for each in looked_at):
        findings.append(
            Finding(
                "warning",
                "no GGUF file in any place",
                "put one into a place above, or name its folder in ORAC_MODELS_DIR; "
                "`orac serve --demo` brings a small one",
            ),
        )
    return Section("places", [_place_facts(each) for each in looked_at], tuple(findings))


def _place(each: LookedAt) -> Finding:
    text = f"{each.place.path} ({each.place.origin}): "
    if each.models:
        number = f"{each.models} model{'s' * (each.models > 1)}"
        number += ", among them the one asked for" if each.found else ""
        notes = [each.note] if each.note else []
        notes += [f"{path.name} is shadowed by a model of that name" for path in each.shadowed]
        return Finding("warning" if notes else "good", text + "; ".join((number, *notes)))
    return Finding("neutral", text + (each.note or "no models"))


def _place_facts(each: LookedAt) -> dict[str, Any]:
    return {
        "path": str(each.place.path),
        "origin": each.place.origin,
        "exists": each.exists,
        "models": each.models,
        "note": each.note,
        "found": str(each.found.path) if each.found else None,
        "shadowed": [str(path) for path in each.shadowed],
    }


def state(kept: StateDirectory) -> Section:
    """Say where what ORAC learns is kept over a restart, and what is wrong with that."""
    path = str(kept.path) if kept.path else None
    if kept.problem:
        found = Finding("warning", kept.problem)
    elif path:
        found = Finding("good", f"{path} keeps what ORAC learns over a restart")
    else:
        text = "what ORAC learns is forgotten when it stops"
        found = Finding("neutral", text, "name a folder for it in ORAC_STATE_DIR")
    return Section("state", {"path": path, "problem": kept.problem}, (found,))


def plugins(inventory: Mapping[str, Any]) -> Section:
    """Say which kinds of backend there are, and which plugins are broken."""
    found = inventory["plugins"]
    findings = [_plugin(each) for each in found]
    if not any(each["kinds"] for each in found):
        findings.append(
            Finding(
                "bad",
                "no plugin offers a kind of backend, so nothing can be served",
                "install ORAC anew: pip install --force-reinstall orac",
            ),
        )
    return Section("plugins", found, tuple(findings))


def _plugin(each: Mapping[str, Any]) -> Finding:
    if each["problem"]:
        return Finding(
            "warning",
            f"{each['name']} is broken: {each['problem']}",
            "update or uninstall it; it stops no other",
        )
    kinds = [
        " ".join(("kind", kind["name"], *filter(None, (kind["engine_version"],))))
        for kind in each["kinds"]
    ]
    offers = ", ".join(kinds) or f"wraps {', '.join(each['wraps']) or 'nothing'}"
    origin = " ".join(filter(None, (each["distribution"], each["version"])))
    return Finding("good", f"{each['name']}: {offers}" + (f" (from {origin})" if origin else ""))


def instances(health: Health, kinds: Mapping[str, str], *, needed: bool) -> Section:
    """Say how each configured backend is; one that is not usable is bad when all are *needed*."""
    facts = {
        name: {
            "kind": kinds.get(name),
            "usable": each.usable,
            "message": each.message,
            "version": each.version,
            "warnings": list(each.warnings),
            "details": dict(each.details),
        }
        for name, each in health.instances.items()
    }
    found = []
    for name, each in health.instances.items():
        found.append(_instance(name, kinds.get(name, "?"), each, needed=needed))
        found += [Finding("warning", f"{name}: {warning}") for warning in each.warnings]
    return Section("instances", facts, tuple(found))


def _instance(name: str, kind: str, health: InstanceHealth, *, needed: bool) -> Finding:
    engine = f", engine {health.version}" if health.version else ""
    text = f"{name} (kind {kind}{engine}): "
    if health.usable:
        return Finding("good", text + (health.message or "usable"))
    return Finding("bad" if needed else "warning", text + (health.message or "not usable"))


def roles(active: ActiveProfile) -> Section:
    """Say which roles there are, and why others are left out."""
    facts = {
        "profile": active.name,
        "roles": {role: list(active.models(role)) for role in active.roles},
        "skipped": dict(active.skipped),
    }
    names = ", ".join(active.roles) or "no roles"
    found = Finding("good" if active.roles else "neutral", f"profile {active.name}: {names}")
    skipped = [
        Finding(
            "warning",
            f"{role} is skipped: {reason}",
            "correct its provider, or install what offers it; `orac plugins` lists what there is",
        )
        for role, reason in active.skipped.items()
    ]
    return Section("roles", facts, (found, *skipped))


def models(served: Sequence[ServedModel], health: Health) -> Section:
    """Say how many models can be served, and why others can not; a required one is bad then."""
    failed = [each.info for each in served if each.info.state is ModelState.FAILED]
    sound = len(served) - len(failed)
    facts = {
        "usable": sound,
        "broken": {info.id: info.state_reason for info in failed},
        "required_not_usable": {
            each.subject: each.text for each in _about(health, Flaw.MODEL_NEEDED)
        },
        "warnings": {each.subject: each.text for each in _about(health, Flaw.MODEL_IMPAIRED)},
    }
    total = Finding("good" if sound else "neutral", f"{sound} of {len(served)} can be served")
    needed = [Finding("bad", f"required: {each}") for each in _about(health, Flaw.MODEL_NEEDED)]
    flaws = (*_about(health, Flaw.MODEL_FAILED), *_about(health, Flaw.MODEL_IMPAIRED))
    return Section(
        "models", facts, (total, *needed, *(Finding("warning", str(it)) for it in flaws))
    )


def _about(health: Health, flaw: Flaw) -> list[NotWell]:
    return [each for each in health.degradation if each.flaw is flaw]
