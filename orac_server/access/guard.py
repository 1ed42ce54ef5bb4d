"""The guard: looks at each request before anything is done for it."""

from collections.abc import Mapping
from types import MappingProxyType

import structlog
from aiohttp import hdrs, web
from attrs import define, field

from orac_core.manifest import ServerSettings

from ..endpoint import Scope
from ..errors import Problem
from . import hosts, refusals
from .hosts import Hosts, is_loopback
from .origins import Asked, Origins
from .tokens import Tokens, brought

logger = structlog.get_logger("orac.server")

API_KEY = "X-Api-Key"

IN_CLEAR = (
    "a token came over plain HTTP from another machine, so whoever can listen on the network knows "
    "it; put a proxy that speaks TLS before ORAC"
)


@define(eq=False)
class Guard:
    """Decides who may ask what.

    Attributes:
        hosts: By which names the service may be called.
        origins: From which pages a browser may ask.
        tokens: The tokens that are taken; None when nobody needs one.
        problem: Why this is less safe than it should be, for health to tell; None when it is not.
    """

    hosts: Hosts
    origins: Origins = field(factory=Origins)
    tokens: Tokens | None = None
    problem: str | None = None
    _warned: bool = field(default=False, init=False)

    @classmethod
    def without_tokens(cls, settings: ServerSettings, hostname: str) -> "Guard":
        """Return one that asks for no token, of a service whose address is not known.

        Raises:
            ConfigurationError: when what the settings allow makes no sense.
        """
        allowed = hosts.checked(settings.allowed_hosts)
        found = Hosts.of(None, hostname, allowed)
        return cls(found, Origins.of(settings.allowed_origins))

    @property
    def places(self) -> Mapping[str, str]:
        """Where each token is found, in words; empty when nobody needs one."""
        if self.tokens is None:
            return MappingProxyType({})
        user = {"user": self.tokens.user.place} if self.tokens.user else {}
        return MappingProxyType({"admin": self.tokens.admin.place, **user})

    def refusal(self, request: web.BaseRequest, scope: Scope) -> Problem | None:
        """Return why *request* is refused; None when it is not.

        Args:
            request: The request; its body is not looked at.
            scope: Who may ask for what it asks for.
        """
        asked = _asked(request)
        if asked.host is not None and not self.hosts.allow(asked.host):
            return refusals.of_host(asked.host)
        if not self.origins.welcome(asked):
            return refusals.of_origin(asked.origin)
        if self.tokens is None or scope == "open":
            return None
        return self._without_right(request, self.tokens, scope)

    def _without_right(
        self, request: web.BaseRequest, tokens: Tokens, scope: Scope
    ) -> Problem | None:
        headers = request.headers
        found = brought(headers.getall(hdrs.AUTHORIZATION, ()), headers.getall(API_KEY, ()))
        if not found:
            return refusals.without_token()
        right = tokens.right(next(iter(found))) if len(found) == 1 else None
        if right is None:
            return refusals.of_token(several=len(found) > 1)
        self._look_at_the_way(request)
        return refusals.of_scope() if scope == "admin" and right == "user" else None

    def _look_at_the_way(self, request: web.BaseRequest) -> None:
        """Warn once of a token that anybody on its way could read."""
        if self._warned or request.secure or not request.remote or is_loopback(request.remote):
            return
        self._warned = True
        logger.warning(IN_CLEAR)


def _asked(request: web.BaseRequest) -> Asked:
    headers = request.headers
    return Asked(
        request.method,
        _all(request, hdrs.HOST),
        _all(request, hdrs.ORIGIN),
        headers.get("Sec-Fetch-Site"),
        headers.get("Sec-Fetch-Mode"),
    )


def _all(request: web.BaseRequest, name: str) -> str | None:
    """Return the header of that name; one that is there twice is nothing that could be allowed."""
    values = request.headers.getall(name, ())
    return ", ".join(values) if values else None
