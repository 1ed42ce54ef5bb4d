"""Whether an engine runs on this machine."""

from ipaddress import ip_address


def is_loopback(host: str) -> bool:
    """Whether *host*, a name or an address without brackets, is a loopback address."""
    if host.lower() == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
