"""What the application keeps for its handlers."""

from aiohttp import web

from orac_core import ModelManager

from .logs import Lines
from .streams import Streams
from .workshop import Workshop

MANAGER = web.AppKey("manager", ModelManager)
"""The manager that is served."""

WORKSHOP = web.AppKey("workshop", Workshop)
"""The benchmarks of its models."""

STARTED_AT = web.AppKey("started_at", float)
"""When the application was made, by the monotonic clock."""

LINES = web.AppKey("lines", Lines)
"""What writes the log; not there when that is the caller's."""

STREAMS = web.AppKey("streams", Streams)
"""The streams of events that are open."""
