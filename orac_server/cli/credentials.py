"""The token that a command sends: never on its own command line, where others could read it."""

import os
from collections.abc import Mapping
from contextlib import suppress
from urllib.parse import urlsplit

from aiohttp import ClientHandlerType, ClientMiddlewareType, ClientRequest, ClientResponse, hdrs
from yarl import URL

from orac_core import ConfigurationError, StateDirectory

from ..access import places
from ..access.hosts import is_loopback
from ..access.places import ADMIN, CLIENT, USER, Found


def credential(url: str, environ: Mapping[str, str]) -> Found | None:
    """Return the token for the server at *url*; None when there is none.

    It is that of ``ORAC_TOKEN``, else that of the server's own variables. A server on this machine
    may have made one, which its user can read.

    Raises:
        ConfigurationError: when a variable holds what can be no token.
    """
    for variable in (CLIENT, ADMIN, USER):
        if found := places.given(environ, variable):
            return found
    if is_loopback(urlsplit(url).hostname or ""):
        return places.lying(StateDirectory.of(environ).path)
    return None


def known(environ: Mapping[str, str]) -> dict[str, str]:
    """Return every token that can be found, by the variable that holds it or could."""
    found = {"ORAC_KEPT_TOKEN": places.lying(StateDirectory.of(environ).path)}
    for variable in (CLIENT, ADMIN, USER):
        with suppress(ConfigurationError):
            found[variable] = places.given(environ, variable)
    return {name: each.text for name, each in found.items() if each}


def presenting(url: str) -> tuple[ClientMiddlewareType, ...]:
    """Return what adds the token to the requests of a session, if there is one.

    It goes to the server at *url* and nowhere else, wherever that may redirect to.

    Raises:
        ConfigurationError: when a variable holds what can be no token.
    """
    found = credential(url, os.environ)
    if found is None:
        return ()
    token, place = found.text, URL(url).origin()

    async def add(request: ClientRequest, handler: ClientHandlerType) -> ClientResponse:
        if request.url.origin() == place and hdrs.AUTHORIZATION not in request.headers:
            request.headers[hdrs.AUTHORIZATION] = f"Bearer {token}"
        return await handler(request)

    return (add,)
