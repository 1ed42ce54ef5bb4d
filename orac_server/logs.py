"""Logs: one JSON line for each event, on stderr."""

import json
import logging
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any

import structlog
from attrs import frozen
from structlog.contextvars import get_contextvars

from orac_core import ConfigurationError

from .observing.writer import Writer

VARIABLE = "ORAC_LOG_LEVEL"
"""The environment variable that says how much is logged."""

LEVELS: Mapping[str, int] = MappingProxyType(
    {
        "debug": logging.DEBUG,
        "info": logging.INFO,
        "warning": logging.WARNING,
        "error": logging.ERROR,
    }
)

STEPS: tuple[structlog.typing.Processor, ...] = (
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_logger_name,
    structlog.stdlib.add_log_level,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
    structlog.processors.format_exc_info,
)
"""What happens to an event before it is written, whoever logs it."""

ENCODER = json.JSONEncoder(default=repr)

RENDER = structlog.processors.JSONRenderer(serializer=lambda event, **_: ENCODER.encode(event))
"""Makes a line, of ASCII alone: no character of a name can begin another or move a cursor."""


class Lines(logging.Handler):
    """Writes lines, and remembers when it can not: a full disk must not stop the service.

    Attributes:
        writer: What writes them.
        threshold: The least level that is written of ORAC's own events.
    """

    def __init__(self, writer: Writer, threshold: int = logging.INFO) -> None:
        super().__init__()
        self.writer = writer
        self.threshold = threshold

    @property
    def problem(self) -> str | None:
        """Why the last line was lost; None when it was not."""
        return self.writer.problem

    def emit(self, record: logging.LogRecord) -> None:
        """Have a line written; one that warns is waited for a moment."""
        try:
            line = self.format(record)
        except Exception:  # noqa: BLE001 - whoever logs must not fail by it
            self.handleError(record)
            return
        if record.levelno >= logging.WARNING:
            self.writer.put_urgent(line)
        else:
            self.writer.put(line)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: ARG002, N802 - logging's
        """Remember what can not be written down."""
        self.writer.give_up(sys.exc_info()[1])

    def flush(self) -> None:
        """Wait a moment for what is not written yet."""
        self.writer.flush()

    def quick(self, name: str) -> "Quick":
        """Return a logger of that name for what is logged often."""
        return Quick(name, self.writer, self.threshold)


@frozen
class Quick:
    """Makes the same lines as a logger of structlog, for a small part of its cost.

    Attributes:
        name: Of the logger.
        writer: What writes the lines.
        threshold: The least level that is written.
    """

    name: str
    writer: Writer
    threshold: int

    def debug(self, event: str, **values: Any) -> None:
        """Take an event that is of interest to few."""
        self._take("debug", event, values)

    def info(self, event: str, **values: Any) -> None:
        """Take an event."""
        self._take("info", event, values)

    def _take(self, level: str, event: str, values: dict[str, Any]) -> None:
        if LEVELS[level] < self.threshold:
            return
        now = datetime.now(UTC).isoformat().replace("+00:00", "Z")
        told = {"logger": self.name, **values, "event": event}
        told = {**get_contextvars(), **told, "level": level, "timestamp": now}
        self.writer.put(ENCODER.encode(told))


def level(environ: Mapping[str, str]) -> int:
    """Return the least level that is logged.

    Raises:
        ConfigurationError: when the variable names none.
    """
    named = environ.get(VARIABLE, "").strip().lower() or "info"
    if named not in LEVELS:
        raise ConfigurationError(f"{VARIABLE} is {named[:40]!r}; set it to one of {known()}")
    return LEVELS[named]


def known() -> str:
    """Return the names of the levels."""
    return ", ".join(LEVELS)


def configure(threshold: int = logging.INFO) -> Lines:
    """Send what ORAC and its libraries log to stderr; control characters are escaped there.

    Args:
        threshold: The least level that is logged of ORAC's own; of libraries only warnings are.

    Returns:
        What writes the lines.
    """
    handler = Lines(Writer(sys.stderr), threshold)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=STEPS,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, RENDER],
        )
    )
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    logging.getLogger("orac").setLevel(threshold)
    structlog.configure(
        processors=[*STEPS, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.make_filtering_bound_logger(threshold),
    )
    return handler
