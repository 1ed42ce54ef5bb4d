"""Spans for OpenTelemetry: by its real SDK, to a receiver of our own."""

import asyncio
import subprocess
import sys
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from structlog.testing import capture_logs

from orac_core import BackendError
from orac_server.observing import spans
from orac_server.observing.spans import Spans
from orac_server.observing.tracing import tracing
from tests.server.watched import watched

SECRET = "zyzzyva"
ASKED = {"model": "small", "prompt": SECRET}
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


@pytest.fixture
def exporter():
    return InMemorySpanExporter()


@pytest.fixture
async def seen(backend, exporter):
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    async with watched(backend, tracing=Spans(provider)) as found:
        yield found


@pytest.mark.parametrize("stream", [False, True])
async def test_an_answer_is_a_span_below_its_request_below_the_callers(seen, exporter, stream):
    headers = {"traceparent": f"00-{TRACE}-00f067aa0ba902b7-01"}
    asked = {**ASKED, "stream": stream}
    reply = await seen.service.ask("POST", "/v1/prompt", json=asked, headers=headers)
    answer, request = exporter.get_finished_spans()
    assert request.name == "POST /v1/prompt"
    assert f"{request.context.trace_id:032x}" == f"{answer.context.trace_id:032x}" == TRACE
    assert f"{request.parent.span_id:016x}" == "00f067aa0ba902b7"
    assert answer.parent.span_id == request.context.span_id
    assert dict(request.attributes) == {
        "http.request.method": "POST",
        "http.route": "/v1/prompt",
        "http.response.status_code": 200,
        "orac.request_id": reply.headers["X-Request-Id"],
    }
    told = dict(answer.attributes)
    assert answer.name == "chat small"
    assert told["gen_ai.request.model"] == "small"
    assert told["gen_ai.provider.name"] == "fake"
    assert (told["gen_ai.usage.input_tokens"], told["gen_ai.usage.output_tokens"]) == (2, 3)
    assert told["gen_ai.response.finish_reasons"] == ("stop",)
    assert request.start_time <= answer.start_time + 10_000_000
    assert answer.end_time <= request.end_time


async def test_an_answer_that_fails_is_a_span_with_its_error(seen, exporter, backend):
    backend.failures["first"] = BackendError(f'it choked on "{SECRET}"')
    await seen.service.post("/v1/prompt", ASKED)
    answer, request = exporter.get_finished_spans()
    assert answer.attributes["error.type"] == "BackendError"
    assert request.attributes["error.type"] == "backend_error"
    assert not request.status.is_ok
    assert not answer.status.is_ok
    assert SECRET not in answer.to_json() + request.to_json()


@pytest.mark.parametrize("header", ["", "nonsense", "00-" + "0" * 32 + "-1-01", "00-xyz"])
async def test_a_traceparent_that_is_none_begins_a_trace_of_its_own(seen, exporter, header):
    await seen.service.ask("GET", "/v1/models", headers={"traceparent": header})
    (request,) = exporter.get_finished_spans()
    assert request.parent is None


async def test_an_sdk_that_fails_breaks_no_answer(backend):
    class Broken:
        def get_tracer(self, _name):
            return self

        def shutdown(self):
            raise RuntimeError("no")

    async with watched(backend, tracing=Spans(Broken())) as found:
        assert (await found.service.post("/v1/prompt", ASKED)).status == 200
        assert len(found.requests) == 1


@contextmanager
def receiver(status=200, release=None):
    """Take what is exported; with *release*, answer only when that is set."""
    came = []

    class Taking(BaseHTTPRequestHandler):
        def do_POST(self):
            came.append((self.path, self.rfile.read(int(self.headers["Content-Length"]))))
            if release is not None:
                release.wait(30)
            self.send_response(status)
            self.end_headers()

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Taking) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", came
        if release is not None:
            release.set()
        server.shutdown()


async def test_spans_are_sent_to_where_the_environment_says(backend, monkeypatch):
    with receiver() as (url, came):
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", url)
        found = tracing({"OTEL_EXPORTER_OTLP_ENDPOINT": url})
        async with watched(backend, tracing=found) as seen:
            await seen.service.post("/v1/prompt", ASKED)
    ((path, body),) = came
    assert path == "/v1/traces"
    assert SECRET.encode() not in body
    (sent,) = ExportTraceServiceRequest.FromString(body).resource_spans
    names = [span.name for scope in sent.scope_spans for span in scope.spans]
    assert sorted(names) == ["POST /v1/prompt", "chat small"]
    resource = {it.key: it.value.string_value for it in sent.resource.attributes}
    assert resource["service.name"] == "orac"


async def test_a_collector_that_hangs_holds_neither_answers_nor_the_end_up(backend, monkeypatch):
    monkeypatch.setattr(spans, "LAST_WORDS_S", 0.05)
    with receiver(release=threading.Event()) as (url, came):
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", url)
        async with asyncio.timeout(10):
            async with watched(backend, tracing=Spans.exporting({})) as seen:
                assert (await seen.service.post("/v1/prompt", ASKED)).status == 200
    assert len(came) <= 1


def test_nobody_who_wants_none_gets_any():
    assert tracing({}) is None
    assert tracing({"OTEL_EXPORTER_OTLP_ENDPOINT": ""}) is None


def test_without_the_packages_it_is_said_once_and_nothing_else_changes(monkeypatch):
    monkeypatch.setitem(sys.modules, "orac_server.observing.spans", None)
    with capture_logs() as logged:
        assert tracing({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://localhost:1"}) is None
    (line,) = logged
    assert (line["log_level"], "orac[otel]" in line["event"]) == ("warning", True)
    assert line["variable"] == "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"


def test_a_server_that_nobody_watches_imports_nothing_of_it():
    code = (
        "import sys, orac_server.service; "
        "print(*({'opentelemetry', 'prometheus_client'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
