"""The models: list, load, unload."""

from collections.abc import AsyncGenerator
from contextlib import aclosing

from aiohttp import web

from orac_core import Loaded, LoadRequest, ModelManager

from .. import sse, wire
from ..body import read, reply
from ..keys import MANAGER
from ..relays import refuse_relaying, relayed
from ..requests import LoadBody, NamedLoadBody, NamedUnloadBody, UnloadBody


async def list_models(request: web.Request) -> web.StreamResponse:
    """``GET /v1/models``."""
    manager = request.app[MANAGER]
    models = await (manager.models(relayed=True) if relayed(request) else manager.models())
    return reply({"object": "list", "data": [wire.model(each) for each in models]})


async def show_model(request: web.Request) -> web.StreamResponse:
    """``GET /v1/models/{id}``."""
    return reply(wire.model(await request.app[MANAGER].find(request.match_info["id"])))


async def load_model(request: web.Request) -> web.StreamResponse:
    """``POST /v1/models/{id}/load``."""
    body = await read(request, LoadBody, optional=True)
    return await _load(request, body, request.match_info["id"])


async def load_named_model(request: web.Request) -> web.StreamResponse:
    """``POST /v1/models/load``."""
    body = await read(request, NamedLoadBody)
    return await _load(request, body, body.model)


async def unload_model(request: web.Request) -> web.StreamResponse:
    """``POST /v1/models/{id}/unload``."""
    body = await read(request, UnloadBody, optional=True)
    return await _unload(request, body, request.match_info["id"])


async def unload_named_model(request: web.Request) -> web.StreamResponse:
    """``POST /v1/models/unload``."""
    body = await read(request, NamedUnloadBody)
    return await _unload(request, body, body.model)


async def _load(request: web.Request, body: LoadBody, model: str) -> web.StreamResponse:
    manager, wanted = request.app[MANAGER], body.request(model)
    await refuse_relaying(request, manager, model)
    if body.stream:
        return await sse.respond(request, _load_events(manager, wanted))
    return reply(wire.loaded(await manager.load(wanted)))


async def _load_events(
    manager: ModelManager, wanted: LoadRequest
) -> AsyncGenerator[sse.Event, None]:
    async with aclosing(manager.load_progress(wanted)) as stages:
        async for stage in stages:
            if isinstance(stage, Loaded):
                yield "done", wire.loaded(stage)
            else:
                yield "progress", wire.progress(stage)


async def _unload(request: web.Request, body: UnloadBody, model: str) -> web.StreamResponse:
    manager = request.app[MANAGER]
    await refuse_relaying(request, manager, model)
    if body.stream:
        return await sse.respond(request, _unload_events(manager, model, force=body.force))
    return reply(wire.unloaded(await manager.unload(model, force=body.force)))


async def _unload_events(
    manager: ModelManager, model: str, *, force: bool
) -> AsyncGenerator[sse.Event, None]:
    await manager.find(model)
    yield "progress", wire.unloading(force=force)
    yield "done", wire.unloaded(await manager.unload(model, force=force))
