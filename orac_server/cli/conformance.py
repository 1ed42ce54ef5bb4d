"""``orac conformance``: whether a kind of backend keeps the promises of the hooks."""

import os
import tomllib
from collections import Counter
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import click

from orac_core import BackendKind, ConfigurationError, Host, Plugins
from orac_core.manifest.structure import structure
from orac_core.serving.door import model_files, settle
from orac_core.testing import PROMISES, MakeSubject, Verdict, judge, opening

from .options import json_of, models_dir_option
from .output import as_json, marks, note, say
from .running import FAILED, failures_told, run


def _tables(
    _context: click.Context, _option: click.Parameter, given: tuple[str, ...]
) -> dict[str, Any]:
    """Return the settings that were *given* as KEY=VALUE; a usage error where one is not."""
    if wrong := [each for each in given if "=" not in each]:
        raise click.BadParameter(f"{wrong[0]!r} is not KEY=VALUE")
    return {key: _value(text) for key, _, text in (each.partition("=") for each in given)}


def _value(text: str) -> Any:
    try:
        return tomllib.loads(f"it = {text}")["it"]
    except tomllib.TOMLDecodeError:
        return text


@click.command("conformance")
@click.argument("kind_or_module")
@click.option("--model", metavar="NAME", help="Model that answers; else the first that can.")
@click.option("--embedding-model", metavar="NAME", help="Model that makes vectors.")
@click.option(
    "--context-length",
    type=click.IntRange(1),
    metavar="TOKENS",
    help="Context to load models with.",
)
@click.option(
    "--set",
    "table",
    multiple=True,
    callback=_tables,
    metavar="KEY=VALUE",
    help="A setting of the kind, the value as in TOML, else text; may be repeated.",
)
@models_dir_option
@click.option(
    "--seed",
    type=int,
    default=0,
    metavar="NUMBER",
    help="Decides what is left to chance, 0 by default.",
)
@click.option(
    "--within",
    "within_s",
    type=click.FloatRange(min=0, min_open=True),
    default=60.0,
    metavar="SECONDS",
    help="Longest time for one promise, 60 by default.",
)
@click.option(
    "--stops-within",
    "stops_within_s",
    type=click.FloatRange(min=0, min_open=True),
    default=2.0,
    metavar="SECONDS",
    help="Longest time for what is closed or cancelled to end, 2 by default.",
)
@json_of(
    '`{"kind", "seed", "kept", "broken", "not_offered", "promises": [{"id", "text", "outcome", '
    '"steps", "seen", "hint", "took_ms"}]}`'
)
def conformance_command(  # noqa: PLR0913 - click passes each option by itself
    *,
    kind_or_module: str,
    table: Mapping[str, Any],
    models_dir: Path | None,
    seed: int,
    within_s: float,
    in_json: bool,
    **chosen: Any,
) -> None:
    """Hold a kind of backend to the promises of the hooks.

    KIND_OR_MODULE is a kind of an installed plugin, or a Python module that is a plugin. Says for
    each promise whether it is kept, and where not what was seen and how to mend it.
    """
    with failures_told():
        kind = the_kind(kind_or_module)
        settings = structure(dict(table), kind.settings, f"the settings of {kind.name}")
        files = model_files(settle(None, os.environ), models_dir, os.environ)
        make = opening(kind, settings, Host(files), **chosen)
        verdicts = run(_judged(make, seed, within_s, told=not in_json))
    counts: Counter[str] = Counter(each.outcome for each in verdicts)
    if in_json:
        as_json(report(kind.name, seed, verdicts))
    else:
        say(f"{kind.name}: {_summary(counts)}; seed {seed}", bold=True)
    if counts["broken"] or not counts["kept"]:
        raise click.exceptions.Exit(FAILED)


def the_kind(name: str) -> BackendKind:
    """Return the kind of that name among the installed plugins, or the one of the module *name*.

    Raises:
        ConfigurationError: when there is neither, or the module offers no kind, or several.
        PluginError: when the module is no plugin.
    """
    installed = Plugins.discover()
    if name in installed.kinds:
        return installed.kinds[name]
    try:
        module = import_module(name)
    except ImportError as error:
        kinds = ", ".join(sorted(installed.kinds))
        raise ConfigurationError(
            f"no kind and no module {name!r}: {error}; the kinds installed are {kinds}"
        ) from error
    plugins = Plugins()
    plugins.register(name, module)
    if len(plugins.kinds) != 1:
        raise ConfigurationError(
            f"{name} offers {len(plugins.kinds)} kinds; install it and name the kind that you mean"
        )
    return next(iter(plugins.kinds.values()))


async def _judged(make: MakeSubject, seed: int, within_s: float, *, told: bool) -> list[Verdict]:
    """Return the verdicts; where the hooks are not there nothing else can be tried."""
    verdicts: list[Verdict] = []
    for promise in PROMISES:
        verdict = await judge(promise, make, seed=seed, within_s=within_s)
        verdicts.append(verdict)
        if told:
            _tell(verdict)
        if promise is PROMISES[0] and verdict.outcome != "kept":
            note("without its hooks and a model nothing else of it can be tried")
            break
    return verdicts


def _tell(verdict: Verdict) -> None:
    signs = marks()
    sign = {"kept": signs.good, "broken": signs.bad}.get(verdict.outcome, signs.neutral)
    say(f"{sign} {verdict.promise.id}: {verdict.promise.text}")
    for number, step in enumerate(verdict.steps, 1):
        say(f"    step {number}: {step}")
    if verdict.outcome == "broken":
        say(f"    seen: {verdict.seen}")
        say(f"    to mend it: {verdict.promise.hint}")
    elif verdict.seen:
        say(f"    not tried: {verdict.seen}")


def _summary(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{counts[each]} {each}" for each in ("kept", "broken", "not offered"))


def report(kind: str, seed: int, verdicts: Sequence[Verdict]) -> dict[str, Any]:
    """Return all verdicts, as JSON has them."""
    counts: Counter[str] = Counter(each.outcome for each in verdicts)
    numbers = {each.replace(" ", "_"): counts[each] for each in ("kept", "broken", "not offered")}
    return {"kind": kind, "seed": seed, **numbers, "promises": [*map(_row, verdicts)]}


def _row(verdict: Verdict) -> dict[str, Any]:
    promise = verdict.promise
    told = {"id": promise.id, "text": promise.text, "outcome": verdict.outcome}
    seen = {"steps": list(verdict.steps), "seen": verdict.seen, "hint": promise.hint}
    return {**told, **seen, "took_ms": round(1000 * verdict.took_s, 3)}
