"""Bodies: reading that of a request, with every limit it has, and writing that of an answer."""

import asyncio
import json
from typing import Any, TypeVar

import orjson
from aiohttp import web

from orac_core import InvalidRequest

from . import schema

T = TypeVar("T")

JSON = "application/json"

MAX_BYTES = 1024 * 1024
"""Longest body of a request."""

PATIENCE_S = 30.0
"""Longest time that a client may take to send a body."""


async def read(request: web.Request, cls: type[T], *, optional: bool = False) -> T:
    """Return the body of *request* as the wire type *cls*.

    An *optional* body may be empty. Of a key that occurs twice the last value holds, everywhere.

    Raises:
        InvalidRequest: naming every fault.
        HTTPException: when it is no JSON by its type, too large, or does not come in time.
    """
    raw = await _received(request)
    if not raw and optional:
        return schema.structure({}, cls)
    return schema.structure(_parsed(raw), cls)


def encode(data: object) -> bytes:
    """Return *data* as JSON in UTF-8."""
    try:
        return orjson.dumps(data, default=str)
    except TypeError:  # text that is no Unicode, such as the name of a file may be
        return json.dumps(data, ensure_ascii=False, default=str).encode(errors="replace")


def reply(data: object, status: int = 200, headers: Any = None) -> web.Response:
    """Return an answer with *data* as JSON."""
    return web.Response(body=encode(data), status=status, headers=headers, content_type=JSON)


async def _received(request: web.Request) -> bytes:
    # A browser says where it comes from. Without this it could be made to load models by any page.
    if request.can_read_body or "Origin" in request.headers:
        _check_headers(request)
    if not request.can_read_body:
        return b""
    try:
        async with asyncio.timeout(PATIENCE_S):
            return await request.read()
    except TimeoutError:
        text = f"the body did not come within {PATIENCE_S:g} s"
        raise web.HTTPRequestTimeout(text=text) from None
    except web.RequestPayloadError as error:
        raise InvalidRequest("the body is not encoded as its headers say") from error


def _check_headers(request: web.Request) -> None:
    """Refuse a body, before any of it is read, by what its headers say of it."""
    if request.content_type != JSON:
        text = f"send JSON, with the header `Content-Type: {JSON}`"
        raise web.HTTPUnsupportedMediaType(text=text)
    if request.headers.get("Content-Encoding", "identity") != "identity":
        raise web.HTTPUnsupportedMediaType(text="send the body as it is, not compressed")
    if (length := request.content_length or 0) > MAX_BYTES:
        text = f"the body is larger than the limit of {MAX_BYTES} bytes"
        raise web.HTTPRequestEntityTooLarge(MAX_BYTES, length, text=text)


def _parsed(raw: bytes) -> Any:
    if not raw:
        raise InvalidRequest("the body is empty; send a JSON object")
    try:
        return orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise InvalidRequest(f"the body is not JSON: {error}") from error
