"""The application: routes, middlewares and what they share."""

import time

from aiohttp import web

from orac_core import ModelManager

from .body import MAX_BYTES
from .keys import LINES, MANAGER, STARTED_AT
from .logs import Lines
from .middlewares import add_headers, error_envelope, request_ids
from .routes import routes


def create_app(manager: ModelManager, lines: Lines | None = None) -> web.Application:
    """Return the application that serves *manager*, which stays its caller's to close.

    With *lines*, what writes the log, health tells when that can not.

    Serve it with ``handler_cancellation=True``, as `orac_server.serve` does: else a client that
    leaves does not stop the engine.
    """
    app = web.Application(middlewares=[request_ids, error_envelope], client_max_size=MAX_BYTES)
    app[MANAGER] = manager
    app[STARTED_AT] = time.monotonic()
    if lines is not None:
        app[LINES] = lines
    app.on_response_prepare.append(add_headers)
    app.add_routes(routes())
    return app
