"""By which names the service may be called (pure).

A page can give a name of its own the address of this machine and then reads what is served here as
if it were its own (DNS rebinding). It can not make the browser send another name in ``Host``.
"""

import re
from collections.abc import Iterable
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address

from attrs import frozen

from orac_core import ConfigurationError

LOOPBACK = ("localhost", "127.0.0.1", "::1")
"""How this machine calls itself; more addresses of IPv4 are loopback too."""

AUTHORITY = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9_.-]+))(?::(\d{0,5}))?")
"""Host and port as they stand in ``Host`` and in an origin (RFC 3986, section 3.2)."""


@lru_cache(maxsize=256)
def split(authority: str) -> tuple[str, int | None] | None:
    """Return name and port, None for none given; None when it is no host and port."""
    match = AUTHORITY.fullmatch(authority)
    if match is None:
        return None
    return plain(match[1] or match[2]), int(match[3]) if match[3] else None


def plain(name: str) -> str:
    """Return a name or an address as it is compared."""
    found = address(name)
    return name.lower().removesuffix(".") if found is None else str(found)


def address(name: str) -> IPv4Address | IPv6Address | None:
    """Return the IP address that *name* is; None when it is none."""
    try:
        return ip_address(name)
    except ValueError:
        return None


@lru_cache(maxsize=256)
def is_loopback(name: str) -> bool:
    """Whether *name* stands for this machine and no other can reach it."""
    found = address(name)
    return found.is_loopback if found else plain(name) in LOOPBACK


@frozen
class Hosts:
    """What may stand in ``Host``, whatever the port.

    Attributes:
        names: Names and addresses; beside them any address of loopback may.
        any_address: Whether every IP address may: rebinding needs a name.
    """

    names: frozenset[str] = frozenset(LOOPBACK)
    any_address: bool = False

    @classmethod
    def of(cls, listens_on: str | None, hostname: str, more: Iterable[str]) -> "Hosts":
        """Return those of a service.

        Args:
            listens_on: Address that it listens on; None when that is not known.
            hostname: Name of this machine, which holds where others can reach it.
            more: Names beside those.
        """
        found = address(listens_on or "0.0.0.0")  # noqa: S104 - any, as far as is known
        bare = hostname.partition(".")[0]
        own = () if found and found.is_loopback else (hostname, bare, f"{bare}.local")
        here = () if listens_on is None else (listens_on,)
        named = (plain(each) for each in (*LOOPBACK, *own, *here, *more) if each)
        return cls(frozenset(named), found is not None and found.is_unspecified)

    def allow(self, host: str) -> bool:
        """Whether the service may be called *host*, a header of that name."""
        parts = split(host)
        if parts is None:
            return False
        name = parts[0]
        if name in self.names or is_loopback(name):
            return True
        return self.any_address and address(name) is not None


def checked(allowed: Iterable[str]) -> tuple[str, ...]:
    """Return the names of ``allowed_hosts``.

    Raises:
        ConfigurationError: for each that is no name.
    """
    names = tuple(allowed)
    wrong = tuple(
        f"{each!r} is no name such as 'robot.lan', without a port @ server.allowed_hosts"
        for each in names
        if address(each) is None and not re.fullmatch(r"[A-Za-z0-9_.-]+", each)
    )
    if wrong:
        raise ConfigurationError("names that can not be allowed", wrong)
    return names
