"""To which addresses a download may lead. Pure.

The manifest's own host is the operator's choice. Where its answers point to is a stranger's, who
may mean this machine, its network, or a service that gives keys away to whoever is on the machine
(169.254.169.254).
"""

from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from typing import Literal

from yarl import URL

from orac_core import BackendError

from ._download_source import shown

Near = Literal["public", "private", "link-local", "loopback"]

_NAT64 = IPv6Network("64:ff9b::/96")  # RFC 6052: an IPv4 address stands in the last 32 bits
_LAST_32_BITS = 0xFFFFFFFF


def near(address: str) -> Near:
    """Return how near to this machine an address is, also when it is written as one of IPv6.

    Raises:
        ValueError: It is none.
    """
    found = _plain(ip_address(address))
    if found.is_loopback or found.is_unspecified:
        return "loopback"
    if found.is_link_local or found.is_multicast:
        return "link-local"
    return "public" if found.is_global else "private"


def of_host(host: str) -> Near | None:
    """Return how near a host is by its name alone; None where only its addresses tell."""
    name = host.rstrip(".").lower()
    if name == "localhost" or name.endswith(".localhost"):
        return "loopback"
    try:
        return near(host)
    except ValueError:
        return None


def permitted(own: Near | None) -> frozenset[Near]:
    """Return which addresses the requests of a download may go to.

    Args:
        own: How near the manifest's own host is; None when that is a name whose addresses are
            not known yet. A name may stand for a machine of the network, but not for this one: no
            operator needs one for that, and a stranger's name server would.
    """
    return frozenset({"public", own or "private"})


def forwarded(current: URL, location: str) -> URL:
    """Return where a redirect leads.

    Raises:
        BackendError: It leads where a download does not go.
    """
    try:
        found = current.join(URL(location, encoded=True))
        host, _ = found.host, found.port
    except ValueError as error:
        raise _astray(current, "to what is no address") from error
    if found.scheme not in ("https", "http") or not host:
        raise _astray(current, "to what is no address of the web")
    if found.user is not None or found.password is not None:
        raise _astray(current, "to an address with a name and password")
    same = (current.scheme, host.lower()) == ("http", (current.host or "").lower())
    if found.scheme == "http" and not same:
        raise _astray(current, f"to {shown(str(found))}, without encryption")
    return found


def _plain(address: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    if isinstance(address, IPv4Address):
        return address
    if address in _NAT64:
        return IPv4Address(int(address) & _LAST_32_BITS)
    return address.ipv4_mapped or address.sixtofour or address


def _astray(current: URL, where: str) -> BackendError:
    return BackendError(
        f"{shown(str(current))} redirects {where}, which is refused; name the file's own address "
        "in the manifest"
    )
