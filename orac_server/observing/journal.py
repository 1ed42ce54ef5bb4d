"""The journal: lines of the log for requests, models, loads, and engines that are spared."""

from typing import Any, Protocol

from aiohttp import web
from attrs import frozen

from ..logs import Lines
from .passage import Passage

QUIET = frozenset({"/metrics", "/v1/health", "/v1/health/live", "/v1/health/ready"})
"""Routes that machines ask all the time; they are logged at the level ``debug``."""


class Logs(Protocol):
    """What takes events, as a logger of structlog does."""

    def debug(self, event: str, **values: Any) -> object:
        """Take an event that is of interest to few."""

    def info(self, event: str, **values: Any) -> object:
        """Take an event."""


@frozen
class Ended:
    """A request that has ended.

    Attributes:
        method: As in HTTP; ``other`` for one that is in no standard.
        route: Template of its address; ``unmatched`` where there is none.
        status: Of the answer; 499 when the client left before it was whole.
        duration_s: From its head to the end of its answer.
        sent_bytes: Length of the body of the answer.
        stream: Whether the answer was written while it came.
    """

    method: str
    route: str
    status: int
    duration_s: float
    sent_bytes: int
    stream: bool


def outcome(status: int, error: str | None) -> str:
    """Return how a request ended: ``ok``, ``error`` (a stream also with 200) or ``cancelled``."""
    if status == LEFT:
        return "cancelled"
    return "error" if error or status >= web.HTTPBadRequest.status_code else "ok"


LEFT = 499
"""Status of a request whose client left; nginx's, as HTTP has none."""


@frozen
class Journal:
    """Writes down what happens. No prompts, no answers, no headers, no queries.

    Attributes:
        requests: Where requests are written down.
        models: Where models are.
    """

    requests: Logs
    models: Logs

    @classmethod
    def of(cls, lines: Lines) -> "Journal":
        """Return one that is written to *lines*."""
        return cls(lines.quick("orac.access"), lines.quick("orac.server"))

    def request(self, ended: Ended, passage: Passage, client: str | None) -> None:
        """Write down a request."""
        write = self.requests.debug if ended.route in QUIET else self.requests.info
        write(
            "request",
            method=ended.method,
            route=ended.route,
            status=ended.status,
            outcome=outcome(ended.status, passage.error),
            error=passage.error,
            model=passage.model,
            stream=ended.stream,
            duration_ms=round(ended.duration_s * 1000, 3),
            sent_bytes=ended.sent_bytes,
            client=client,
        )

    def turned(self, data: dict[str, Any]) -> None:
        """Write down that a model went over to another state."""
        self.models.info("model", **data)

    def passed_on(self, role: str, failed: str, next_: str, error: str) -> None:
        """Write down that a request for a role goes on to another model, and why."""
        self.models.info("orac.fallback", role=role, error=error, **{"from": failed, "to": next_})

    def spared(self, instance: str, state: str, failures: int) -> None:
        """Write down that a backend is spared from now on, or no longer."""
        self.models.info("breaker", instance=instance, state=state, failures=failures)

    def provisioned(self, data: dict[str, Any]) -> None:
        """Write down what was done to make the model of a role be there."""
        self.models.info("orac.provision", **data)

    def loaded(self, instance: str, model: str, seconds: float) -> None:
        """Write down that a load has ended well."""
        ms = round(seconds * 1000, 3)
        self.models.info("load finished", instance=instance, model=model, load_ms=ms)
