"""What the application keeps for its handlers."""

from aiohttp import web

from orac_core import ModelManager
from orac_core.manifest import ServerSettings
from orac_core.outage import Outage

from .access.guard import Guard
from .endpoint import Scope
from .logs import Lines
from .observing.observer import Observer
from .streams import Streams
from .workshop import Workshop

MANAGER = web.AppKey("manager", ModelManager)
"""The manager that is served."""

SETTINGS = web.AppKey("settings", ServerSettings)
"""What the manifest wants of the service."""

GUARD = web.AppKey("guard", Guard)
"""Decides who may ask."""

SCOPES = web.AppKey("scopes", dict[tuple[str, web.AbstractResource], Scope])
"""Who may ask for what, by method and resource."""

WORKSHOP = web.AppKey("workshop", Workshop)
"""The benchmarks of its models."""

STARTED_AT = web.AppKey("started_at", float)
"""When the application was made, by the monotonic clock."""

READINESS = web.AppKey("readiness", Outage)
"""Since when something that is required is lacking."""

LINES = web.AppKey("lines", Lines)
"""What writes the log; not there when that is the caller's."""

OBSERVER = web.AppKey("observer", Observer)
"""Is told of every request and every event."""

STREAMS = web.AppKey("streams", Streams)
"""The streams of events that are open."""
