"""The URL table, nothing else.

The id of a model may hold ``/`` and ``:``, raw or percent-encoded. What stands after the last
slash of a POST is what to do, so a model called ``load`` is loaded by ``/v1/models/load/load`` and
shown by ``GET /v1/models/load``; ``POST /v1/models/load`` takes the id from its body.
"""

from collections.abc import Callable, Iterator, Mapping

from .endpoint import Endpoint, Handler
from .handlers import (
    dashboard,
    diagnostics,
    docs,
    doctor,
    events,
    health,
    metrics,
    models,
    openai,
    plan,
    profiles,
    prompt,
    provision,
)
from .handlers.later import later


def endpoints() -> list[Endpoint]:
    """Return every endpoint; a path that is known answers 405 to any other method."""
    return [
        *dashboard.endpoints(),
        Endpoint("GET", "/openapi.json", docs.described(endpoints), "open"),
        Endpoint("GET", "/docs", docs.page("index.html", "text/html"), "open"),
        *parts(docs.PARTS),
        Endpoint("POST", "/v1/benchmark", later("run_benchmark"), "admin"),
        Endpoint("GET", "/v1/benchmarks", later("list_benchmarks")),
        Endpoint("GET", "/v1/benchmarks/{id}", later("show_benchmark")),
        Endpoint("GET", "/v1/recommendations", later("recommend")),
        Endpoint("GET", "/v1/health", health.health, "open"),
        Endpoint("GET", "/v1/health/live", health.live, "open"),
        Endpoint("GET", "/v1/health/ready", health.ready, "open"),
        Endpoint("GET", "/metrics", metrics.metrics, "open"),
        Endpoint("GET", "/v1/diagnostics", diagnostics.diagnostics, "admin"),
        Endpoint("GET", "/v1/events", events.events, streams=True),
        Endpoint("GET", "/v1/models", models.list_models),
        Endpoint("POST", "/v1/models/load", models.load_named_model, "admin"),
        Endpoint("POST", "/v1/models/unload", models.unload_named_model, "admin"),
        Endpoint("POST", "/v1/models/provision", provision.provision, "admin"),
        Endpoint("POST", "/v1/models/{id:(?s:.+)}/load", models.load_model, "admin"),
        Endpoint("POST", "/v1/models/{id:(?s:.+)}/unload", models.unload_model, "admin"),
        Endpoint("GET", "/v1/models/{id:(?s:.+)}", models.show_model),
        Endpoint("GET", "/v1/profiles", profiles.profiles, "admin"),
        Endpoint("POST", "/v1/plan", plan.plan),
        Endpoint("POST", "/v1/prompt", prompt.prompt),
        Endpoint("POST", "/v1/chat/completions", openai.chat),
        Endpoint("POST", "/v1/completions", openai.complete),
        Endpoint("POST", "/v1/embeddings", openai.embeddings),
        Endpoint("POST", "/v1/doctor/degradation", doctor.degradation, "admin"),
    ]


def parts(handlers: Mapping[str, Callable[[], Handler]]) -> Iterator[Endpoint]:
    """Yield the endpoints of what a page is made of."""
    for path, made in handlers.items():
        yield Endpoint("GET", path, made(), "open", part=True)
