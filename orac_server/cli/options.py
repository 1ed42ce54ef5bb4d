"""Options that several commands have: which server to talk to, where models are, JSON."""

from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import click

DEFAULT = "http://127.0.0.1:8000"
VARIABLE = "ORAC_URL"


def shown(url: str) -> str:
    """Return *url* without the name and password that may stand in it."""
    scheme, separator, rest = url.partition("://")
    place, slash, path = rest.partition("/")
    return f"{scheme}{separator}{place.rpartition('@')[2]}{slash}{path}"


def checked(_context: click.Context, _option: click.Parameter, url: str) -> str:
    """Return *url* without a slash at its end; a usage error when it is no address of a server."""
    try:
        parts = urlsplit(url)
        usable = parts.scheme in {"http", "https"} and parts.hostname and (parts.port or 80)
    except ValueError:
        usable = False
    if not usable:
        raise click.BadParameter(f"{shown(url)!r} is no address such as {DEFAULT}")
    return url.rstrip("/")


def url_option(command: Any) -> Any:
    """Give a command the option ``--url``."""
    return click.option(
        "--url",
        envvar=VARIABLE,
        default=DEFAULT,
        show_default=True,
        show_envvar=True,
        metavar="URL",
        callback=checked,
        help="Server to talk to.",
    )(command)


def models_dir_option(command: Any) -> Any:
    """Give a command the option ``--models-dir``; what is wrong with the folder it tells itself."""
    return click.option(
        "--models-dir",
        type=click.Path(readable=False, path_type=Path),
        metavar="FOLDER",
        help="Folder to search for models before all others.",
    )(command)


def json_option(command: Any) -> Any:
    """Give a command the option ``--json``."""
    return json_of("JSON to stdout")(command)


def json_of(told: str) -> Callable[[Any], Any]:
    """Return what gives a command the option ``--json``, whose help says what it writes."""
    return click.option("--json", "in_json", is_flag=True, help=f"Write {told}.")
