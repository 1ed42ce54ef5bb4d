"""The profiles, and the roles of the one that holds."""

from aiohttp import web

from .. import profiles as wire
from ..body import reply
from ..keys import MANAGER


async def profiles(request: web.Request) -> web.StreamResponse:
    """``GET /v1/profiles``."""
    manager = request.app[MANAGER]
    general, kinds = manager.settings.parameters, manager.backends.kinds
    adapters = await manager.adapters.registered()
    return reply(wire.told(manager.profile, general, kinds, adapters))
