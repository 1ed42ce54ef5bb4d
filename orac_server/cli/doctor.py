"""``orac doctor``: what works here, what does not, and what to do about it."""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import click
from attrs import frozen

import orac_core
from orac_core import ConfigurationError, ModelManager, Plugins
from orac_core.manifest import find
from orac_core.serving.door import model_files, settle

from . import bundle, gpu, machine, patient
from . import degradation as slow
from .degradation import degradation_options
from .findings import Finding, Section, as_facts, failures, verdict
from .gpu import gpu_options
from .options import json_of, models_dir_option, url_option
from .output import Marks, as_json, marks, say, waiting
from .plugins import inventory
from .quick import WITHIN_S, Asked, quick
from .running import FAILED, failures_told, run


@frozen(kw_only=True)
class Flags:
    """What the options say, but those that every command has, and those of --gpu."""

    model: str | None
    manifest: Path | None
    models_dir: Path | None
    in_brief: bool
    only_server: bool
    within_s: int | None
    bundled: str | None
    degradation: bool
    experiment: bool
    remedy: bool
    forget: bool

    def mixture(self, *, room: bool) -> str | None:
        """Return why options do not go together; *room* says that --gpu is among them."""
        slow_ones = self.experiment or self.remedy or self.forget
        brief_ones = bool(self.only_server or self.within_s)
        folders = bool(self.manifest or self.models_dir)
        others = self.in_brief or brief_ones or self.bundled is not None or folders
        wrong = {
            "--gpu goes with --min-free-gib, --min-free-ratio, --all-devices, --no-cuda, "
            "--url, --json; `orac plan MODEL` says whether a model fits": room
            and bool(others or self.degradation or slow_ones or self.model),
            "--degradation goes with --experiment, --remedy or --forget, --url, --json": (
                self.degradation and others
            ),
            "--experiment, --remedy and --forget belong to --degradation": (
                slow_ones and not self.degradation
            ),
            "--bundle does not go with --quick": self.in_brief and self.bundled is not None,
            "--server and --within belong to --quick": brief_ones and not self.in_brief,
            "--server does not go with --manifest or --models-dir": self.only_server and folders,
        }
        return next((text for text, holds in wrong.items() if holds), None)

    def slowness(self, url: str) -> slow.Asked:
        """Return what --degradation asks of the server at *url*."""
        return slow.Asked(self.model, self.experiment, self.remedy, self.forget, url)

    def asked(self, url: str) -> Asked:
        """Return what is asked otherwise."""
        within_s = self.within_s or WITHIN_S
        return Asked(self.model, url, self.only_server, self.manifest, self.models_dir, within_s)


@click.command("doctor")
@click.argument("model", required=False)
@click.option(
    "--manifest",
    type=click.Path(readable=False, path_type=Path),
    metavar="FILE",
    help="Manifest to look at, instead of the one that would hold.",
)
@models_dir_option
@click.option(
    "--quick", "in_brief", is_flag=True, help="Answer in one line within seconds; load nothing."
)
@click.option(
    "--server",
    "only_server",
    is_flag=True,
    help="With --quick: fail when no server answers, instead of looking at the backends.",
)
@click.option(
    "--within",
    "within_s",
    type=click.IntRange(2, 600),
    metavar="SECONDS",
    help="With --quick: longest time for it, 5 by default.",
)
@click.option(
    "--bundle",
    "bundled",
    is_flag=False,
    flag_value="",
    metavar="[FILE]",
    help="Put all that helps to understand a fault into one file, without secrets and prompts.",
)
@degradation_options
@gpu_options
@url_option
@json_of(
    "the facts: `ok`, `verdict`, a key for each section, and `findings` with `section`, `level`, "
    "`text`, `remedy`"
)
def doctor_command(*, room: gpu.Asked | None, url: str, in_json: bool, **given: Any) -> None:
    """Say what works, what does not, and what to do.

    Looks at this machine from a process of its own, whether a server is running or not. With
    MODEL it also looks at that model's file, loads it and asks it for one token; a server that
    has the model in memory keeps it there, so there has to be room for a second one.

    With --quick it asks a running server how it is or, when none answers, the backends, and with
    MODEL whether that model is there and its file's header sound. It loads nothing. With --server
    it starts nothing either; without it a backend that ORAC is to start is started for the look.

    With --bundle it writes what it finds, the black box of the server and more into an archive to
    send to somebody. MODEL stands before it, or FILE is given as --bundle=FILE.

    With --degradation it asks the server or, when none answers, loads MODEL in this process, and
    says whether it is slower than it was, why, and what to do. With --experiment or --remedy that
    takes minutes, in which nobody else can use MODEL; Ctrl-C leaves it as it was.

    With --gpu it says how much memory the GPUs, or the memory that they share, have left for
    models, how risky that is, and what gives more. It loads nothing.

    The exit code is 1 when something that was asked for does not work, with --bundle when there is
    no archive, with --degradation when a model is slow, with --gpu when less is free than is wanted
    or, where nothing is wanted, when it is critical.
    """
    flags = Flags(**given)
    if mixture := flags.mixture(room=room is not None):
        raise click.UsageError(mixture)
    if room is not None:
        gpu.gpu(room, url, in_json=in_json)
    elif flags.degradation:
        slow.degradation(flags.slowness(url), in_json=in_json)
    elif flags.bundled is not None:
        pack(flags.asked(url), flags.bundled, in_json=in_json)
    else:
        (quick if flags.in_brief else thorough)(flags.asked(url), in_json=in_json)


def thorough(asked: Asked, *, in_json: bool) -> None:
    """Print all that was found.

    Raises:
        SystemExit: 1 when something that was asked for does not work.
    """
    with waiting("examining"):
        sections = run(examination(asked.model, asked.manifest, asked.models_dir, asked.url))
    if in_json:
        as_json(as_facts(sections))
    else:
        _print(sections)
    if failures(sections):
        raise SystemExit(FAILED)


def pack(asked: Asked, named: str, *, in_json: bool) -> None:
    """Write an archive with all that helps to understand a fault, and print what is in it.

    Raises:
        SystemExit: 1 when it could not be written.
    """
    with waiting("examining"):
        files = run(_bundled(asked))
    with failures_told():
        bundle.tell(bundle.write(named, files), files, in_json=in_json)


async def _bundled(asked: Asked) -> dict[str, bytes]:
    sections = await examination(asked.model, asked.manifest, asked.models_dir, asked.url)
    return await bundle.contents(asked, sections)


async def examination(
    model: str | None, named: Path | None, models_dir: Path | None, url: str
) -> tuple[Section, ...]:
    """Look at everything, and at *model* when it is given."""
    first = (machine.software(), machine.environment(os.environ), await machine.server(url))
    plugins = Plugins.discover()
    path = find(named, os.environ, Path.cwd())
    try:
        manifest = settle(path, os.environ)
        opening = orac_core.open(
            manifest, models_dir=models_dir, plugins=plugins, load_at_start=False
        )
        async with opening as manager:
            return (*first, machine.manifest(path), *await _opened(manager, model))
    except ConfigurationError as error:
        files = model_files(orac_core.Manifest(), models_dir, os.environ)
        return (
            *first,
            machine.manifest(path, error),
            machine.places(await files.looked_at(model or "")),
            machine.plugins(inventory(plugins)),
        )


async def _opened(manager: ModelManager, model: str | None) -> tuple[Section, ...]:
    health = await manager.health()
    common = (
        machine.places(await manager.files.looked_at(model or "")),
        machine.state(manager.state),
        machine.plugins(inventory(manager.plugins)),
        machine.instances(health, manager.backends.kinds, needed=model is None),
        machine.roles(manager.profile),
    )
    if model is None:
        return (*common, machine.models(await manager.models(), health))
    return (*common, *await patient.examined(manager, model))


def _print(sections: Iterable[Section]) -> None:
    signs = marks()
    sections = tuple(sections)
    for section in sections:
        say(section.key, bold=True)
        for line in (line for finding in section.findings for line in _lines(finding, signs)):
            say(line)
    say("verdict", bold=True)
    say(f"  {signs.bad if failures(sections) else signs.good} {verdict(sections)}")


def _lines(finding: Finding, signs: Marks) -> list[str]:
    sign = {
        "good": signs.good,
        "neutral": signs.neutral,
        "warning": signs.warning,
        "bad": signs.bad,
    }[finding.level]
    first, *more = finding.text.splitlines() or [""]
    lines = [f"  {sign} {first}", *(f"      {line.strip()}" for line in more)]
    if finding.remedy:
        lines.append(f"    to do: {finding.remedy}")
    return lines
