"""Handlers of benchmarks, imported when one is asked: a server that never measures spares that."""

import asyncio
from collections.abc import Awaitable, Callable
from importlib import import_module

from aiohttp import web

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def later(name: str) -> Handler:
    """Return the handler of that name in ``benchmarks``, imported off the loop."""

    async def handler(request: web.Request) -> web.StreamResponse:
        module = await asyncio.to_thread(import_module, f"{__package__}.benchmarks")
        found: Handler = getattr(module, name)
        return await found(request)

    return handler
