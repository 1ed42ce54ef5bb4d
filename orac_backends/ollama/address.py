"""Where an Ollama is: from a setting or from Ollama's own variables to an address. Pure.

``OLLAMA_HOST`` is read as Ollama reads it (envconfig/config.go): scheme, port and path may be left
out, and an address to listen on, such as ``0.0.0.0``, means this machine.
"""

import ipaddress
from collections.abc import Mapping
from urllib.parse import urlsplit

from attrs import frozen

from orac_core import ConfigurationError

from .._loopback import is_loopback

PORT = 11434
_PORTS = {"http": 80, "https": 443}
_HIGHEST_PORT = 65535
_EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - what they mean to a client


@frozen
class Address:
    """Host, port and path of a server.

    Attributes:
        scheme: ``http`` or ``https``.
        host: Name or address, without brackets.
        port: Port.
        path: What all its routes begin with, without a slash at the end.
    """

    scheme: str = "http"
    host: str = "127.0.0.1"
    port: int = PORT
    path: str = ""

    @property
    def url(self) -> str:
        """The address as a URL, without a slash at the end."""
        return f"{self.scheme}://{self.authority}{self.path}"

    @property
    def authority(self) -> str:
        """Host and port as ``OLLAMA_HOST`` takes them."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"

    @property
    def on_this_machine(self) -> bool:
        """Whether it is a loopback address."""
        return is_loopback(self.host)


def find(url: str | None, environ: Mapping[str, str]) -> Address:
    """Return the address of the setting *url*, else of ``OLLAMA_HOST`` and ``OLLAMA_PORT``.

    Raises:
        ConfigurationError: when it is none.
    """
    if url is not None:
        return _parsed("url", url)
    host, port = environ.get("OLLAMA_HOST", ""), environ.get("OLLAMA_PORT", "").strip()
    if not port:
        return _parsed("OLLAMA_HOST", host)
    return _parsed("OLLAMA_HOST", host, _port("OLLAMA_PORT", port))


def _parsed(origin: str, text: str, default_port: int | None = None) -> Address:
    text = text.strip().strip("\"'")
    scheme, separator, rest = text.partition("://")
    if not separator:
        scheme, rest = "http", text
    if scheme not in _PORTS:
        raise _wrong(origin, text, "expected http:// or https://")
    usual = _PORTS[scheme] if separator and default_port is None else PORT
    host, port, path = _split(origin, text, rest)
    host = _EVERYWHERE.get(host, host) or "127.0.0.1"
    return Address(scheme, host, port if port is not None else default_port or usual, path)


def _split(origin: str, text: str, rest: str) -> tuple[str, int | None, str]:
    """Return host, port and path."""
    try:
        bare = ipaddress.ip_address(rest.strip("[]"))
    except ValueError:
        bare = None
    if bare is not None:
        return str(bare), None, ""
    try:
        parts = urlsplit(f"//{rest}")
        host, port = parts.hostname or "", parts.port
    except ValueError as error:
        raise _wrong(origin, text, str(error)) from error
    if parts.username or parts.query or parts.fragment or any(map(str.isspace, rest)):
        raise _wrong(origin, text, "expected no more than scheme, host, port and path")
    return host, port, parts.path.rstrip("/")


def _port(origin: str, text: str) -> int:
    if text.isascii() and text.isdigit() and 0 < int(text) <= _HIGHEST_PORT:
        return int(text)
    raise _wrong(origin, text, f"expected a port from 1 to {_HIGHEST_PORT}")


def _wrong(origin: str, text: str, why: str) -> ConfigurationError:
    shown = text.rpartition("@")[2]  # what stands before may be a password
    return ConfigurationError(
        f"{origin} = {shown!r} is no address of an Ollama: {why}; "
        "write it like http://127.0.0.1:11434",
    )
