"""The values that cross borders: between core, backends, server and users.

All are immutable. Inside ORAC times are seconds and sizes are bytes.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any, Literal

from attrs import field, frozen

from .shape import Shape

LoadStage = Literal["fetch", "validate", "plan", "evict", "upload", "read", "start", "verify"]

PullAction = Literal["present", "imported", "pulled", "downloaded"]


class ModelState(StrEnum):
    """What a model is doing; ``orac_core.states`` has the transitions allowed between them."""

    STOPPED = "stopped"
    STARTING = "starting"
    READY = "ready"
    STOPPING = "stopping"
    FAILED = "failed"


@frozen
class Adapter:
    """A LoRA adapter that a model is loaded with.

    Attributes:
        path: Its file.
        scale: How strong it is; 0 changes nothing.
        sha256: What its file hashes to; None where that is not known.
        size_bytes: Memory that it takes.
    """

    path: str
    scale: float = 1.0
    sha256: str | None = None
    size_bytes: int = 0


@frozen
class AdapterInfo:
    """A LoRA adapter that a model is loaded with, or would be.

    Attributes:
        name: Of its file.
        scale: How strong it is.
        sha256: What its file hashes to; None where that is not known.
        problem: Why it can not be used, or not any more; None when nothing speaks against it.
        size_bytes: Memory that it takes.
    """

    name: str
    scale: float = 1.0
    sha256: str | None = None
    problem: str | None = None
    size_bytes: int = 0


@frozen
class LoadRequest:
    """What to load. None leaves the choice to the backend.

    Attributes:
        model: Id of the model, as the backend itself calls it.
        context_length: Tokens that prompt and answer may have together, for each parallel answer.
        gpu_layers: Layers to put on the GPU.
        parallel: Answers at once.
        keep_alive_s: How long the model then stays loaded without being used, infinity for ever;
            None leaves that to the manifest. It is ORAC that sees to it, no backend.
        force: Load it even where it does not seem to fit. It is ORAC that asks, no backend.
        pinned: Whether it then stays whatever else needs the memory, until it is unloaded; None
            leaves that as it is. It is ORAC that sees to it, no backend.
        adapters: LoRA adapters to put on it, checked and in order; None for those that it is loaded
            with, or that the manifest wants.
    """

    model: str
    context_length: int | None = None
    gpu_layers: int | None = None
    parallel: int | None = None
    keep_alive_s: float | None = None
    force: bool = False
    pinned: bool | None = None
    adapters: tuple[Adapter, ...] | None = None


@frozen
class LoadProgress:
    """How far a load is. ``completed`` and ``total`` are bytes when ``total`` is not None."""

    stage: LoadStage
    completed: int = 0
    total: int | None = None
    message: str = ""

    def __str__(self) -> str:
        done = f" {self.completed / self.total:.0%}" if self.total else ""
        return f"{self.stage}{done}: {self.message}" if self.message else f"{self.stage}{done}"


@frozen
class FileInfo:
    """The file of a model, with what is wrong with it, if anything."""

    path: str
    sha256: str | None = None
    problem: str | None = None


@frozen
class LoadedInfo:
    """What the engine really uses for a model that is in memory; None where it does not say.

    Attributes:
        context_length: Tokens of one answer and its prompt.
        gpu_layers: Layers on the GPU.
        parallel: Answers at once.
        memory_bytes: Memory that the model takes.
        on_gpu_ratio: Share of that memory on the GPU, 0 to 1.
        mapped_bytes: Part of that memory that is pages of the model's file, which the kernel counts
            as available; None where that is not known.
        adapters: LoRA adapters that are put on it.
        cache_type_bytes: Bytes of one number in its cache: 2 for F16.
    """

    context_length: int | None = None
    gpu_layers: int | None = None
    parallel: int | None = None
    memory_bytes: int | None = None
    on_gpu_ratio: float | None = None
    mapped_bytes: int | None = None
    adapters: tuple[Adapter, ...] | None = None
    cache_type_bytes: float | None = None


@frozen
class ModelInfo:
    """A model that a backend could serve, with its state as the engine itself reports it.

    Attributes:
        id: What the engine calls it.
        state: What it is doing.
        state_reason: Why, where that needs saying: the reason of ``failed``.
        size_bytes: Size on the disk.
        modified_at: Time of the last change on the disk, in seconds since 1970.
        architecture: As in the file: ``llama``, ``qwen3`` …
        parameters: Number of weights.
        quantization: ``Q4_K_M``, ``F16`` …
        context_length: Longest context that the model was trained for.
        capabilities: ``completion``, ``chat``, ``embedding`` …
        file: Its file, when the backend knows it.
        loaded: What it uses while in memory; None when it is not.
        expires_at: When the engine will unload it by itself, in seconds since 1970; None for never.
        names: Other names that the engine takes for it.
        warning: Why it is served worse than this machine could, with the numbers and what to do.
        would_use: What a load that asks for nothing would use, as far as the backend decides that.
        shape: What its memory is made of; None where that is not known.
        remote: Whether it is loaded into the memory of another machine, or where its engine alone
            decides about memory.
        metered: Whether every question may cost its user something: ORAC then asks it nothing of
            its own accord.
        digest: What tells it from every other model: the sha256 of its file, or what its engine has
            for one; None where that is not known.
        adapters: LoRA adapters that it is loaded with, or would be where a load names no others.
        relayed: Whether another ORAC serves it; a third one is to ask that and not this one.
        others: Requests that others than this ORAC have running or waiting there; None where its
            engine does not say.
    """

    id: str
    state: ModelState = ModelState.STOPPED
    state_reason: str | None = None
    size_bytes: int | None = None
    modified_at: float | None = None
    architecture: str | None = None
    parameters: int | None = None
    quantization: str | None = None
    context_length: int | None = None
    capabilities: tuple[str, ...] = ()
    file: FileInfo | None = None
    loaded: LoadedInfo | None = None
    expires_at: float | None = None
    names: tuple[str, ...] = ()
    warning: str | None = None
    would_use: LoadedInfo | None = None
    shape: Shape | None = None
    remote: bool = False
    metered: bool = False
    digest: str | None = None
    adapters: tuple[AdapterInfo, ...] = ()
    relayed: bool = False
    others: int | None = None


@frozen
class Speed:
    """How fast a model that is loaded writes, in tokens a second.

    Attributes:
        baseline_tokens_per_second: What is usual; None while that is not known.
        recent_tokens_per_second: Its last answers that were made alone, the newest last.
    """

    baseline_tokens_per_second: float | None = None
    recent_tokens_per_second: tuple[float, ...] = ()


@frozen
class ServedModel:
    """A model with the instance that would serve it.

    Attributes:
        info: The model, with the state that ORAC knows: also that of a load under way.
        instance: Name of the backend.
        kind: Kind of that backend.
        roles: Roles and aliases that stand for this model.
        last_used_at: When its last answer began, in seconds since 1970; None when never.
        required: Whether ORAC is unhealthy as long as it is not usable.
        pinned: Whether it stays loaded whatever else needs the memory.
        needs_bytes: Memory that a load of it takes, as far as that can be told: the load that was
            made, or one that asks for nothing.
        speed: How fast it is.
        active: Requests of this ORAC that have their turn.
        waiting: Requests of this ORAC that wait for their turn.
        at_once: Requests of this ORAC that may have their turn at once.
    """

    info: ModelInfo
    instance: str
    kind: str
    roles: tuple[str, ...] = ()
    last_used_at: float | None = None
    required: bool = False
    pinned: bool = False
    needs_bytes: int | None = None
    speed: Speed = Speed()
    active: int = 0
    waiting: int = 0
    at_once: int = 0


@frozen
class Loaded:
    """A load that ended well: the model answered one real token.

    Attributes:
        model: Id of the model.
        instance: Name of the backend.
        load_s: Time it took, verification included.
        applied: What the engine really uses.
        already_loaded: True when there was nothing to do.
        warning: Why the model is served worse than this machine could.
        evicted: Models that were unloaded to make room, as ``instance/model``.
        needs_bytes: Memory that it was expected to take, as far as that could be told.
    """

    model: str
    instance: str
    load_s: float
    applied: LoadedInfo = LoadedInfo()
    already_loaded: bool = False
    warning: str | None = None
    evicted: tuple[str, ...] = ()
    needs_bytes: int | None = None


@frozen
class Unloaded:
    """An unload that ended well: the memory is back.

    Attributes:
        model: Id of the model.
        instance: Name of the backend.
        unload_s: Time it took.
        freed_bytes: Memory that the model held; None where the engine did not say.
    """

    model: str
    instance: str
    unload_s: float
    freed_bytes: int | None = None


@frozen
class PullRequest:
    """Which model to fetch.

    Attributes:
        model: Name of the model, as the engine will call it.
        source: Where to fetch it from: ``https://…``, ``hf://owner/repo/file`` or a path; None
            for where the engine gets its models.
        checksum: What the file must hash to, ``sha256:…``; None for whatever it hashes to.
        force: Look again where the model is there already, and whether it is still the same.
    """

    model: str
    source: str | None = None
    checksum: str | None = None
    force: bool = False


@frozen
class PullProgress:
    """How far a download is. ``completed`` and ``total`` are bytes when ``total`` is not None.

    Attributes:
        message: What is being done.
        completed: What is done of it, also what earlier attempts had done.
        total: All of it.
        fetched_bytes: What has been fetched or copied for this request so far; None where the
            backend does not say.
        action: In the last one, how the model came to be there: it was ``present``, ``imported``
            from this machine, ``pulled`` by the engine or ``downloaded`` by ORAC; None where the
            backend does not say.
    """

    message: str
    completed: int = 0
    total: int | None = None
    fetched_bytes: int | None = None
    action: PullAction | None = None


@frozen
class InstanceHealth:
    """Whether a backend can serve, and which version of its engine does.

    ``details`` holds what only this kind of backend knows, in plain JSON values; each of the
    ``warnings`` is a sentence about what does not stop the backend and should be looked at.
    """

    usable: bool
    message: str = ""
    version: str | None = None
    details: Mapping[str, Any] = field(factory=dict)
    warnings: tuple[str, ...] = ()
