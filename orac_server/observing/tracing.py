"""Spans for OpenTelemetry, where they are wanted and its packages are installed."""

from collections.abc import Mapping
from typing import Any, Protocol

import structlog

from .journal import Ended
from .passage import Passage

logger = structlog.get_logger("orac.server")

VARIABLES = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
"""Environment variables that say where spans go; without any there are none."""


class Tracing(Protocol):
    """Makes spans; none of this waits or raises."""

    def began(self, passage: Passage, headers: Mapping[str, str]) -> None:
        """Begin the span of a request, below the one that its header ``traceparent`` names."""

    def ended(self, passage: Passage, ended: Ended) -> None:
        """End the span of a request."""

    def answered(self, passage: Passage | None, data: Mapping[str, Any]) -> None:
        """Make the span of an answer, below that of its request."""

    async def close(self) -> None:
        """Send what waits; that takes 2 s at most."""


def tracing(environ: Mapping[str, str]) -> Tracing | None:
    """Return what makes spans; None where nobody wants any, or after a warning that it can not."""
    named = next((each for each in VARIABLES if environ.get(each)), None)
    if named is None:
        return None
    try:
        from .spans import Spans  # noqa: PLC0415 - optional, and dear to import
    except ImportError:
        text = "no spans are made: install orac[otel], or unset the variable"
        logger.warning(text, variable=named)
        return None
    return Spans.exporting(environ)
