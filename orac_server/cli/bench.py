"""``orac bench``: measure models, and look at what was measured before."""

from collections.abc import Callable, Mapping, Sequence
from functools import reduce
from pathlib import Path
from typing import Any

import click

from .benchmarks import Asked, History, Measure, work
from .options import json_of, url_option
from .running import FAILED, run
from .written import Form

Option = Callable[[Any], Any]
"""Gives a command an option."""

SUITES = ("latency", "quality", "full", "soak")
ACTIONS = ("compare", "recommend", "listing", "show")
FORMATS = ("in_json", "markdown", "csv", "benchstat", "html")
HTML_ENDINGS = {".html", ".htm"}
TO_STDOUT = "-"
"""What `--html` is without a file."""


def _page(_context: click.Context, _option: click.Parameter, file: str | None) -> str | None:
    """Return where the page goes; a usage error for what seems to be the name of a model."""
    if file not in (None, TO_STDOUT) and Path(file).suffix not in HTML_ENDINGS:
        raise click.BadParameter(f"{file!r} does not end in .html; name models before --html")
    return file


def _place(_context: click.Context, _option: click.Parameter, file: Path | None) -> Path | None:
    """Return the file to write; a usage error, before anything is measured, when it can not be."""
    if file is not None:
        _require_folder(file)
    return file


def _require_folder(file: Path) -> None:
    folder = file.absolute().parent
    if not folder.is_dir():
        raise click.BadParameter(f"there is no folder {folder}")


ABOVE_ZERO = click.FloatRange(min=0, min_open=True)
WRITABLE = click.Path(dir_okay=False, writable=True, path_type=Path)

MEASURING: tuple[Option, ...] = (
    click.option("--seed", type=click.IntRange(min=0), metavar="N",
                 help="Of the random text; else any, which the report names."),
    click.option("--rate-under", type=ABOVE_ZERO, metavar="TOKENS_PER_SECOND",
                 help="A soak ends when a model writes slower."),
    click.option("--memory-over-mib", type=ABOVE_ZERO, metavar="MIB",
                 help="A soak ends when a model takes more memory."),
    click.option("--answer-over", type=ABOVE_ZERO, metavar="SECONDS",
                 help="A soak ends when an answer takes longer."),
    click.option("--missions", type=click.IntRange(1, 100_000), metavar="N",
                 help="How often a soak asks everything."),
    click.option("--loads/--no-loads", default=None,
                 help="Measure loads, cold and warm.  [default: with --suite full]"),
    click.option("--energy", is_flag=True, help="Measure energy, after 5 s of rest."),
    click.option("--verify", is_flag=True, help="Check that the results can be trusted."),
    click.option("--max-tokens", type=click.IntRange(min=1), metavar="N",
                 help="Longest answer to a prompt, and what is written where no preset is named."),
    click.option("--prompt", "prompts", multiple=True, metavar="TEXT",
                 help="A prompt of yours to measure with; may be given again."),
    click.option("--preset", "presets", multiple=True, metavar="NAME",
                 help="A workload of random text, such as pp512+tg128@d2048; may be given again, "
                      "and the first is the headline."),
    click.option("--rounds", type=click.IntRange(1, 1000), metavar="N",
                 help="How often each is measured, instead of `benchmark.rounds` (5)."),
    click.option("--suite", type=click.Choice(SUITES), metavar="NAME",
                 help="What to measure: `latency` (speed, the default), `quality`, `full` "
                      "(speed, quality and loads) or `soak` (the same again and again)."),
)  # fmt: skip
"""What to measure; the last one is the first in the help."""

LOOKING: tuple[Option, ...] = (
    click.option(
        "--show",
        metavar="ID",
        help="Show a run again: its id, the beginning of it, `latest`, or `latest~1`.",
    ),
    click.option(
        "--list",
        "listing",
        is_flag=True,
        help="List the runs that are kept, the newest first; with a MODEL only its.",
    ),
    click.option(
        "--recommend", is_flag=True, help="Say which models are worth choosing, by the newest runs."
    ),
    click.option("--compare", nargs=2, metavar="A B", help="Say what changed from run A to run B."),
)
"""What to look at instead of measuring."""

WRITING: tuple[Option, ...] = (
    url_option,
    click.option("--output", type=WRITABLE, callback=_place, metavar="FILE",
                 help="Write to FILE instead of stdout."),
    click.option("--benchstat", is_flag=True, help="Write lines that `benchstat` compares."),
    click.option("--csv", is_flag=True, help="Write CSV, a row for each request."),
    click.option("--html", is_flag=False, flag_value=TO_STDOUT, callback=_page,
                 metavar="[FILE]",
                 help="Write a page with charts, to stdout or to a FILE that ends in `.html`."),
    click.option("--markdown", is_flag=True, help="Write tables in Markdown; for --compare, too."),
    json_of("the answer of `POST /v1/benchmark`, or of the route that is asked instead"),
)  # fmt: skip
"""How to write it."""


def _with(options: Sequence[Option]) -> Option:
    """Return what gives a command those options."""

    def declared(command: Any) -> Any:
        return reduce(lambda done, option: option(done), options, command)

    return declared


@click.command("bench")
@click.argument("models", metavar="[MODEL]...", nargs=-1)
@_with(MEASURING)
@_with(LOOKING)
@_with(WRITING)
def bench_command(models: tuple[str, ...], **given: Any) -> None:
    """Measure each MODEL, or all that are loaded, and keep the results.

    With --compare, --recommend, --list or --show it measures nothing and looks at what was
    measured before. A run is named by its id, the beginning of it, `latest`, or `latest~1` for
    the one before.

    Ctrl-C ends the run; what was measured until then is kept, and its id is said.

    The exit code is 1 when no model could be measured, when --verify finds that the results can
    not be trusted, and when a soak failed.
    """
    asked = _asked(models, given)
    if not run(work(asked, _form(asked, given), given["url"])):
        raise SystemExit(FAILED)


def _asked(models: tuple[str, ...], given: Mapping[str, Any]) -> Asked:
    actions = [name for name in ACTIONS if given[name]]
    if not actions:
        return Measure.of(models, given)
    if len(actions) > 1:
        raise click.UsageError("take one of --compare, --recommend, --list and --show")
    (action,) = actions
    if Measure.of((), given).body or len(models) > (action == "listing"):
        raise click.UsageError("what was measured before does not go with what to measure")
    return History(action, given[action], next(iter(models), None))


def _form(asked: Asked, given: Mapping[str, Any]) -> Form:
    """Return how to write what comes of it."""
    chosen = [name for name in FORMATS if given[name]]
    if len(chosen) > 1:
        raise click.UsageError("take one of --json, --markdown, --html, --csv and --benchstat")
    name = chosen[0].removeprefix("in_") if chosen else "table"
    if name not in asked.forms:
        raise click.UsageError(f"--{name} writes one run; take --json, or nothing")
    return Form(name, _output(given["html"], given["output"]))


def _output(page: str | None, output: Path | None) -> Path | None:
    if page in (None, TO_STDOUT):
        return output
    if output is not None:
        raise click.UsageError("--html FILE and --output FILE: name one file")
    _require_folder(Path(page))
    return Path(page)
