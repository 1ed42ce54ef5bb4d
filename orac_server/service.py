"""The service: it listens, serves, and stops in good order."""

import asyncio
import os
import signal
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from functools import partial
from typing import Any

import structlog
from aiohttp import web
from attrs import define, field

from orac_core import ConfigurationError, ModelManager
from orac_core.blackbox import recording
from orac_core.health import ERRORS
from orac_core.manifest import ServerSettings

from . import logs
from .access.arranged import arranged
from .access.guard import Guard
from .app import create_app
from .connection import Connection
from .keys import GUARD
from .observing.tracing import tracing

logger = structlog.get_logger("orac.server")

Announce = Callable[[str, ModelManager, Guard], Awaitable[None]]

MakeApp = Callable[[ModelManager], web.Application]

BACKLOG = 1024
"""Connections that may wait to be taken."""

IDLE_S = 75.0
"""A connection that is not used is closed after this."""

LINGER_S = 5.0
"""Time that a client gets to end a body nobody wants, so that it sees the answer."""

LAST_WORDS_S = 1.0
"""Time that the last bytes get to go out when the service stops."""

SIGNALS = (signal.SIGTERM, signal.SIGINT)


def serve(
    opening: AbstractAsyncContextManager[ModelManager],
    host: str = "127.0.0.1",
    port: int = 8000,
    *,
    announce: Announce | None = None,
    settings: ServerSettings | None = None,
) -> None:
    """Serve until SIGTERM or SIGINT; running answers may end then, a second signal ends them.

    On any address but those of loopback a token is needed: one that the environment has, else one
    that is made and kept, unless the settings turn that off.

    Args:
        opening: Opens the manager, such as ``orac_core.open(...)``; not before the address is
            known to be free.
        host: Address to listen on, or a name of it.
        port: Port to listen on; 0 takes a free one.
        announce: Called with the URL, the manager and the guard as soon as requests are answered.
        settings: The table ``[server]`` of the manifest. With its ``strict_start`` the service does
            not start when ORAC would be unhealthy, once the models that are loaded at the start
            are. Whatever is not well at the start is logged.

    Raises:
        ConfigurationError: when the address can not be listened on, the manifest, a token or
            ``ORAC_LOG_LEVEL`` is wrong, or ``strict_start`` forbids to start.
    """
    lines = logs.configure(logs.level(os.environ))
    with bound(host, port) as listener, asyncio.Runner(loop_factory=_loop_factory()) as runner:
        settings = settings or ServerSettings()
        guard = arranged(listener.getsockname()[0], host, settings, os.environ)
        _log(guard)
        make = partial(
            create_app,
            lines=lines,
            settings=settings,
            guard=guard,
            tracing=tracing(os.environ),
        )
        runner.run(_serve(opening, listener, announce, make, settings))


def _log(guard: Guard) -> None:
    """Log what is not safe, and where the token is that was made for this start."""
    if guard.problem:
        logger.warning(guard.problem)
    if guard.tokens and guard.tokens.admin.made:
        logger.warning("a token was made, as one is needed", place=guard.tokens.admin.place)


def bound(host: str, port: int) -> socket.socket:
    """Return a socket that listens; of the addresses that *host* names, the first of IPv4.

    Raises:
        ConfigurationError: when that can not be.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, _, _, _, address = min(found, key=lambda each: each[0] != socket.AF_INET)
        return socket.create_server(address, family=family, backlog=BACKLOG)
    except (OSError, UnicodeError) as error:
        raise ConfigurationError(
            f"cannot listen on {host}, port {port}: {_reason(error)}; "
            "stop what listens there, or choose another with --host and --port",
        ) from error


def _reason(error: OSError | UnicodeError) -> str:
    if isinstance(error, UnicodeError):
        return "no name of a host"
    if error.errno and error.errno > 0:
        return os.strerror(error.errno)
    return error.strerror or str(error)


def url(listener: socket.socket) -> str:
    """Return the address to open in a browser."""
    host, port = listener.getsockname()[:2]
    shown = f"[{host}]" if listener.family is socket.AF_INET6 else host
    return f"http://{shown}:{port}/"


@asynccontextmanager
async def listening(
    app: web.Application, listener: socket.socket
) -> AsyncIterator[asyncio.AbstractServer]:
    """Answer requests to *app* on *listener*; leaving closes every connection."""
    loop = asyncio.get_running_loop()
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=LAST_WORDS_S)
    await runner.setup()
    try:
        server = await loop.create_server(
            lambda: _connection(runner.server, loop), sock=listener, backlog=BACKLOG
        )
        try:
            yield server
        finally:
            server.close()
    finally:
        await runner.cleanup()


@define(eq=False)
class _Signals:
    """What the process was told to do."""

    stop: asyncio.Event = field(factory=asyncio.Event)
    hurry: asyncio.Event = field(factory=asyncio.Event)

    def receive(self) -> None:
        """Stop; at the second time, at once."""
        (self.hurry if self.stop.is_set() else self.stop).set()


async def _serve(
    opening: AbstractAsyncContextManager[ModelManager],
    listener: socket.socket,
    announce: Announce | None,
    make: MakeApp,
    settings: ServerSettings,
) -> None:
    signals = _Signals()
    with _handled(signals):
        async with opening as manager:
            with recording(manager.events, manager.state):
                stopping = asyncio.create_task(signals.stop.wait())
                if settings.strict_start:
                    await _until(stopping, _started(manager))
                if stopping.done():
                    return
                app = make(manager)
                async with listening(app, listener) as server:
                    logger.info("server started", url=url(listener))
                    if not settings.strict_start:
                        await _until(stopping, _judged(manager, strict=False))
                    if announce:
                        await announce(url(listener), manager, app[GUARD])
                    await stopping
                    logger.info("server stopping")
                    server.close()
                    await _drain(manager, signals.hurry)
    logger.info("server stopped")


async def _until(stopping: asyncio.Task[bool], work: Coroutine[Any, Any, None]) -> None:
    """Do *work*, but no longer than until ORAC is told to stop."""
    doing = asyncio.create_task(work)
    await asyncio.wait([doing, stopping], return_when=asyncio.FIRST_COMPLETED)
    if not doing.cancel():
        doing.result()


async def _started(manager: ModelManager) -> None:
    """Judge once each model that is loaded at the start is loaded or given up."""
    await manager.start.ended()
    await _judged(manager, strict=True)


async def _judged(manager: ModelManager, *, strict: bool) -> None:
    """Log what is not well; refuse to start on an unhealthy verdict when that is wanted."""
    health = await manager.health()
    for each in health.degradation:
        logger.warning(str(each), kind=each.flaw.value, **{each.flaw.about: each.subject})
    if strict and health.status == "unhealthy":
        raise ConfigurationError(
            f"not started, as `strict_start` is set: {health.message}; correct that, or take "
            "`required` or `strict_start` out of the manifest; `orac doctor` says more",
            tuple(str(each) for each in health.degradation if each.flaw in ERRORS),
        )


async def _drain(manager: ModelManager, hurry: asyncio.Event) -> None:
    """Let running answers end, unless there is a hurry."""
    closing = asyncio.create_task(manager.close())
    hurried = asyncio.create_task(hurry.wait())
    await asyncio.wait([closing, hurried], return_when=asyncio.FIRST_COMPLETED)
    hurried.cancel()
    if not closing.done():
        await manager.close(drain_s=0)
    await closing


@contextmanager
def _handled(signals: _Signals) -> Iterator[None]:
    loop = asyncio.get_running_loop()
    for number in SIGNALS:
        loop.add_signal_handler(number, signals.receive)
    try:
        yield
    finally:
        for number in SIGNALS:
            loop.remove_signal_handler(number)


def _connection(server: web.Server | None, loop: asyncio.AbstractEventLoop) -> Connection:
    if server is None:  # a connection that was taken while the runner was leaving
        raise ConnectionError("the service has stopped")
    return Connection(
        server,
        loop=loop,
        keepalive_timeout=IDLE_S,
        lingering_time=LINGER_S,
        auto_decompress=False,
    )


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """Return what makes an event loop of uvloop, where that is installed."""
    try:
        import uvloop  # noqa: PLC0415 - it does not install everywhere
    except ImportError:
        return None
    factory: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
    return factory
