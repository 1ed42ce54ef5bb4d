"""The table of metrics: names, kinds, labels and what they mean.

No text of a client is ever the value of a label. The label for one of the manifest's backends is
``backend``, as Prometheus calls whom it asks ``instance``.
"""

from collections.abc import Mapping
from itertools import chain
from types import MappingProxyType
from typing import Literal

from attrs import frozen

MODEL = ("backend", "model")

REQUEST_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0)
QUEUE_S = (0.001, 0.01, 0.1, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)
LOAD_S = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 40.0, 80.0, 160.0, 320.0)

# Those of OpenTelemetry's conventions for generative AI:
# https://opentelemetry.io/docs/specs/semconv/gen-ai/gen-ai-metrics/
TTFT_S = (
    *(0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1),
    *(0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0),
)
TPOT_S = (0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 2.5)
ANSWER_S = (
    *(0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64),
    *(1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92),
)


@frozen
class Metric:
    """One metric.

    Attributes:
        name: As Prometheus shows it; that of a counter ends with ``_total``.
        kind: What it is.
        help: What it tells, in a sentence.
        labels: Names of its labels.
        bounds: Upper bounds of the buckets of a histogram.
        tallied: Whether it is counted while things happen; others are read when somebody asks.
    """

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    help: str
    labels: tuple[str, ...] = ()
    bounds: tuple[float, ...] = ()
    tallied: bool = False

    @property
    def of_a_model(self) -> bool:
        """Whether its first two labels name a model."""
        return self.labels[:1] == ("backend",) and len(self.labels) > 1


def _counted(name: str, help_: str, labels: tuple[str, ...] = MODEL) -> Metric:
    return Metric(name, "counter", help_, labels, tallied=True)


def _read(name: str, help_: str, labels: tuple[str, ...] = ()) -> Metric:
    return Metric(name, "counter" if name.endswith("_total") else "gauge", help_, labels)


def _kept(name: str, help_: str, labels: tuple[str, ...] = MODEL) -> Metric:
    return Metric(name, "gauge", help_, labels, tallied=True)


def _spread(
    name: str, help_: str, bounds: tuple[float, ...], labels: tuple[str, ...] = MODEL
) -> Metric:
    return Metric(name, "histogram", help_, labels, bounds)


GEN_AI = ("backend", "gen_ai_request_model")

REQUESTS = (
    _counted(
        "orac_http_requests_total",
        "Requests that have ended, by the template of their address; `unmatched` is one that there "
        "is not. 499 is a client that left before its answer was whole.",
        ("method", "route", "status"),
    ),
    _spread(
        "orac_http_request_duration_seconds",
        "From the head of a request to the end of its answer.",
        REQUEST_S,
        ("method", "route"),
    ),
    _read("orac_http_requests_in_flight", "Requests that are being answered."),
    _read("orac_event_streams_open", "Streams of events that are open."),
)

ANSWERS = (
    _counted(
        "orac_answers_total",
        "Answers that were given to their end: `stop`, `length`, `tool_calls`, or `deadline` for "
        "one that was cut when its time was over.",
        (*MODEL, "finish_reason"),
    ),
    _counted(
        "orac_answer_errors_total",
        "Answers that failed, by the class of the error; `other` is one that is none of ORAC's.",
        (*MODEL, "error"),
    ),
    _counted("orac_answers_cancelled_total", "Answers that nobody waited for any more."),
    _counted(
        "orac_fallbacks_total",
        "Requests for a role that went on to the next as one could not answer, both as in the "
        "manifest, or with `prefer` as `instance/model`.",
        ("role", "from", "to"),
    ),
    _spread("orac_answer_queue_seconds", "Time that answers waited for their turn.", QUEUE_S),
    _counted("orac_prompt_tokens_total", "Tokens of prompts, as the engine counts them."),
    _counted("orac_cached_tokens_total", "Tokens of prompts that needed no reading."),
    _counted("orac_completion_tokens_total", "Tokens of answers, as the engine counts them."),
    _kept("orac_prefill_tokens_per_second", "Speed of reading, of the last answer."),
    _kept("orac_decode_tokens_per_second", "Speed of writing, of the last answer."),
    _spread(
        "gen_ai_server_time_to_first_token_seconds",
        "From a request to the first piece of its answer, the queue and a load included.",
        TTFT_S,
        GEN_AI,
    ),
    _spread(
        "gen_ai_server_time_per_output_token_seconds",
        "(duration - time to first token) by (tokens - 1); one value for each answer of two tokens "
        "or more.",
        TPOT_S,
        GEN_AI,
    ),
    _spread(
        "gen_ai_server_request_duration_seconds",
        "From a request to the end of its answer, of answers that were given to their end.",
        ANSWER_S,
        GEN_AI,
    ),
)

MODELS = (
    _read(
        "orac_model_state",
        "1 for the state that a model is in, 0 for each other: `stopped`, `starting`, `ready`, "
        "`stopping`, `failed`.",
        (*MODEL, "state"),
    ),
    _read("orac_model_memory_bytes", "Memory that a model takes.", MODEL),
    _read("orac_model_requests_waiting", "Requests that wait for their turn.", MODEL),
    _read("orac_model_requests_active", "Requests that have their turn.", MODEL),
    _read("orac_model_speed_ratio", "Speed of the last answers, as a share of the usual.", MODEL),
    _read("orac_model_degraded", "1 while a model is slower than it used to be.", MODEL),
    _counted("orac_model_loads_total", "Loads that ended well."),
    _counted(
        "orac_model_unloads_total",
        "Models that left the memory in good order, also those that their engine dropped.",
    ),
    _counted("orac_model_failures_total", "Times that a model became failed."),
    _read("orac_model_evictions_total", "Times that a model had to go for another.", MODEL),
    _spread(
        "orac_model_load_seconds",
        "From the beginning of a load, waiting for memory included, until the model has answered.",
        LOAD_S,
    ),
)

BACKENDS = (
    _read(
        "orac_backend_up",
        "1 when a backend could be used the last time it was asked, 0 when not.",
        ("backend",),
    ),
    _read(
        "orac_backend_spared",
        "1 while a backend that could not be reached is not asked, 0.5 while it is found out "
        "whether it is back, 0 otherwise.",
        ("backend",),
    ),
)

SERVICE = (
    _read(
        "orac_health_status",
        "1 for the last verdict on the whole: `healthy`, `degraded` or `unhealthy`.",
        ("status",),
    ),
    _read("orac_uptime_seconds", "Time since the service started."),
    _read(
        "orac_build_info",
        "Always 1; health tells the same versions to the same people.",
        ("version", "python"),
    ),
    _read("orac_log_lines_lost_total", "Lines of the log that could not be written."),
)

MACHINE = (
    _read("orac_device_memory_total_bytes", "Memory of the machine."),
    _read("orac_device_memory_available_bytes", "What programs can have without swapping."),
    _read("orac_device_swapped_in_bytes_total", "Read back from swap since the machine started."),
    _read("orac_device_swapped_out_bytes_total", "Written to swap since the machine started."),
    _read("orac_device_cpu_load_ratio", "Load of the CPU, 0 to 1."),
    _read("orac_device_gpu_load_ratio", "Load of the GPU, 0 to 1."),
    _read("orac_device_gpu_frequency_hertz", "Clock of the GPU."),
    _read("orac_device_temperature_celsius", "Temperature of the hottest sensor."),
    _read(
        "orac_device_power_watts",
        "Power by what measures it: rails of the board, `NVML`, `RAPL package 0` … Some are parts "
        "of others.",
        ("source",),
    ),
    _read("orac_device_throttling", "1 while clocks are lowered for heat or power."),
    _read(
        "orac_device_over_current_events_total",
        "Over-current alerts of the board since it started.",
    ),
)
GROUPS: Mapping[str, tuple[Metric, ...]] = MappingProxyType(
    {
        "requests": REQUESTS,
        "answers": ANSWERS,
        "models": MODELS,
        "backends": BACKENDS,
        "service": SERVICE,
        "machine": MACHINE,
    }
)
"""The metrics by what they are about."""

TABLE = tuple(chain.from_iterable(GROUPS.values()))
"""Every metric of ORAC's own, in the order in which they are shown."""
