"""What holds for a service: by its address, its settings and its environment."""

import socket
from collections.abc import Mapping

from orac_core import ConfigurationError, StateDirectory
from orac_core.manifest import ServerSettings

from . import hosts, places
from .guard import Guard
from .hosts import Hosts, is_loopback
from .origins import Origins
from .places import ADMIN, USER, Found
from .tokens import Token, Tokens

OPEN = (
    "no token is asked for, as that is turned off (--no-auth, or `auth = false` in the manifest): "
    "whoever can reach this address may ask, load and unload models; turn it on again, or let a "
    "firewall see to it that nobody else can reach it"
)


def arranged(
    listens_on: str, name: str, settings: ServerSettings, environ: Mapping[str, str]
) -> Guard:
    """Return the guard of a service; where a token is needed and none is given, one is made.

    Args:
        listens_on: Address that it listens on.
        name: What it was told to listen on, which may be a name.
        settings: The table ``[server]``.
        environ: Environment, which may hold tokens and names where ORAC keeps one.

    Raises:
        ConfigurationError: when a token that is given can be none, none can be kept, or what the
            settings allow makes no sense.
    """
    allowed = hosts.checked((*filter(None, (name,)), *settings.allowed_hosts))
    origins = Origins.of(settings.allowed_origins)
    admin, user = places.given(environ, ADMIN), places.given(environ, USER)
    wanted = admin is not None or user is not None or not is_loopback(listens_on)
    return Guard(
        Hosts.of(listens_on, socket.gethostname(), allowed),
        origins,
        _tokens(admin, user, environ) if wanted and settings.auth else None,
        OPEN if wanted and not settings.auth else None,
    )


def _tokens(admin: Found | None, user: Found | None, environ: Mapping[str, str]) -> Tokens:
    admin = admin or places.kept(StateDirectory.of(environ).path)
    if user and user.text == admin.text:
        raise ConfigurationError(
            f"{admin.place} and {user.place} hold the same token, so that users would be "
            "administrators; give each another"
        )
    return Tokens(_token(admin), _token(user) if user else None)


def _token(found: Found) -> Token:
    return Token.of(found.text, found.place, made=found.made)
