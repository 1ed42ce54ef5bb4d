"""The events of `GET /v1/events`."""

from typing import Annotated, Literal, get_args

from attrs import frozen
from msgspec import Meta

from orac_core import ModelState
from orac_core.conversation import FinishReason
from orac_core.devices import Power
from orac_core.doctor import Cause
from orac_core.events import Kind
from orac_core.health import Status
from orac_core.types import LoadStage

from .kinds import SOMETIMES, Moment
from .provisions import ProvisionedRole

KINDS = tuple(kind for kind in get_args(Kind) if kind != "lost")


@frozen(kw_only=True)
class EventsQuery:
    """The query of `GET /v1/events`.

    Attributes:
        kinds: Which kinds of events to tell, with commas between; all when it is left out.
    """

    kinds: Annotated[tuple[Literal[KINDS], ...], Meta(min_length=1)] | None = None  # type: ignore[valid-type]


@frozen
class ModelNow:
    """What a model is doing.

    Attributes:
        instance: Name of its backend.
        model: Its id.
        state: What it is doing.
        reason: Why, where that needs saying.
    """

    instance: str
    model: str
    state: ModelState
    reason: str | None


@frozen
class Verdict:
    """How everything is.

    Attributes:
        status: The verdict.
        message: The same in one sentence.
    """

    status: Status
    message: str


@frozen(kw_only=True)
class Happening:
    """Something that happened.

    Attributes:
        at: When.
    """

    at: Moment


@frozen(kw_only=True)
class OfModel(Happening):
    """Something that happened to a model.

    Attributes:
        instance: Name of its backend.
        model: Its id.
    """

    instance: str
    model: str


@frozen(kw_only=True)
class Hello(Happening):
    """The first one: what each model does and how everything is, now.

    Attributes:
        models: What each model is doing.
        health: How everything is.
    """

    models: list[ModelNow]
    health: Verdict


@frozen(kw_only=True)
class ModelTurned(OfModel):
    """A model went over to another state.

    Attributes:
        state: What it is doing now.
        previous: What it was doing before.
        reason: Why, where that needs saying.
    """

    state: ModelState
    previous: ModelState
    reason: str | None


@frozen(kw_only=True)
class LoadStepped(OfModel):
    """How far a load is: each new stage, and at most five times a second.

    Attributes:
        stage: What is being done.
        completed: What is done of `total`.
        total: All of it, in bytes; null where that is not known.
        message: In words.
    """

    stage: LoadStage
    completed: int
    total: int | None
    message: str


@frozen(kw_only=True)
class AnswerEnded(OfModel):
    """An answer ended; the counts are those of `usage` of a prompt.

    Attributes:
        role: Role that was asked for; null when it was a model.
        served_by_fallback: Whether the model answers in place of the first of the role.
        finish_reason: Why; null when it failed.
        error: Class of the error, or `cancelled` when its client left; null when there was none.
        prompt_tokens: Of the prompt.
        completion_tokens: Of the answer.
        cached_tokens: Of the prompt's, those that the engine had already.
        queue_ms: Waiting for a turn.
        load_ms: Loading the model.
        ttft_ms: From the request to the first piece of text.
        elapsed_ms: From the request to the end.
        prefill_tokens_per_second: Reading the prompt, by the engine's clock.
        decode_tokens_per_second: Writing the answer, by the engine's clock.
    """

    role: str | None
    served_by_fallback: bool
    finish_reason: FinishReason | None
    error: str | None
    prompt_tokens: int | None
    completion_tokens: int | None
    cached_tokens: int | None
    queue_ms: float
    load_ms: float
    ttft_ms: float | None
    elapsed_ms: float
    prefill_tokens_per_second: float | None
    decode_tokens_per_second: float | None


@frozen(kw_only=True)
class PassedOn(Happening):
    """A request for a role goes on to the next, as what it was asked of could not answer.

    Attributes:
        role: The role.
        failed: What could not: as the manifest names it, or `instance/model` with `prefer`.
        next: What is tried now.
        error: Class of the error.
    """

    role: str
    failed: str
    next: str
    error: str


@frozen(kw_only=True)
class BreakerTurned(Happening):
    """A backend that could not be reached is spared from now on, or no longer.

    Attributes:
        instance: The backend.
        state: Whether it is.
        failures: Failures in a row, as far as they count.
    """

    instance: str
    state: Literal["open", "closed"]
    failures: int


@frozen(kw_only=True)
class DeviceSampled(Happening):
    """The machine, as its sensors tell it, every second; `power_w` is by source.

    Attributes:
        memory_available_bytes: What programs can have without swapping.
        memory_free_bytes: What nothing uses.
        page_cache_bytes: What the kernel keeps of files.
        swapped_in_bytes: Read back from swap since the machine started.
        swapped_out_bytes: Written to swap since the machine started.
        gpu_load_ratio: 0 to 1.
        gpu_frequency_hz: Clock of the GPU.
        cpu_load_ratio: 0 to 1, since the sample before.
        cpu_frequency_hz: Highest clock of all cores.
        hottest: Name of the hottest sensor.
        hottest_c: Its temperature.
        power_w: Watts by source.
        throttling: Whether clocks are lowered for heat or power.
        over_current_events: Over-current alerts since the machine started, of all kinds.
        power: The power that says most of the machine.
    """

    memory_available_bytes: int | None
    memory_free_bytes: int | None
    page_cache_bytes: int | None
    swapped_in_bytes: int | None
    swapped_out_bytes: int | None
    gpu_load_ratio: float | None
    gpu_frequency_hz: int | None
    cpu_load_ratio: float | None
    cpu_frequency_hz: int | None
    hottest: str | None
    hottest_c: float | None
    power_w: dict[str, float]
    throttling: bool | None
    over_current_events: int | None
    power: Power | None


@frozen(kw_only=True)
class HealthTurned(Happening):
    """The verdict on the whole changed.

    Attributes:
        status: The verdict.
        message: The same in one sentence.
        previous: The status before; null the first time.
    """

    status: Status
    message: str
    previous: Status | None


@frozen
class Suspect:
    """A cause of slowness in short.

    Attributes:
        cause: Its name.
        likelihood: 0 to 1.
    """

    cause: Cause
    likelihood: float


@frozen(kw_only=True)
class SpeedTurned(OfModel):
    """A model became slow, or is as fast as it was again.

    Attributes:
        verdict: What became of it: `slower`, `degraded`, `recovered`.
        factor: The rate as a share of the usual one.
        message: All of it in one sentence.
        causes: What is likely behind it.
    """

    verdict: str
    factor: float | None
    message: str
    causes: list[Suspect]


@frozen(kw_only=True)
class BenchmarkStepped(Happening):
    """How far a benchmark is; the last one has the stage `ended`, only `id` and `message`.

    Attributes:
        id: Of the run.
        stage: What is being done; `ended` is the last.
        message: In words; of the last how it ended.
        model: Which model it is about; empty for all.
        completed: Steps that are done.
        total: All steps; null while that is not known.
    """

    id: str | None
    stage: str
    message: str
    model: Annotated[str, SOMETIMES]
    completed: Annotated[int, SOMETIMES]
    total: Annotated[int | None, SOMETIMES]


@frozen(kw_only=True)
class BaselineMade(OfModel):
    """It is known how fast a model usually is.

    Attributes:
        tokens_per_second: The usual rate.
    """

    tokens_per_second: float


@frozen(kw_only=True)
class RoleProvisioned(ProvisionedRole):
    """Something was done to make the model of a role be there.

    Attributes:
        at: When.
    """

    at: Moment


@frozen(kw_only=True)
class EventsLost(Happening):
    """This client reads too slowly; `events` is how many it has not been told.

    Attributes:
        events: How many it has not been told.
    """

    events: int


@frozen(kw_only=True)
class Stopping(Happening):
    """The last event: ORAC is stopping.

    Attributes:
        reason: Why, in words.
    """

    reason: str
