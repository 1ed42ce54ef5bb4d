"""Answers about models: listed, loaded, unloaded, planned."""

from typing import Literal

from attrs import frozen

from orac_core import FileInfo, ModelState, Speed
from orac_core.memory import Savings
from orac_core.types import LoadStage

from .kinds import Moment


@frozen
class ModelMemory:
    """What a model needs in memory, and takes there.

    Attributes:
        estimated_bytes: What a load is expected to take, or was.
        measured_bytes: What it takes; null when it is not loaded.
        on_gpu_ratio: Share of that on the GPU, 0 to 1.
    """

    estimated_bytes: int | None
    measured_bytes: int | None
    on_gpu_ratio: float | None


@frozen
class ModelRequests:
    """What this ORAC is asked of a model just now.

    Attributes:
        active: Requests that have their turn.
        waiting: Requests that wait for their turn.
        at_once: Requests that may have their turn at once.
    """

    active: int
    waiting: int
    at_once: int


@frozen
class ModelFile(FileInfo):
    """The file of a model.

    Attributes:
        path: Where it is.
        sha256: Its checksum; null where that is not known yet.
        problem: Why it can not be used; null when it can.
    """


@frozen
class AppliedAdapter:
    """A LoRA adapter that is on a model.

    Attributes:
        name: Of its file.
        scale: How strong it is; 0 changes nothing.
        sha256: What its file hashes to; null where that is not known.
    """

    name: str
    scale: float
    sha256: str | None


@frozen
class ModelAdapter(AppliedAdapter):
    """A LoRA adapter that a model is loaded with, or would be.

    Attributes:
        name: Of its file.
        scale: How strong it is; 0 changes nothing.
        sha256: What its file hashes to; null where that is not known.
        problem: Why it can not be used, or not any more; null when nothing speaks against it.
    """

    problem: str | None


@frozen
class ModelSpeed(Speed):
    """How fast a model that is loaded writes, in tokens a second.

    Attributes:
        baseline_tokens_per_second: What is usual; null while that is not known.
        recent_tokens_per_second: Its last answers that were made alone, the newest last.
    """


@frozen
class ModelSavings(Savings):
    """What a model that is loaded would leave free, were it loaded smaller: estimates.

    Each way counts alone; null where there is no such way.

    Attributes:
        context_length: Half of its context, in tokens, for each answer.
        context_bytes: What that would free.
        parallel: Half as many answers at once.
        parallel_bytes: What that would free.
        cache_bytes: What a cache of Q8_0 in place of F16 would free.
        gpu_layers: Half of the layers that lie on the GPU.
        gpu_layers_bytes: What that would free of the GPU's own memory; the CPU's gets it.
    """


@frozen
class Model:
    """A model that could be served, with its state.

    Attributes:
        id: What its engine calls it.
        object: What this is, for clients of OpenAI.
        created: When its file was last changed, in seconds since 1970; 0 where it has none.
        owned_by: The backend, for clients of OpenAI.
        instance: Name of the backend that serves it.
        kind: Kind of that backend.
        state: What it is doing.
        state_reason: Why, where that needs saying: the reason of `failed`.
        required: Whether ORAC is unhealthy as long as it is not usable.
        pinned: Whether it stays loaded whatever else needs the memory.
        roles: Roles and aliases that stand for it.
        size_bytes: Size on the disk.
        architecture: As in the file: `llama`, `qwen3` …
        parameters: Number of weights.
        quantization: `Q4_K_M`, `F16` …
        context_length: Longest context that it was trained for, in tokens.
        memory: What it needs in memory, and takes there.
        remote: Whether it takes the memory of another machine, or its engine alone decides about
            that.
        parallel: Answers that it does at once; null when it is not loaded, or its backend does not
            say.
        requests: What it is asked just now.
        speed: How fast it is, and usually is.
        savings: What it would leave free, were it loaded smaller; null when it is not loaded, or
            nothing is known of what it is made of.
        expires_at: When it goes if nobody uses it; null for never, and while an answer is running.
        warning: Why it is served worse than this machine could, and what to do.
        last_used_at: When its last answer began.
        capabilities: `completion`, `chat`, `embedding` …
        file: Its file; null when its backend knows of none.
        adapters: LoRA adapters that it is loaded with, or would be.
    """

    id: str
    object: Literal["model"]
    created: int
    owned_by: str
    instance: str
    kind: str
    state: ModelState
    state_reason: str | None
    required: bool
    pinned: bool
    roles: list[str]
    size_bytes: int | None
    architecture: str | None
    parameters: int | None
    quantization: str | None
    context_length: int | None
    memory: ModelMemory
    remote: bool
    parallel: int | None
    requests: ModelRequests
    speed: ModelSpeed
    savings: ModelSavings | None
    expires_at: Moment | None
    warning: str | None
    last_used_at: Moment | None
    capabilities: list[str]
    file: ModelFile | None
    adapters: list[ModelAdapter]


@frozen
class ModelList:
    """Every model of every backend.

    Attributes:
        object: What this is, for clients of OpenAI.
        data: The models.
    """

    object: Literal["list"]
    data: list[Model]


@frozen
class Applied:
    """What the engine really uses.

    Attributes:
        context_length: Tokens that prompt and answer may have together, for each parallel answer.
        gpu_layers: Layers on the GPU.
        parallel: Answers at once.
        adapters: LoRA adapters that are on the model.
    """

    context_length: int | None
    gpu_layers: int | None
    parallel: int | None
    adapters: list[AppliedAdapter]


@frozen
class LoadedModel:
    """A load that ended well: the model has answered one real token.

    Attributes:
        model: Id of the model.
        instance: Name of the backend.
        state: Always `ready`.
        load_ms: Time it took, the proof that it answers included.
        verified: Whether it has answered; always true.
        applied: What the engine really uses.
        memory: What it was expected to take, and takes.
        already_loaded: Whether there was nothing to do.
        warning: Why it is served worse than this machine could, and what to do.
        evicted: Models that were unloaded to make room, as `instance/model`.
    """

    model: str
    instance: str
    state: Literal["ready"]
    load_ms: float
    verified: Literal[True]
    applied: Applied
    memory: ModelMemory
    already_loaded: bool
    warning: str | None
    evicted: list[str]


@frozen
class UnloadedModel:
    """An unload that ended well: the memory is back.

    Attributes:
        model: Id of the model.
        instance: Name of the backend.
        state: Always `stopped`.
        freed_bytes: Memory that the model held; null where the engine did not say.
        unload_ms: Time it took.
    """

    model: str
    instance: str
    state: Literal["stopped"]
    freed_bytes: int | None
    unload_ms: float


@frozen
class Stage:
    """How far a load or an unload is.

    Attributes:
        stage: What is being done.
        completed: What is done of `total`.
        total: All of it, in bytes; null where that is not known.
        message: In words.
    """

    stage: LoadStage | Literal["stop"]
    completed: int
    total: int | None
    message: str


@frozen
class Needed:
    """What a load would take.

    Attributes:
        total_bytes: All of it.
        weights_bytes: For the weights.
        kv_cache_bytes: For the cache of keys and values.
        compute_bytes: For computing.
        margin_bytes: For what the estimate may be wrong by.
        correction_bytes: What earlier loads took beyond the estimate; below 0 when they took less.
        gpu_bytes: What of it may lie on the GPU.
        basis: Whether such a load was measured before, is estimated from the header of the file, or
            guessed from its size.
    """

    total_bytes: int
    weights_bytes: int
    kv_cache_bytes: int
    compute_bytes: int
    margin_bytes: int
    correction_bytes: int
    gpu_bytes: int
    basis: Literal["measured", "estimated", "size"]


@frozen
class Available:
    """What the machine has left.

    Attributes:
        host_bytes: Memory of the CPU.
        gpu_bytes: Memory of the GPU alone; null where it has none of its own that is known.
        page_cache_bytes: What of the memory the kernel keeps of files.
        unified: Whether CPU and GPU share the memory.
    """

    host_bytes: int | None
    gpu_bytes: int | None
    page_cache_bytes: int | None
    unified: bool


@frozen
class Leaving:
    """A model that would be unloaded to make room.

    Attributes:
        model: As `instance/model`.
        memory_bytes: What it takes.
        idle_s: For how long nobody has used it; null when nobody ever has.
        busy: Whether answers are running, which would end first.
    """

    model: str
    memory_bytes: int
    idle_s: float | None
    busy: bool


@frozen
class Staying:
    """A loaded model that never has to go.

    Attributes:
        model: As `instance/model`.
        memory_bytes: What it takes.
        reason: Why it stays: `pinned` …
    """

    model: str
    memory_bytes: int
    reason: str


@frozen
class PlannedLoad:
    """What a load would do now; nothing was changed.

    Attributes:
        model: Id of the model.
        instance: Name of the backend.
        fits: Whether it fits; null when too little is known.
        loaded: Whether it is loaded already.
        message: The whole in one sentence.
        needed: What it would take; null of a loaded model, and where nothing is known.
        available: What there is; null where the machine does not say.
        would_evict: Models that would have to go.
        kept: Loaded models that never have to go.
        context_length: The context that was planned with, in tokens.
        proposed_context_length: The longest with which it would fit, when it does not.
    """

    model: str
    instance: str
    fits: bool | None
    loaded: bool
    message: str
    needed: Needed | None
    available: Available | None
    would_evict: list[Leaving]
    kept: list[Staying]
    context_length: int | None
    proposed_context_length: int | None
