"""An endpoint: what is done for which request, and who may ask."""

from collections.abc import Awaitable, Callable
from typing import Literal

from aiohttp import web
from attrs import frozen

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

Scope = Literal["open", "user", "admin"]
"""Who may ask: anybody, who has a token, who has the token of an administrator."""


@frozen
class Endpoint:
    """One line of the table of URLs.

    What ``GET /openapi.json`` says of it stands in ``openapi/operations.py``, by method and path;
    a test fails as long as that is missing.

    Attributes:
        method: HTTP method; GET answers HEAD too, unless it streams.
        path: As aiohttp takes it.
        handler: What is done.
        scope: Who may ask, where a token is needed at all.
        streams: Whether the answer to a GET is a stream without end.
        part: Whether it is a part of a page, which nobody asks for by itself.
    """

    method: Literal["GET", "POST"]
    path: str
    handler: Handler
    scope: Scope = "user"
    streams: bool = False
    part: bool = False

    @property
    def route(self) -> web.RouteDef:
        """The same for aiohttp."""
        if self.method == "GET":
            return web.get(self.path, self.handler, allow_head=not self.streams)
        return web.post(self.path, self.handler)
