"""Looking at how everything is every few seconds, as long as somebody wants to know."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import suppress
from functools import partial

import structlog
from aiohttp import web
from attrs import define, field

from orac_core import Health
from orac_core.events import Events
from orac_core.health import Finding, Flaw

from .keys import GUARD, LINES, MANAGER, OBSERVER, WORKSHOP

logger = structlog.get_logger("orac.server")

EVERY_S = 5.0
"""Between two looks."""

PATIENCE_S = 30.0
"""A look that takes longer is given up."""


@define(eq=False)
class Pulse:
    """Tells of the verdict on the whole when it changes.

    Attributes:
        events: Where it is told.
        ask: Says how everything is.
    """

    events: Events
    ask: Callable[[], Awaitable[Health]]
    _last: tuple[str, str] | None = field(default=None, init=False)

    async def beat(self, every_s: float = EVERY_S) -> None:
        """Look every so often, while anybody listens; it never ends by itself."""
        while True:
            await asyncio.sleep(every_s)
            if self.events.heard:
                await self.look()

    async def look(self) -> None:
        """Look once, and tell what is found."""
        try:
            async with asyncio.timeout(PATIENCE_S):
                health = await self.ask()
        except Exception as error:  # noqa: BLE001 - the next look may be better
            logger.warning("how everything is could not be told", error=type(error).__name__)
            return
        self._judge(health)

    def _judge(self, health: Health) -> None:
        now = health.status, health.message
        if now != self._last:
            before, self._last = self._last, now
            previous = before[0] if before else None
            status, message = now
            self.events.publish("health", status=status, message=message, previous=previous)


async def verdict(app: web.Application) -> Health:
    """Return how everything is, with what the service itself can not write."""
    found = await app[MANAGER].health()
    for subject, problem in _problems(app):
        found = found.with_flaw(Finding(Flaw.SERVICE_IMPAIRED, subject, problem))
    app[OBSERVER].status = found.status
    return found


def _problems(app: web.Application) -> Iterator[tuple[str, str]]:
    if (problem := app[GUARD].problem) is not None:
        yield "access", problem
    lines = app.get(LINES)
    if lines is not None and lines.problem is not None:
        yield "log", lines.problem
    if (problem := app[WORKSHOP].problem) is not None:
        yield "history of benchmarks", problem


async def beating(app: web.Application) -> AsyncIterator[None]:
    """Let the pulse of *app* beat while it serves."""
    pulse = Pulse(app[MANAGER].events, partial(verdict, app))
    task = asyncio.create_task(pulse.beat(), name="pulse")
    yield
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
