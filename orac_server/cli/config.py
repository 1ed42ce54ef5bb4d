"""``orac config``: what holds, and where each value comes from."""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import click
from attrs import asdict, fields, frozen

from orac_core import ConfigurationError, GenerateOptions, Plugins
from orac_core.files import registered
from orac_core.manifest import (
    BackendEntry,
    FileSettings,
    Settled,
    place,
    variables,
)
from orac_core.manifest.environment import SECTIONS
from orac_core.serving.door import (
    active_profile,
    adapter_folder,
    backends_of,
    checked_settings,
    model_files,
)

from .. import profiles
from ..redaction import Redaction
from ..wire import Json
from .layered import Given, settings_options
from .options import json_of, shown
from .output import as_json, note, plain, say, table
from .running import FAILED

FAMILIES = ("ORAC_", "OLLAMA_", "LLM_MODELS_")
"""Beginnings of the variables that are shown."""

NESTED = frozenset({"files", "aliases", "parameters"})
"""What stands in [models] and is a table itself."""

ADAPTER = ("ADAPTER", "MADE FOR", "FILE", "CHECKSUM", "CREATED", "PROBLEM")
"""What is shown of the folder of adapters."""


@frozen
class Row:
    """One setting.

    Attributes:
        setting: Its place in the manifest: ``server.port``.
        value: What holds, in plain JSON values, nothing secret in it.
        origin: Where it comes from: ``default``, the manifest's path, ``environment NAME``, or the
            option of the command.
    """

    setting: str
    value: Any
    origin: str


@click.command("config")
@settings_options
@json_of(
    "`manifest`, `settings` (`setting`, `value`, `origin`), `places`, `environment`, and all of "
    "`GET /v1/profiles`; of a wrong manifest `problems`"
)
def config_command(  # noqa: PLR0913 - click passes each option by itself
    *,
    host: str | None,
    port: int | None,
    models_dir: Path | None,
    manifest: Path | None,
    no_auth: bool,
    in_json: bool,
) -> None:
    """Print what holds, and where each value comes from.

    An option of the command stands over the environment, that over the manifest, and that over
    the defaults. The options are those of `orac serve`, which would hold the same. Nothing is
    started, no backend is asked, and secrets are masked.

    The exit code is 1 when something is wrong; every mistake is named with its place.
    """
    try:
        found = Given(manifest, host, port, no_auth).settled()
        report = told(found, Plugins.discover(), models_dir, os.environ)
    except ConfigurationError as error:
        if in_json:
            as_json({"problems": list(error.problems or (str(error),))})
        note(str(error))
        raise SystemExit(FAILED) from None
    as_json(report) if in_json else _print(report)


def told(
    found: Settled, plugins: Plugins, models_dir: Path | None, environ: Mapping[str, str]
) -> Json:
    """Return all that holds.

    Raises:
        ConfigurationError: when settings of backends are wrong, naming every mistake.
    """
    manifest = found.manifest
    entries, _ = backends_of(manifest, plugins.kinds)
    checked_settings(entries, plugins)
    given = {name: entry.settings for name, entry in entries.items()}
    redaction = Redaction.of(given, environ)
    kinds = {name: entry.kind for name, entry in entries.items()}
    active = active_profile(manifest, plugins)
    files = model_files(manifest, models_dir, environ)
    return {
        "manifest": str(found.path) if found.path else None,
        "settings": [asdict(each) for each in _rows(found, entries, redaction)],
        "places": [{"path": str(it.path), "origin": it.origin} for it in files.places],
        "environment": dict(_environment(environ, redaction)),
        **profiles.told(
            active, manifest.models.parameters, kinds, registered(adapter_folder(manifest))
        ),
    }


def _rows(
    found: Settled, entries: Mapping[str, BackendEntry], redaction: Redaction
) -> Iterator[Row]:
    yield Row("profile", found.manifest.profile, found.origin("profile"))
    for section, cls in SECTIONS.items():
        values = getattr(found.manifest, section)
        for each in fields(cls):
            if section != "models" or each.name not in NESTED:
                name = f"{section}.{each.name}"
                yield Row(name, _value(getattr(values, each.name)), found.origin(name))
    yield from _of_models(found)
    for name, entry in entries.items():
        yield from _of_backend(place("backends", name), entry, found, redaction)


def _of_models(found: Settled) -> Iterator[Row]:
    models = found.manifest.models
    where = "models.parameters"
    for name, value in _set(models.parameters, GenerateOptions()):
        yield Row(f"{where}.{name}", value, found.origin(where))
    for alias, meant in models.aliases.items():
        where = place("models", "aliases", alias)
        yield Row(where, meant, found.origin(where))
    for file, wish in models.files.items():
        where = place("models", "files", file)
        for name, value in _set(wish, FileSettings()):
            safe = profiles.source(value) if name == "source" else value
            yield Row(f"{where}.{name}", safe, found.origin(where))


def _of_backend(
    where: str, entry: BackendEntry, found: Settled, redaction: Redaction
) -> Iterator[Row]:
    origin = found.origin(where)
    yield Row(f"{where}.kind", entry.kind, origin)
    yield Row(f"{where}.required", entry.required, origin)
    for name, value in entry.settings.items():
        yield Row(f"{where}.{place(name)}", redaction.value(value, name), origin)


def _set(values: Any, defaults: Any) -> Iterator[tuple[str, Any]]:
    """Yield what of *values* is not as in *defaults*."""
    for each in fields(type(values)):
        value = getattr(values, each.name)
        if value != getattr(defaults, each.name):
            yield each.name, _value(value)


def _value(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_value(each) for each in value]
    if isinstance(value, Path):
        return str(value)
    return asdict(value) if hasattr(value, "__attrs_attrs__") else value


def _environment(environ: Mapping[str, str], redaction: Redaction) -> Iterator[tuple[str, str]]:
    for name in sorted(environ):
        if name.startswith(FAMILIES) and environ[name]:
            known = name in variables()
            yield name, shown(environ[name]) if known else redaction.value(environ[name], name)


def _print(report: Json) -> None:
    say(f"manifest: {report['manifest'] or 'none; the defaults hold'}")
    rows = [[it["setting"], _cell(it["value"]), it["origin"]] for it in report["settings"]]
    table(("SETTING", "VALUE", "FROM"), rows)
    say("")
    say(f"profile: {report['profile']}; there are: {_names(report['profiles'])}")
    table(("ROLE", "MODELS", "PARAMETERS"), [_role(each) for each in report["roles"]])
    for each in report["skipped"]:
        note(f"the role {each['role']} is skipped: {each['reason']}")
    say("")
    table(("PLACE OF MODELS", "FROM"), [[it["path"], it["origin"]] for it in report["places"]])
    if report["adapters"]:
        say("")
        table(ADAPTER, [_adapter(each) for each in report["adapters"]])
    say("")
    table(("VARIABLE", "VALUE"), [[name, it] for name, it in report["environment"].items()])


def _role(each: Json) -> list[str]:
    said = {name: it for name, it in each["parameters"].items() if it not in (None, [])}
    parameters = ", ".join(f"{name} {_cell(it)}" for name, it in said.items())
    adapters = ", ".join(f"{it['path']} (scale {it['scale']:g})" for it in each["adapters"])
    first, *others = each["models"]
    worn = f"{first} with {adapters}" if adapters else first
    if each["prefer"]:
        worn = f"{worn} wherever it is {each['prefer']}"
    return [each["role"], ", ".join((worn, *others)), plain(parameters)]


def _adapter(each: Json) -> list[str]:
    base = " ".join(filter(None, (each["base_architecture"], _short(each["base_checksum"]))))
    known = (base, each["path"], _short(each["checksum"]), each["created"], each["problem"])
    return [each["name"], *map(plain, known)]


def _short(checksum: str | None) -> str:
    """Return the beginning of a checksum, enough to know it by."""
    return f"{checksum[:15]}…" if checksum else ""


def _names(found: list[Json]) -> str:
    return ", ".join(each["name"] for each in found) or "none"


def _cell(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list) and value:
        return ", ".join(map(_cell, value))
    if isinstance(value, Mapping):
        return ", ".join(f"{name} = {_inner(each)}" for name, each in value.items()) or "-"
    return plain(value)


def _inner(value: Any) -> str:
    return f"{{ {_cell(value)} }}" if isinstance(value, Mapping) and value else _cell(value)
