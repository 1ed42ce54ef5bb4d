"""The application: routes, middlewares and what they share."""

import socket
import time
from collections.abc import AsyncIterator

from aiohttp import web

from orac_core import ModelManager
from orac_core.manifest import ServerSettings
from orac_core.outage import Outage

from .access.gate import add_endpoints, guarded, share
from .access.guard import Guard
from .keys import (
    GUARD,
    LINES,
    MANAGER,
    OBSERVER,
    READINESS,
    SETTINGS,
    STARTED_AT,
    STREAMS,
    WORKSHOP,
)
from .logs import Lines
from .middlewares import add_headers, error_envelope, request_ids
from .observing.journal import Journal
from .observing.middleware import observed
from .observing.observer import OF_INTEREST, Observer
from .observing.tracing import Tracing
from .pulse import beating
from .routes import endpoints
from .streams import Streams
from .workshop import Workshop


def create_app(
    manager: ModelManager,
    lines: Lines | None = None,
    settings: ServerSettings | None = None,
    guard: Guard | None = None,
    tracing: Tracing | None = None,
) -> web.Application:
    """Return the application that serves *manager*, which stays its caller's to close.

    With *lines*, what writes the log, each request gets a line of it, and health tells when one was
    lost. The *settings* are those of the table ``[server]``; without them the defaults hold.
    Without a *guard* nobody needs a token, and the service may be called by the names of this
    machine, any of its addresses and the names that the settings allow. Where there are tokens, a
    route that is added to the application takes that of an administrator.
    *tracing* makes spans; it is closed with the application.

    Serve it with ``handler_cancellation=True``, as `orac_server.serve` does: else a client that
    leaves does not stop the engine.
    """
    settings = settings or ServerSettings()
    middlewares = [request_ids, observed, error_envelope, guarded]
    app = web.Application(middlewares=middlewares, client_max_size=settings.max_body_bytes)
    app[MANAGER] = manager
    app[SETTINGS] = settings
    app[GUARD] = guard or Guard.without_tokens(settings, socket.gethostname())
    app[WORKSHOP] = Workshop(manager)
    app[STARTED_AT] = time.monotonic()
    app[STREAMS] = Streams(settings.max_streams)
    app[READINESS] = Outage()
    app[OBSERVER] = Observer(Journal.of(lines) if lines is not None else None, tracing)
    if lines is not None:
        app[LINES] = lines
    app.on_cleanup.append(_close_workshop)
    app.on_response_prepare.append(add_headers)
    app.on_response_prepare.append(share)
    app.on_shutdown.append(_end_streams)
    app.cleanup_ctx.append(_observed)
    app.cleanup_ctx.append(_sampled)
    app.cleanup_ctx.append(beating)
    add_endpoints(app, endpoints())
    return app


async def _observed(app: web.Application) -> AsyncIterator[None]:
    observer = app[OBSERVER]
    with app[MANAGER].events.listening_to(OF_INTEREST, observer.heard):
        yield
    if observer.tracing is not None:
        await observer.tracing.close()


async def _sampled(app: web.Application) -> AsyncIterator[None]:
    async with app[MANAGER].sampler:
        yield


async def _end_streams(app: web.Application) -> None:
    app[STREAMS].close()


async def _close_workshop(app: web.Application) -> None:
    await app[WORKSHOP].close()
