"""The commands, their usage and their options, as click knows them."""

from collections.abc import Iterator
from typing import Any

import click

from orac_server.cli import main

from .limits import between
from .markdown import code, table


def sections() -> dict[str, str]:
    """Return the usage of all commands together, and the options of each in a table."""
    context = click.Context(main, info_name="orac")
    names = main.list_commands(context)
    commands = {name: main.get_command(context, name) for name in names}
    found = {
        name: click.Context(each, info_name=name, parent=context)
        for name, each in commands.items()
        if each is not None
    }
    usage = "\n".join(each.get_usage().removeprefix("Usage: ") for each in found.values())
    return {
        "usage": f"```text\n{usage}\n```",
        **{name: table(("option", "meaning"), options(each)) for name, each in found.items()},
    }


def options(context: click.Context) -> Iterator[tuple[str, str]]:
    """Yield each option of a command but ``--help``, with its meaning and limits."""
    for each in context.command.params:
        if isinstance(each, click.Option):
            yield written(each, context), meaning(each, context)


def written(option: click.Option, context: click.Context) -> str:
    """Return the ways in which an option may be written."""
    value = "" if option.is_flag else f" {option.make_metavar(context)}"
    names = [*option.opts, *option.secondary_opts]
    return ", ".join(code(f"{name}{value}") for name in names)


def limits(kind: click.ParamType[Any]) -> str:
    """Return the limits of a number in words."""
    least, most = getattr(kind, "min", None), getattr(kind, "max", None)
    return between(least, most, above=getattr(kind, "min_open", False))


def meaning(option: click.Option, context: click.Context) -> str:
    """Return what an option is for, with its limits, its default and its variable."""
    extra = option.get_help_extra(context)
    told = [limits(option.type)] if limits(option.type) else []
    told += [f"{code(extra['default'])} by default"] if "default" in extra else []
    told += [f"or {code(name)}" for name in extra.get("envvars", ())]
    help_ = " ".join((option.help or "").split())
    return f"{help_.removesuffix('.')} ({', '.join(told)})." if told else help_
