"""Bodies: reading that of a request, with every limit it has, and writing that of an answer."""

import asyncio
import json
from collections.abc import Iterable
from typing import Any, TypeVar

import orjson
from aiohttp import web

from orac_core import InvalidRequest

from . import schema
from .inflation import ENCODINGS, Inflation, NotEncoded
from .keys import SETTINGS
from .observing import passage

T = TypeVar("T")

JSON = "application/json"

PATIENCE_S = 30.0
"""Longest time that a client may take to send a body."""

MAX_DEPTH = 64
"""Lists and objects that may stand within each other."""


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
    data = _parsed(raw)
    if isinstance(data, dict):
        passage.about(data.get("model"))
    return schema.structure(data, cls)


def encode(data: object) -> bytes:
    """Return *data* as JSON in UTF-8."""
    try:
        return orjson.dumps(data, default=str)
    except TypeError:  # text that is no Unicode, such as the name of a file may be
        return json.dumps(data, ensure_ascii=False, default=str).encode(errors="replace")


def reply(data: object, status: int = 200, headers: Any = None) -> web.Response:
    """Return an answer with *data* as JSON."""
    return web.Response(body=encode(data), status=status, headers=headers, content_type=JSON)


async def _received(request: web.Request) -> bytearray:
    # A browser says where it comes from. Without this it could be made to load models by any page.
    if request.can_read_body or "Origin" in request.headers:
        _check_headers(request)
    if not request.can_read_body:
        return bytearray()
    try:
        if request.content.is_eof():  # most bodies come with their head, so nothing is waited for
            return await _collected(request, request.app[SETTINGS].max_body_bytes)
        async with asyncio.timeout(PATIENCE_S):
            return await _collected(request, request.app[SETTINGS].max_body_bytes)
    except TimeoutError:
        text = f"the body did not come within {PATIENCE_S:g} s"
        raise web.HTTPRequestTimeout(text=text) from None
    except (web.RequestPayloadError, NotEncoded) as error:
        raise InvalidRequest("the body is not encoded as its headers say") from error


async def _collected(request: web.Request, limit: int) -> bytearray:
    """Return the body as it was before it was compressed; never more than *limit* is held."""
    inflation = Inflation(_encoding(request), limit)
    async for data in request.content.iter_any():
        inflation.feed(data)
        if inflation.exceeded:
            raise _too_large(limit, inflation.size)
    return inflation.end()


def _check_headers(request: web.Request) -> None:
    """Refuse a body, before any of it is read, by what its headers say of it."""
    if request.content_type != JSON:
        text = f"send JSON, with the header `Content-Type: {JSON}`"
        raise web.HTTPUnsupportedMediaType(text=text)
    if _encoding(request) not in ENCODINGS:
        text = f"send the body as it is, or compressed as {' or '.join(ENCODINGS[1:])}"
        raise web.HTTPUnsupportedMediaType(text=text)
    limit = request.app[SETTINGS].max_body_bytes
    if (length := request.content_length or 0) > limit:
        raise _too_large(limit, length)


def _encoding(request: web.Request) -> str:
    return request.headers.get("Content-Encoding", ENCODINGS[0]).strip().lower()


def _too_large(limit: int, size: int) -> web.HTTPRequestEntityTooLarge:
    text = f"the body is larger than the limit of {limit} bytes"
    return web.HTTPRequestEntityTooLarge(limit, size, text=text)


def _parsed(raw: bytearray) -> Any:
    if not raw:
        raise InvalidRequest("the body is empty; send a JSON object")
    try:
        parsed = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise InvalidRequest(f"the body is not JSON: {error}") from error
    if raw.count(b"[") + raw.count(b"{") > MAX_DEPTH and _is_deeper(parsed, MAX_DEPTH):
        raise InvalidRequest(f"the body is nested more than {MAX_DEPTH} deep; make it flatter")
    return parsed


def _is_deeper(data: object, most: int) -> bool:
    """Whether more than *most* lists and objects stand within each other."""
    level = [data]
    for _ in range(most):
        level = [inner for each in level for inner in _inside(each)]
        if not level:
            return False
    return any(isinstance(each, dict | list) for each in level)


def _inside(data: object) -> Iterable[object]:
    match data:
        case dict():
            return data.values()
        case list():
            return data
        case _:
            return ()
