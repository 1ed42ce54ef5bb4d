"""``orac plugins``: what is installed beside ORAC, and what of it is broken."""

from importlib.metadata import PackageNotFoundError, version
from typing import Any

import click

from orac_core import BackendKind, Plugin, Plugins

from .options import json_of
from .output import as_json, note, plain, table

COLUMNS = ("PLUGIN", "KINDS", "ENGINE", "WRAPS", "HOOKS", "DISTRIBUTION", "PROBLEM")


@click.command("plugins")
@json_of(
    '`{"plugins": [{"name", "distribution", "version", "kinds": [{"name", "engine_version"}], '
    '"wraps", "hooks", "problem"}]}`'
)
def plugins_command(*, in_json: bool) -> None:
    """List the plugins: what they offer and which are broken.

    Looks at what is installed beside this command, whether a server is running or not. A broken
    plugin is named with its reason on stderr too; it stops no other, so the exit code stays 0.
    """
    report = inventory(Plugins.discover())
    if in_json:
        as_json(report)
    else:
        table(COLUMNS, [_row(each) for each in report["plugins"]])
    for each in report["plugins"]:
        if each["problem"]:
            note(f"the plugin {each['name']} is broken: {each['problem']}")


def inventory(plugins: Plugins) -> dict[str, Any]:
    """Return all there is to know of the plugins, as JSON has it."""
    nothing: dict[str, Any] = {"distribution": None, "version": None, "hooks": None}
    none: dict[str, Any] = {"kinds": [], "wraps": []}
    broken = [
        {"name": name, **nothing, **none, "problem": reason}
        for name, reason in plugins.broken.items()
    ]
    return {"plugins": [*map(_sound, plugins.plugins.values()), *broken]}


def _sound(plugin: Plugin) -> dict[str, Any]:
    kinds = [{"name": it.name, "engine_version": _engine_version(it)} for it in plugin.kinds]
    return {
        "name": plugin.name,
        "distribution": plugin.distribution,
        "version": _version(plugin.distribution),
        "kinds": kinds,
        "wraps": list(plugin.wraps),
        "hooks": plugin.hooks,
        "problem": None,
    }


def _engine_version(kind: BackendKind) -> str | None:
    try:
        return kind.engine_version()
    except Exception:  # noqa: BLE001 - a stranger's function may raise anything; it only informs
        return None


def _version(distribution: str | None) -> str | None:
    try:
        return version(distribution) if distribution else None
    except PackageNotFoundError:
        return None


def _row(each: dict[str, Any]) -> list[str]:
    kinds = each["kinds"]
    origin = [part for part in (each["distribution"], each["version"]) if part]
    return [
        each["name"],
        plain([kind["name"] for kind in kinds] or None),
        plain([kind["engine_version"] for kind in kinds if kind["engine_version"]] or None),
        plain(each["wraps"] or None),
        plain(each["hooks"]),
        plain(" ".join(origin)),
        plain(each["problem"]),
    ]
