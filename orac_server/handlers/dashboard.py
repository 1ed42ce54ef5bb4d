"""The page at ``/`` and what it is made of, out of the package."""

from collections.abc import Awaitable, Callable
from importlib.resources import files

from aiohttp import web

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def page(name: str, content_type: str) -> Handler:
    """Return a handler that answers with the file *name* of the dashboard, read once."""
    body = files("orac_server").joinpath("dashboard", name).read_bytes()

    async def handler(_request: web.Request) -> web.StreamResponse:
        return web.Response(
            body=body,
            content_type=content_type,
            charset="utf-8",
            headers={"Cache-Control": "no-cache"},
        )

    return handler
