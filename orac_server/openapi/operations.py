"""What the document says of each endpoint, by the line of the table of URLs.

A new endpoint needs one entry here, and where it answers JSON the type of that.
"""

from collections.abc import Mapping
from types import MappingProxyType

from orac_core import (
    BackendError,
    BackendUnavailable,
    BenchmarkNotFound,
    DeadlineExceeded,
    InsufficientMemory,
    ModelFileInvalid,
    ModelNotFound,
    PromptTooLong,
    QueueFull,
    RoleNotFound,
    ShuttingDown,
    StateConflict,
)

from .. import benches, examinations, plans, provisions, requests
from ..openai.chat import ChatBody
from ..openai.completions import CompletionBody
from ..openai.embeddings import EmbeddingsBody
from . import (
    answers,
    completions,
    doctor,
    embeddings,
    happenings,
    health,
    models,
    profiles,
    reports,
    rules,
)
from . import (
    provisions as provisioned,
)
from .kinds import Plain
from .operation import Body, Operation

ENGINE = (BackendError, BackendUnavailable)
LOADING = (
    *(ModelNotFound, StateConflict, ModelFileInvalid, PromptTooLong, QueueFull, *ENGINE),
    *(InsufficientMemory, ShuttingDown, DeadlineExceeded),
)

STREAMED = (
    "With `stream` the answer is a stream of server-sent events, which ends with exactly one of "
    "`done` and `error`."
)

FRAMED = (
    "With `stream` the answer is a stream of frames `data: …` without names of events, which ends "
    "with `data: [DONE]`, or with one frame that has an error."
)

LIKE_OPENAI = (
    "As OpenAI has it, with ORAC's figures under `orac`; keys that are not known are left aside."
)

OPERATIONS: Mapping[str, Operation] = MappingProxyType(
    {
        "GET /": Operation(
            name="dashboard",
            tag="pages",
            summary="The dashboard",
            forms={"text/html": "A page that needs nothing from elsewhere."},
            others={304: None},
        ),
        "GET /docs": Operation(
            name="docs",
            tag="pages",
            summary="This interface, to read and to try out in the browser",
            forms={"text/html": "Swagger UI; it needs nothing from elsewhere."},
            others={304: None},
        ),
        "GET /openapi.json": Operation(
            name="openapi",
            tag="pages",
            summary="This interface for programs: OpenAPI 3.1",
            answers=(Plain,),
            others={304: None},
        ),
        "GET /v1/models": Operation(
            name="list_models",
            tag="models",
            summary="Every model of every backend, as OpenAI lists them, with ORAC's fields",
            answers=(models.ModelList,),
            errors=(ShuttingDown,),
        ),
        "GET /v1/models/{id}": Operation(
            name="show_model",
            tag="models",
            summary="One model",
            answers=(models.Model,),
            errors=(ModelNotFound, *ENGINE, ShuttingDown),
        ),
        "POST /v1/models/{id}/load": Operation(
            name="load_model",
            tag="models",
            summary="Bring a model into memory and prove that it answers",
            description=f"Many callers of the same load share it. {STREAMED}",
            body=Body(type=requests.LoadBody, optional=True),
            answers=(models.LoadedModel,),
            events={"progress": models.Stage, "done": models.LoadedModel},
            errors=LOADING,
        ),
        "POST /v1/models/load": Operation(
            name="load_named_model",
            tag="models",
            summary="The same, with the model in the body",
            description=STREAMED,
            body=Body(type=requests.NamedLoadBody),
            answers=(models.LoadedModel,),
            events={"progress": models.Stage, "done": models.LoadedModel},
            errors=LOADING,
        ),
        "POST /v1/models/{id}/unload": Operation(
            name="unload_model",
            tag="models",
            summary="Free the memory of a model",
            description=f"Unloading what is not loaded is no error. {STREAMED}",
            body=Body(type=requests.UnloadBody, optional=True),
            answers=(models.UnloadedModel,),
            events={"progress": models.Stage, "done": models.UnloadedModel},
            errors=(ModelNotFound, StateConflict, *ENGINE, ShuttingDown, DeadlineExceeded),
        ),
        "POST /v1/models/unload": Operation(
            name="unload_named_model",
            tag="models",
            summary="The same, with the model in the body",
            description=STREAMED,
            body=Body(type=requests.NamedUnloadBody),
            answers=(models.UnloadedModel,),
            events={"progress": models.Stage, "done": models.UnloadedModel},
            errors=(ModelNotFound, StateConflict, *ENGINE, ShuttingDown, DeadlineExceeded),
        ),
        "POST /v1/models/provision": Operation(
            name="provision",
            tag="models",
            summary="Make the models of roles be there",
            description=(
                "What one role lacks stops no other. What has begun goes on when the client "
                f"leaves. Only the manifest says from which hosts files are fetched. {STREAMED}"
            ),
            body=Body(type=provisions.ProvisionBody, optional=True),
            answers=(provisioned.ProvisionReport,),
            events={"progress": provisioned.ProvisionStage, "done": provisioned.ProvisionReport},
            errors=(RoleNotFound, ShuttingDown),
        ),
        "GET /v1/profiles": Operation(
            name="list_profiles",
            tag="models",
            summary="The roles that can be asked for, all that holds for each, and every profile",
            answers=(profiles.Profiles,),
        ),
        "POST /v1/plan": Operation(
            name="plan",
            tag="models",
            summary="Whether it would fit into memory, and what would have to go; changes nothing",
            body=Body(type=plans.PlanBody),
            answers=(models.PlannedLoad,),
            errors=(ModelNotFound, StateConflict, ModelFileInvalid, *ENGINE, ShuttingDown),
        ),
        "POST /v1/prompt": Operation(
            name="prompt",
            tag="prompts",
            summary="One answer, whole or as it is written",
            description=(
                "Either `prompt` or `messages` has to be there. What is repaired needs a `format`, "
                f"and can not be a stream. {STREAMED}"
            ),
            body=Body(type=requests.PromptBody, rule=rules.PROMPT),
            answers=(answers.PromptAnswer,),
            events={"chunk": answers.Piece, "done": answers.PromptAnswer},
            errors=LOADING,
        ),
        "POST /v1/chat/completions": Operation(
            name="chat",
            tag="prompts",
            summary="The next message of a chat, as OpenAI's clients ask for it",
            description=(
                f"{LIKE_OPENAI} Each tool has a name of its own, and one that is chosen is among "
                f"them. {FRAMED}"
            ),
            body=Body(type=ChatBody, rule=rules.CHAT),
            answers=(completions.ChatCompletion,),
            frame=completions.ChatCompletionChunk,
            errors=LOADING,
        ),
        "POST /v1/completions": Operation(
            name="complete",
            tag="prompts",
            summary="Text that goes on, as OpenAI's clients ask for it",
            description=f"{LIKE_OPENAI} {FRAMED}",
            body=Body(type=CompletionBody, rule=rules.COMPLETION),
            answers=(completions.TextCompletion,),
            frame=completions.TextCompletionChunk,
            errors=LOADING,
        ),
        "POST /v1/embeddings": Operation(
            name="embed",
            tag="prompts",
            summary="The vectors of texts, as OpenAI's clients ask for them",
            description=LIKE_OPENAI,
            body=Body(type=EmbeddingsBody, rule=rules.EMBEDDINGS),
            answers=(embeddings.EmbeddingList,),
            errors=LOADING,
        ),
        "POST /v1/benchmark": Operation(
            name="run_benchmark",
            tag="benchmarks",
            summary="Measure models; the results are kept",
            description=f"There is one benchmark at a time; a second is 409. {STREAMED}",
            body=Body(type=benches.BenchmarkBody, optional=True),
            answers=(reports.BenchmarkReport,),
            events={"progress": reports.BenchmarkStage, "done": reports.BenchmarkReport},
            errors=(StateConflict, ShuttingDown),
        ),
        "GET /v1/benchmarks": Operation(
            name="list_benchmarks",
            tag="benchmarks",
            summary="The benchmarks that are kept, the newest first",
            query=benches.ListQuery,
            answers=(reports.BenchmarkList,),
            errors=(BenchmarkNotFound,),
        ),
        "GET /v1/benchmarks/{id}": Operation(
            name="show_benchmark",
            tag="benchmarks",
            summary="One of them, in several formats, or compared with another",
            description=(
                "`{id}` is an id, the beginning of one, `latest`, or `latest~1` for the one "
                "before. With `against` the answer is a comparison, as `json` or `markdown`."
            ),
            query=benches.ShowQuery,
            answers=(reports.BenchmarkReport, reports.BenchmarkComparison),
            forms={
                "text/csv": "One row for each request.",
                "text/markdown": "Tables.",
                "text/html": "A page with tables and charts, which runs nothing.",
                "text/plain": "Lines for benchstat.",
            },
            errors=(BenchmarkNotFound,),
        ),
        "GET /v1/recommendations": Operation(
            name="recommend",
            tag="benchmarks",
            summary="Which models are worth choosing, by the newest benchmarks",
            answers=(reports.Recommendations,),
        ),
        "POST /v1/doctor/degradation": Operation(
            name="diagnose_degradation",
            tag="doctor",
            summary="Whether a model has become slow, why, and what to do",
            description=STREAMED,
            body=Body(type=examinations.DegradationBody, rule=rules.EXAMINATION),
            answers=(doctor.Examination,),
            events={"progress": doctor.ExaminationStage, "done": doctor.Examination},
            errors=LOADING,
        ),
        "GET /v1/health": Operation(
            name="health",
            tag="health",
            summary="The state of everything: 200 when healthy or degraded, 503 when unhealthy",
            description="200 when it is healthy or degraded, 503 when it is unhealthy.",
            answers=(health.State,),
            others={503: health.State},
        ),
        "GET /v1/diagnostics": Operation(
            name="diagnostics",
            tag="health",
            summary="All that helps to understand a fault, to be sent; secrets are masked",
            answers=(health.Diagnostics,),
        ),
        "GET /v1/health/live": Operation(
            name="live",
            tag="health",
            summary="200 as long as the process answers",
            answers=(health.Live,),
        ),
        "GET /v1/health/ready": Operation(
            name="ready",
            tag="health",
            summary="200 when work is taken and all that is required is ready, else 503",
            answers=(health.Ready,),
            errors=(BackendUnavailable, ShuttingDown),
        ),
        "GET /metrics": Operation(
            name="metrics",
            tag="health",
            summary="Metrics for Prometheus, in its text format or as OpenMetrics",
            description="No engine is asked, so that it is answered whatever hangs.",
            forms={
                "text/plain": "The text format of Prometheus.",
                "application/openmetrics-text": "OpenMetrics, where `Accept` asks for it.",
            },
        ),
        "GET /v1/events": Operation(
            name="events",
            tag="health",
            summary="What happens, as it happens: states, loads, answers, samples, health",
            description=(
                "A stream of server-sent events without end. `hello`, `lost` and `done` come in "
                "any case; `done` is the last one, when ORAC stops."
            ),
            query=happenings.EventsQuery,
            events={
                "hello": happenings.Hello,
                "model": happenings.ModelTurned,
                "progress": happenings.LoadStepped,
                "answer": happenings.AnswerEnded,
                "fallback": happenings.PassedOn,
                "breaker": happenings.BreakerTurned,
                "sample": happenings.DeviceSampled,
                "health": happenings.HealthTurned,
                "finding": happenings.SpeedTurned,
                "benchmark": happenings.BenchmarkStepped,
                "baseline": happenings.BaselineMade,
                "provision": happenings.RoleProvisioned,
                "lost": happenings.EventsLost,
                "done": happenings.Stopping,
            },
            errors=(QueueFull,),
        ),
    }
)
"""Every endpoint but the parts of pages."""
