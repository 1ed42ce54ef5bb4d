"""The page at ``/`` and what it is made of, out of the package.

What can be asked for is a table of names made before anybody asks; no client says a path.
"""

import gzip
import hashlib
from collections.abc import Iterator, Mapping
from functools import cached_property
from importlib.resources import files
from importlib.resources.abc import Traversable
from types import MappingProxyType

from aiohttp import web
from attrs import define

from ..endpoint import Endpoint
from .docs import GZIP

TYPES: Mapping[str, str] = MappingProxyType(
    {
        "css": "text/css",
        "html": "text/html",
        "js": "text/javascript",
        "json": "application/json",
        "LICENSE": "text/plain",
        "svg": "image/svg+xml",
    }
)
"""Media types of the files by what stands after their last dot; no others are served."""

PAGE = "index.html"


def endpoints() -> list[Endpoint]:
    """Return an endpoint for each file of the dashboard; the page itself is at ``/``."""
    found = dict(_found(files("orac_server").joinpath("dashboard")))
    page = Endpoint("GET", "/", found.pop(PAGE).answer, "open")
    parts = (
        Endpoint("GET", f"/dashboard/{name}", asset.answer, "open", part=True)
        for name, asset in found.items()
    )
    return [page, *parts]


@define(eq=False, slots=False)
class Asset:
    """A file that is read and compressed when it is first asked for.

    Attributes:
        place: Where it is.
        media_type: What it is.
    """

    place: Traversable
    media_type: str

    @cached_property
    def plain(self) -> bytes:
        """Its bytes."""
        return self.place.read_bytes()

    @cached_property
    def compressed(self) -> bytes:
        """The same by gzip."""
        return gzip.compress(self.plain, mtime=0)

    @cached_property
    def tag(self) -> str:
        """What tells these bytes from any others."""
        return hashlib.sha256(self.plain).hexdigest()[:32]

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Answer with it, or that the client has it already."""
        headers = {
            "Cache-Control": "no-cache",
            "ETag": f'"{self.tag}"',
            "Vary": "Accept-Encoding",
        }
        if any(each.value in (self.tag, "*") for each in request.if_none_match or ()):
            return web.Response(status=304, headers=headers)
        body = self.plain
        if GZIP.search(request.headers.get("Accept-Encoding", "")):
            body, headers["Content-Encoding"] = self.compressed, "gzip"
        headers["Content-Type"] = f"{self.media_type}; charset=utf-8"
        return web.Response(body=body, headers=headers)


def _found(folder: Traversable, before: str = "") -> Iterator[tuple[str, Asset]]:
    """Yield every file that is served, by its name from the first *folder* on."""
    for each in sorted(folder.iterdir(), key=lambda it: it.name):
        if each.is_dir():
            yield from _found(each, f"{before}{each.name}/")
        elif media_type := TYPES.get(each.name.rpartition(".")[2]):
            yield f"{before}{each.name}", Asset(each, media_type)
