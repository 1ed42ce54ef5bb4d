"""The options of how to load a model, and how long to keep it."""

from typing import Any

import click
from attrs import asdict, frozen

from orac_core.durations import keep_alive


@frozen
class Setup:
    """How to load a model; None leaves the choice to the manifest or the backend."""

    context_length: int | None = None
    gpu_layers: int | None = None
    parallel: int | None = None

    @property
    def body(self) -> dict[str, Any]:
        """What of it is given, as the HTTP interface wants it."""
        return {name: value for name, value in asdict(self).items() if value is not None}


def setup_options(command: Any) -> Any:
    """Give a command the options ``--context-length``, ``--gpu-layers`` and ``--parallel``."""
    for declare in (
        _number("--parallel", 1, "Answers at once."),
        _number("--gpu-layers", 0, "Layers to put on the GPU."),
        _number("--context-length", 1, "Tokens that a prompt and its answer may have together."),
    ):
        command = declare(command)
    return command


def keep_alive_option(command: Any) -> Any:
    """Give a command the option ``--keep-alive``."""
    return click.option(
        "--keep-alive",
        metavar="SPAN",
        callback=_a_span,
        help="How long it stays loaded without being used: 30m, 90 (seconds), -1 (for ever).",
    )(command)


def _number(name: str, least: int, told: str) -> Any:
    return click.option(name, type=click.IntRange(min=least), metavar="N", help=told)


def _a_span(_context: click.Context, _option: click.Parameter, span: str | None) -> str | None:
    """Return *span*; a usage error when it is no span of time."""
    try:
        if span is not None:
            keep_alive(span)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None
    return span
