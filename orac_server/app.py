"""The application: routes, middlewares and what they share."""

import time
from collections.abc import AsyncIterator

from aiohttp import web

from orac_core import ModelManager

from .body import MAX_BYTES
from .keys import LINES, MANAGER, STARTED_AT, STREAMS, WORKSHOP
from .logs import Lines
from .middlewares import add_headers, error_envelope, request_ids
from .pulse import beating
from .routes import routes
from .streams import Streams
from .workshop import Workshop


def create_app(manager: ModelManager, lines: Lines | None = None) -> web.Application:
    """Return the application that serves *manager*, which stays its caller's to close.

    With *lines*, what writes the log, health tells when that can not.

    Serve it with ``handler_cancellation=True``, as `orac_server.serve` does: else a client that
    leaves does not stop the engine.
    """
    app = web.Application(middlewares=[request_ids, error_envelope], client_max_size=MAX_BYTES)
    app[MANAGER] = manager
    app[WORKSHOP] = Workshop(manager)
    app[STARTED_AT] = time.monotonic()
    app[STREAMS] = Streams()
    if lines is not None:
        app[LINES] = lines
    app.on_cleanup.append(_close_workshop)
    app.on_response_prepare.append(add_headers)
    app.on_shutdown.append(_end_streams)
    app.cleanup_ctx.append(_sampled)
    app.cleanup_ctx.append(beating)
    app.add_routes(routes())
    return app


async def _sampled(app: web.Application) -> AsyncIterator[None]:
    async with app[MANAGER].sampler:
        yield


async def _end_streams(app: web.Application) -> None:
    app[STREAMS].close()


async def _close_workshop(app: web.Application) -> None:
    await app[WORKSHOP].close()
