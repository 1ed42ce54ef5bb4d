"""The URL table, nothing else.

The id of a model may hold ``/`` and ``:``, raw or percent-encoded. What stands after the last
slash of a POST is what to do, so a model called ``load`` is loaded by ``/v1/models/load/load`` and
shown by ``GET /v1/models/load``; ``POST /v1/models/load`` takes the id from its body.
"""

from aiohttp import web

from .handlers import dashboard, doctor, events, health, models, plan, prompt
from .handlers.later import later


def routes() -> list[web.AbstractRouteDef]:
    """Return every route; a path that is known answers 405 to any other method."""
    return [
        web.get("/", dashboard.page("index.html", "text/html")),
        web.get("/dashboard/style.css", dashboard.page("style.css", "text/css")),
        web.get("/dashboard/app.js", dashboard.page("app.js", "text/javascript")),
        web.get("/dashboard/icon.svg", dashboard.page("icon.svg", "image/svg+xml")),
        web.post("/v1/benchmark", later("run_benchmark")),
        web.get("/v1/benchmarks", later("list_benchmarks")),
        web.get("/v1/benchmarks/{id}", later("show_benchmark")),
        web.get("/v1/recommendations", later("recommend")),
        web.get("/v1/health", health.health),
        web.get("/v1/health/live", health.live),
        web.get("/v1/health/ready", health.ready),
        web.get("/v1/events", events.events, allow_head=False),
        web.get("/v1/models", models.list_models),
        web.post("/v1/models/load", models.load_named_model),
        web.post("/v1/models/unload", models.unload_named_model),
        web.post("/v1/models/{id:(?s:.+)}/load", models.load_model),
        web.post("/v1/models/{id:(?s:.+)}/unload", models.unload_model),
        web.get("/v1/models/{id:(?s:.+)}", models.show_model),
        web.post("/v1/plan", plan.plan),
        web.post("/v1/prompt", prompt.prompt),
        web.post("/v1/doctor/degradation", doctor.degradation),
    ]
