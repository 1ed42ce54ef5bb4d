"""What Prometheus asks for."""

import asyncio
from importlib import import_module

from aiohttp import hdrs, web

from ..keys import MANAGER, OBSERVER
from ..observing.exposition import text
from ..observing.readings import readings


async def metrics(request: web.Request) -> web.Response:
    """``GET /metrics``: no engine is asked, so that it is answered whatever hangs."""
    observer = request.app[OBSERVER]
    if observer.memory_bytes is None:
        observer.memory_bytes = (await request.app[MANAGER].machine()).memory.total_bytes
        await asyncio.to_thread(import_module, "prometheus_client")
    body, content_type = text(readings(request.app), request.headers.get(hdrs.ACCEPT, ""))
    return web.Response(body=body, headers={hdrs.CONTENT_TYPE: content_type})
