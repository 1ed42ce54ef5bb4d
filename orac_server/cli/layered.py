"""The options that stand over a manifest, and what holds with them."""

import os
from pathlib import Path
from typing import Any

import click
from attrs import frozen

from orac_core.manifest import Option, Settled
from orac_core.plugins import Plugins
from orac_core.serving.door import checked_settings, layers


@frozen
class Given:
    """What the command line says of settings.

    Attributes:
        manifest: The manifest to read; None for the one that would hold.
        host: Address to listen on.
        port: Port to listen on.
        no_auth: Whether nobody needs a token.
    """

    manifest: Path | None = None
    host: str | None = None
    port: int | None = None
    no_auth: bool = False

    def settled(self) -> Settled:
        """Return what holds by the manifest, the environment and the command line.

        Raises:
            ConfigurationError: naming every mistake.
        """
        found = layers(self.manifest, os.environ, self._options())
        checked_settings(found.manifest.backends, Plugins.discover(), str(found.path))
        return found

    def _options(self) -> dict[str, Option]:
        given = {
            "server.host": Option(self.host or None, "--host"),
            "server.port": Option(self.port, "--port"),
            "server.auth": Option(False if self.no_auth else None, "--no-auth"),
        }
        return {name: option for name, option in given.items() if option.value is not None}


def settings_options(command: Any) -> Any:
    """Give a command the options of `Given`, and ``--models-dir``."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


_OPTIONS = (
    click.option(
        "--host", metavar="ADDRESS", help="Address to listen on, instead of `server.host`."
    ),
    click.option(
        "--port",
        type=click.IntRange(0, 65535),
        metavar="PORT",
        help="Port to listen on, instead of `server.port`; 0 takes a free one, which is printed.",
    ),
    click.option(
        "--models-dir",
        type=click.Path(exists=True, file_okay=False, path_type=Path),
        metavar="FOLDER",
        help="Folder to search for models before all others.",
    ),
    click.option(
        "--manifest",
        type=click.Path(exists=True, dir_okay=False, path_type=Path),
        metavar="FILE",
        help="Manifest to read, instead of the one that would hold.",
    ),
    click.option(
        "--no-auth",
        is_flag=True,
        help="Ask nobody for a token, on any address; ORAC warns of that, and is `degraded`.",
    ),
)
