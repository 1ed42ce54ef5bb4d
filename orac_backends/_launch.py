"""How a process that serves a model is started."""

from collections.abc import Mapping
from pathlib import Path

from attrs import frozen

ANY_HOST = "http://engine"
"""What stands in the place of a host where a socket is asked."""


@frozen
class Launch:
    """How to start one server, and where it will listen.

    Attributes:
        argv: Command, without the key, as others can read it.
        environment: Environment of the process.
        base_url: Where it listens, unless ``socket`` says so.
        socket: Unix socket that it listens on.
        stdin: What it gets on its standard input.
        grace_s: Time it gets to end by itself before it is killed.
    """

    argv: tuple[str, ...]
    environment: Mapping[str, str]
    base_url: str = ANY_HOST
    socket: Path | None = None
    stdin: bytes = b""
    grace_s: float = 0.0
