"""Whether a model would fit into memory, without loading it."""

from aiohttp import web

from .. import plans
from ..body import read, reply
from ..keys import MANAGER


async def plan(request: web.Request) -> web.StreamResponse:
    """``POST /v1/plan``."""
    body = await read(request, plans.PlanBody)
    return reply(plans.told(await request.app[MANAGER].plan(body.request)))
