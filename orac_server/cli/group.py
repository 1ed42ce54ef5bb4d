"""The command ``orac``: a table of its commands, each imported when it is run."""

from collections.abc import Mapping
from importlib import import_module
from types import MappingProxyType
from typing import Any

import click
from attrs import frozen

from .lean import uncollected
from .output import never_fail_on_a_letter, note

INTERRUPTED = 130
"""What a shell expects of a program that was ended by Ctrl-C."""


@frozen
class Entry:
    """Where a command stands in this package, and its help in one line."""

    module: str
    help: str


COMMANDS: Mapping[str, Entry] = MappingProxyType(
    {
        "serve": Entry("serve", "Serve the models of this machine over HTTP."),
        "list": Entry("models", "List the models and what they are doing."),
        "load": Entry("models", "Load a model and prove that it answers."),
        "unload": Entry("models", "Free the memory of a model."),
        "provision": Entry("provision", "Make the models of the profile's roles be there."),
        "pull": Entry("provision", "Make one model be there."),
        "plan": Entry("plan", "Say whether a model would fit into memory, and what would go."),
        "prompt": Entry("prompt", "Ask a model and print its answer."),
        "bench": Entry("bench", "Measure models, and compare what was measured."),
        "verify": Entry("verify", "Read model files whole and say which are as they should be."),
        "plugins": Entry("plugins", "List the plugins: what they offer and which are broken."),
        "conformance": Entry("conformance", "Hold a kind of backend to the contract of the hooks."),
        "config": Entry("config", "Print what holds, and where each value comes from."),
        "doctor": Entry("doctor", "Say what works, what does not, and what to do."),
    },
)
"""In the order of the help. In its module a command ``x`` is the function ``x_command``."""


class Orac(click.Group):
    """A group that knows the names and the help of its commands without importing them."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Name the commands in the order of the table."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - click's signature
        """Import the command of that name; None for none."""
        entry = COMMANDS.get(cmd_name)
        if entry is None:
            return None
        with uncollected():
            module = import_module(f"{__package__}.{entry.module}")
        command: click.Command = getattr(module, f"{cmd_name}_command")
        command.short_help = entry.help
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - click's signature
        """Write the list of commands from the table."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, entry.help) for name, entry in COMMANDS.items()])

    def make_context(self, *args: Any, **kwargs: Any) -> click.Context:
        """Prepare the streams, then read the command line."""
        never_fail_on_a_letter()
        return super().make_context(*args, **kwargs)

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command; Ctrl-C has an exit code of its own."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            note("interrupted")
            ctx.exit(INTERRUPTED)


@click.group(
    name="orac",
    cls=Orac,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Every command has --help, and --json where it prints data.",
)
@click.version_option(package_name="orac", message="%(prog)s %(version)s")
def main() -> None:
    """One command in front of the local LLM engines of a machine."""
