"""Spans by the SDK of OpenTelemetry; the only module that imports it.

Names follow the conventions for HTTP and for generative AI:
https://opentelemetry.io/docs/specs/semconv/gen-ai/gen-ai-spans/. No prompt and no answer is told.
"""

import asyncio
import time
from collections.abc import Mapping
from contextlib import suppress
from http import HTTPStatus
from threading import Thread
from typing import Any

from attrs import define, field
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Tracer, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import SpanKind, StatusCode, set_span_in_context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from structlog.contextvars import get_contextvars

from .journal import Ended
from .passage import Passage

SERVICE = "orac"
"""Name of the service, unless the environment has another."""

LAST_WORDS_S = 2.0
"""Time that the last spans get to go out when the service stops."""

NS = 1_000_000_000

TOLD = (
    ("prompt_tokens", "gen_ai.usage.input_tokens"),
    ("completion_tokens", "gen_ai.usage.output_tokens"),
    ("error", "error.type"),
    ("queue_ms", "orac.queue_ms"),
    ("load_ms", "orac.load_ms"),
    ("ttft_ms", "orac.ttft_ms"),
)
"""What of an answer is told, and how it is called there."""


@define(eq=False)
class Spans:
    """Makes spans; a thread of the SDK sends them, and drops what is more than it can hold.

    Attributes:
        provider: Where they go.
    """

    provider: TracerProvider
    _tracer: Tracer = field(init=False)
    _propagator: TraceContextTextMapPropagator = field(
        factory=TraceContextTextMapPropagator, init=False
    )

    def __attrs_post_init__(self) -> None:
        self._tracer = self.provider.get_tracer(SERVICE)  # type: ignore[assignment]

    @classmethod
    def exporting(cls, environ: Mapping[str, str]) -> "Spans":
        """Return what sends spans to where the environment says, by OTLP over HTTP."""
        named = "OTEL_SERVICE_NAME" in environ or "service.name" in environ.get(
            "OTEL_RESOURCE_ATTRIBUTES", ""
        )
        resource = Resource.create({} if named else {"service.name": SERVICE})
        provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
        return cls(provider)

    def began(self, passage: Passage, headers: Mapping[str, str]) -> None:
        """Begin the span of a request."""
        with suppress(Exception):
            parent = self._propagator.extract(headers)
            passage.span = self._tracer.start_span("request", parent, kind=SpanKind.SERVER)

    def ended(self, passage: Passage, ended: Ended) -> None:
        """End the span of a request."""
        if passage.span is None:
            return
        with suppress(Exception):
            span, error = passage.span, passage.error
            span.update_name(f"{ended.method} {ended.route}")
            span.set_attributes(_of_request(ended, error))
            if ended.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
                span.set_status(StatusCode.ERROR)
            span.end()

    def answered(self, passage: Passage | None, data: Mapping[str, Any]) -> None:
        """Make the span of an answer."""
        with suppress(Exception):
            parent = set_span_in_context(passage.span) if passage and passage.span else None
            now = time.time_ns()
            span = self._tracer.start_span(
                f"chat {data['model']}",
                parent,
                kind=SpanKind.CLIENT,
                attributes=_of_answer(data),
                start_time=now - int(data["elapsed_ms"] / 1000 * NS),
            )
            if data["error"]:
                span.set_status(StatusCode.ERROR)
            span.end(now)

    async def close(self) -> None:
        """Send what waits, and give up after a while: whoever is to get it may hang."""
        loop, done = asyncio.get_running_loop(), asyncio.Event()

        def shut() -> None:
            with suppress(Exception):
                self.provider.shutdown()
            with suppress(RuntimeError):  # the loop has ended meanwhile
                loop.call_soon_threadsafe(done.set)

        Thread(target=shut, name="orac-spans", daemon=True).start()
        with suppress(TimeoutError):
            await asyncio.wait_for(done.wait(), LAST_WORDS_S)


def _of_request(ended: Ended, error: str | None) -> dict[str, Any]:
    told = {
        "http.request.method": ended.method,
        "http.route": ended.route,
        "http.response.status_code": ended.status,
        "orac.request_id": get_contextvars().get("request_id", ""),
    }
    return told | ({"error.type": error} if error else {})


def _of_answer(data: Mapping[str, Any]) -> dict[str, Any]:
    told = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": data["instance"],
        "gen_ai.request.model": data["model"],
        "gen_ai.response.model": data["model"],
    }
    if data["finish_reason"]:
        told["gen_ai.response.finish_reasons"] = (data["finish_reason"],)
    return told | {name: data[each] for each, name in TOLD if data[each] is not None}
