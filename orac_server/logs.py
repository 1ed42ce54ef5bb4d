"""Logs: one JSON line for each event, on stderr."""

import logging
import sys
from typing import TextIO

import structlog

STEPS: tuple[structlog.typing.Processor, ...] = (
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_logger_name,
    structlog.stdlib.add_log_level,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
    structlog.processors.format_exc_info,
)
"""What happens to an event before it is written, whoever logs it."""


class Lines(logging.StreamHandler[TextIO]):
    """Writes lines, and remembers when it can not: a full disk must not stop the service.

    Attributes:
        problem: Why the last line was lost; None when it was not.
    """

    problem: str | None = None

    def emit(self, record: logging.LogRecord) -> None:
        """Write a line."""
        self.problem = None
        super().emit(record)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: ARG002, N802 - logging's
        """Remember what went wrong; to tell it in the log would fail again."""
        error = sys.exc_info()[1]
        self.problem = f"a line of the log was lost: {error}; free some disk, or see to stderr"


def configure() -> Lines:
    """Send what ORAC and its libraries log to stderr; control characters are escaped there.

    Returns:
        What writes the lines.
    """
    handler = Lines(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=STEPS,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.JSONRenderer(),
            ],
        )
    )
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    structlog.configure(
        processors=[*STEPS, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
    )
    return handler
