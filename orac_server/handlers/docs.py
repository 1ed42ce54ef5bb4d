"""The interface, described by itself, and the page that shows it."""

import asyncio
import gzip
import hashlib
import re
from collections.abc import Callable, Mapping
from functools import cache, partial
from importlib.resources import files
from types import MappingProxyType

from aiohttp import ETag, web

from ..body import JSON, encode
from ..endpoint import Endpoint, Handler
from ..middlewares import HEADERS, POLICY

PAGE_POLICY = HEADERS[POLICY].replace("; object-src", "; img-src 'self' data:; object-src")
"""For the page: the icons of Swagger UI stand in its styles."""

GZIP = re.compile(r"\bgzip\b(?!\s*;\s*q=0(?:\.0*)?\s*(?:,|$))", re.IGNORECASE)
"""In ``Accept-Encoding``, unless its weight is 0."""

CACHE = {"Cache-Control": "no-cache", "Vary": "Accept-Encoding"}
"""Whoever has it asks each time whether it is still the same."""


def described(endpoints: Callable[[], list[Endpoint]]) -> Handler:
    """Return the handler of ``GET /openapi.json``; the document is made when it is first asked."""

    @cache
    def made() -> bytes:
        # Nothing of it is imported before: a server that nobody asks spares the time and the space.
        from ..openapi import document  # noqa: PLC0415

        return encode(document(endpoints()))

    async def handler(request: web.Request) -> web.StreamResponse:
        return _told(request, await asyncio.to_thread(made), JSON)

    return handler


def page(name: str, content_type: str) -> Handler:
    """Return a handler that answers with a file of the page, read each time."""

    async def handler(request: web.Request) -> web.StreamResponse:
        body = await asyncio.to_thread(_read, name)
        own = {POLICY: PAGE_POLICY} if content_type == "text/html" else {}
        return _told(request, body, content_type, own)

    return handler


def packed(name: str, content_type: str) -> Handler:
    """Return the same for a file that is kept compressed."""

    async def handler(request: web.Request) -> web.StreamResponse:
        body = await asyncio.to_thread(_read, f"{name}.gz")
        if GZIP.search(request.headers.get("Accept-Encoding", "")):
            return _told(request, body, content_type, {"Content-Encoding": "gzip"})
        return _told(request, await asyncio.to_thread(gzip.decompress, body), content_type)

    return handler


def _read(name: str) -> bytes:
    return files("orac_server").joinpath("docs_ui", name).read_bytes()


def _told(
    request: web.Request, body: bytes, content_type: str, own: Mapping[str, str] | None = None
) -> web.Response:
    """Return *body*, or only that it is as the client knows it."""
    tag, headers = hashlib.sha256(body).hexdigest()[:32], {**CACHE, **(own or {})}
    known = any(each.value in (tag, "*") for each in request.if_none_match or ())
    response = web.Response(status=304) if known else web.Response(body=body)
    response.headers.update(headers)
    response.etag = ETag(tag)
    if not known:
        response.content_type, response.charset = content_type, "utf-8"
    return response


PARTS: Mapping[str, Callable[[], Handler]] = MappingProxyType(
    {
        "/docs/start.js": partial(page, "start.js", "text/javascript"),
        "/docs/swagger-ui-bundle.js": partial(packed, "swagger-ui-bundle.js", "text/javascript"),
        "/docs/swagger-ui.css": partial(packed, "swagger-ui.css", "text/css"),
    }
)
"""What the page is made of, by its address."""
