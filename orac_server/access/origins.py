"""From which pages a browser may ask (pure).

A browser names the origin of the page that asks (RFC 6454), and by ``Sec-Fetch-…`` how they are
related (Fetch Metadata). Programs send neither.
"""

from collections.abc import Iterable
from types import MappingProxyType

from attrs import frozen

from orac_core import ConfigurationError

from .hosts import split

Place = tuple[str, str, int | None]
"""Scheme, host and port of an origin."""

SAFE = frozenset({"GET", "HEAD"})
"""Methods that change nothing."""

PORTS = MappingProxyType({"http": 80, "https": 443})


@frozen
class Asked:
    """What a request says of where it comes from.

    Attributes:
        method: Its method.
        host: By which name the service was called; None where HTTP/1.0 names none.
        origin: Origin of the page; None for none.
        site: ``Sec-Fetch-Site``.
        mode: ``Sec-Fetch-Mode``.
    """

    method: str
    host: str | None
    origin: str | None = None
    site: str | None = None
    mode: str | None = None


@frozen
class Origins:
    """Where pages may come from.

    Attributes:
        allowed: Origins beside ORAC's own.
    """

    allowed: frozenset[Place] = frozenset()

    @classmethod
    def of(cls, named: Iterable[str]) -> "Origins":
        """Return those of ``allowed_origins``.

        Raises:
            ConfigurationError: for each that is none.
        """
        found = {each: place(each) for each in named}
        wrong = tuple(
            f"{each!r} is no origin such as 'https://robots.example' @ server.allowed_origins"
            for each, known in found.items()
            if known is None
        )
        if wrong:
            raise ConfigurationError("origins that can not be allowed", wrong)
        return cls(frozenset(each for each in found.values() if each))

    def shared_with(self, origin: str | None) -> bool:
        """Whether pages of *origin* may read answers though they are not ORAC's own."""
        return origin is not None and place(origin) in self.allowed

    def welcome(self, asked: Asked) -> bool:
        """Whether a request may come from where it comes from."""
        safe = asked.method in SAFE
        if self.shared_with(asked.origin):
            return True
        if asked.origin is None or _is_own(asked.origin, asked.host):
            return safe or asked.site != "cross-site"
        return safe and asked.mode == "navigate"


def place(origin: str) -> Place | None:
    """Return what *origin* says; None when it is none, such as ``null``."""
    scheme, separator, authority = origin.partition("://")
    parts = split(authority)
    if not separator or not scheme.isascii() or not scheme.isalnum() or parts is None:
        return None
    scheme = scheme.lower()
    return scheme, parts[0], parts[1] or PORTS.get(scheme)


def _is_own(origin: str, host: str | None) -> bool:
    """Whether *origin* is where *host* leads, by whatever a proxy may add: TLS."""
    there, here = place(origin), split(host or "")
    if there is None or here is None or there[0] not in PORTS:
        return False
    return there[1:] == (here[0], here[1] or PORTS[there[0]])
