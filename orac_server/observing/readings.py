"""What is read when somebody asks for metrics: how everything stands, without asking any engine."""

import platform
import time
from collections.abc import Iterator
from importlib.metadata import version

from aiohttp import web

from orac_core import ModelState
from orac_core.devices import DeviceSample
from orac_core.serving.census import BackendNow, ModelNow

from ..keys import LINES, MANAGER, OBSERVER, STARTED_AT, STREAMS
from .tallies import Sample

SPARED = {"closed": 0.0, "half_open": 0.5, "open": 1.0}
STATUSES = ("healthy", "degraded", "unhealthy")


def readings(app: web.Application) -> Iterator[Sample]:
    """Yield every number that there is."""
    observer, census = app[OBSERVER], app[MANAGER].census
    observer.tallies.forget({(each.instance, each.model) for each in census.models})
    yield from observer.tallies.samples()
    yield from _service(app)
    for model in census.models:
        yield from _model(model)
    for backend in census.backends:
        yield from _backend(backend)
    if (sample := app[MANAGER].sampler.latest) is not None:
        yield from _device(sample)


def _service(app: web.Application) -> Iterator[Sample]:
    observer = app[OBSERVER]
    yield "orac_http_requests_in_flight", (), observer.in_flight
    yield "orac_event_streams_open", (), len(app[STREAMS])
    yield "orac_device_memory_total_bytes", (), observer.memory_bytes
    yield "orac_uptime_seconds", (), time.monotonic() - app[STARTED_AT]
    yield "orac_build_info", (version("orac"), platform.python_version()), 1
    if observer.status is not None:
        for each in STATUSES:
            yield "orac_health_status", (each,), each == observer.status
    if (lines := app.get(LINES)) is not None:
        yield "orac_log_lines_lost_total", (), lines.writer.lost


def _model(model: ModelNow) -> Iterator[Sample]:
    key = model.instance, model.model
    for state in ModelState:
        yield "orac_model_state", (*key, state.value), model.state is state
    yield "orac_model_memory_bytes", key, model.memory_bytes
    yield "orac_model_requests_waiting", key, model.waiting
    yield "orac_model_requests_active", key, model.active
    yield "orac_model_evictions_total", key, model.evictions
    yield "orac_model_speed_ratio", key, model.speed_ratio
    yield "orac_model_degraded", key, model.degraded


def _backend(backend: BackendNow) -> Iterator[Sample]:
    yield "orac_backend_up", (backend.instance,), backend.usable
    yield "orac_backend_spared", (backend.instance,), SPARED[backend.breaker.state]


def _device(sample: DeviceSample) -> Iterator[Sample]:
    yield "orac_device_memory_available_bytes", (), sample.memory_available_bytes
    yield "orac_device_swapped_in_bytes_total", (), sample.swapped_in_bytes
    yield "orac_device_swapped_out_bytes_total", (), sample.swapped_out_bytes
    yield "orac_device_cpu_load_ratio", (), sample.cpu_load_ratio
    yield "orac_device_gpu_load_ratio", (), sample.gpu_load_ratio
    yield "orac_device_gpu_frequency_hertz", (), sample.gpu_frequency_hz
    yield "orac_device_temperature_celsius", (), sample.hottest_c
    yield "orac_device_throttling", (), sample.throttling
    yield "orac_device_over_current_events_total", (), sample.over_current_events
    for source, watts in sample.power_w.items():
        yield "orac_device_power_watts", (source,), watts
