"""Where a server is: from a setting to an address. Pure."""

from urllib.parse import urlsplit

from attrs import frozen

from .._loopback import is_loopback

_USUAL_PATH = "/v1"


@frozen
class Address:
    """The address that all routes of a server begin with.

    Attributes:
        url: Without a slash at the end.
        host: Name or address, without brackets.
        secure: Whether what is sent there is encrypted on the way.
    """

    url: str
    host: str
    secure: bool

    @property
    def on_this_machine(self) -> bool:
        """Whether it is a loopback address."""
        return is_loopback(self.host)


def address(url: str) -> Address:
    """Return the address that a setting means: what OpenAI's clients call ``base_url``.

    Most servers have their routes below ``/v1``, so that is added where there is no path.

    Raises:
        ValueError: when it is none; what stands in it is not repeated, as it may be secret.
    """
    parts = urlsplit(checked("url", url))
    path = parts.path.rstrip("/") or _USUAL_PATH
    base = f"{parts.scheme}://{parts.netloc}{path}"
    return Address(base, parts.hostname or "", parts.scheme == "https")


def checked(name: str, url: str) -> str:
    """Return *url* when it has a scheme, a host, and neither a password nor a query.

    Raises:
        ValueError: when it is not so, speaking of the setting *name*.
    """
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        host, parts = None, urlsplit("")
    if parts.scheme not in ("http", "https") or not host or any(map(str.isspace, url)):
        raise ValueError(f"{name!r} must be an address such as https://api.example.com/v1")
    if parts.username is not None or parts.password is not None:
        raise ValueError(f"{name!r} must hold no name and no password; a key goes to key_file")
    if parts.query or parts.fragment:
        raise ValueError(f"{name!r} must be no more than scheme, host, port and path")
    return url
