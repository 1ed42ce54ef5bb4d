"""All that helps to understand a fault, to be copied and sent."""

import asyncio

from aiohttp import web

from ..body import reply
from ..diagnostics import collected
from ..keys import MANAGER
from .health import state


async def diagnostics(request: web.Request) -> web.StreamResponse:
    """``GET /v1/diagnostics``."""
    manager = request.app[MANAGER]
    _, health = await state(request.app)
    machine = await manager.machine()
    return reply(await asyncio.to_thread(collected, manager, health, machine))
