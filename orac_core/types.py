"""The values that cross borders: between core, backends, server and users.

All are immutable. Inside ORAC times are seconds and sizes are bytes.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any, Literal

from attrs import field, frozen

from .shape import Shape

Role = Literal["system", "user", "assistant"]
FinishReason = Literal["stop", "length", "deadline"]
LoadStage = Literal["validate", "plan", "evict", "upload", "read", "start", "verify"]


class ModelState(StrEnum):
    """What a model is doing; ``orac_core.states`` has the transitions allowed between them."""

    STOPPED = "stopped"
    STARTING = "starting"
    READY = "ready"
    STOPPING = "stopping"
    FAILED = "failed"


@frozen
class Message:
    """One turn of a conversation."""

    role: Role
    content: str


@frozen
class GenerateOptions:
    """How to choose the next token. None leaves the choice to the model or the engine.

    Attributes:
        temperature: 0 always takes the likeliest token.
        top_p: Smallest set of tokens whose probabilities sum up to this.
        top_k: Number of likeliest tokens to choose from; 0 takes all.
        min_p: Least probability, relative to the likeliest token.
        seed: Makes sampling repeatable.
        max_tokens: Longest answer, in tokens.
        stop: Texts that end the answer; they are not part of it.
        repeat_penalty: Above 1 makes tokens less likely that occurred lately.
        ignore_eos: Go on to ``max_tokens`` where the model would end its answer, on engines that
            can; for measuring.
    """

    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    min_p: float | None = None
    seed: int | None = None
    max_tokens: int | None = None
    stop: tuple[str, ...] = ()
    repeat_penalty: float | None = None
    ignore_eos: bool | None = None


@frozen
class GenerateRequest:
    """What to answer.

    Attributes:
        model: Id of the model, as the backend itself calls it.
        messages: A conversation, put into the model's own chat template by the engine.
        prompt: Text to continue as it is, instead of ``messages``.
        format: ``"json"``, or a JSON schema that the answer has to satisfy.
        options: How to sample.
        keep_alive_s: How long the model stays loaded afterwards without being used, infinity for
            ever; None leaves it as it is. It is ORAC that sees to it, no backend.
    """

    model: str
    messages: tuple[Message, ...] = ()
    prompt: str | None = None
    format: Literal["json"] | Mapping[str, Any] | None = None
    options: GenerateOptions = GenerateOptions()
    keep_alive_s: float | None = None


@frozen
class Usage:
    """Tokens as the engine counted them; None where it did not say."""

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    cached_tokens: int | None = None


@frozen
class Rates:
    """Speed of one answer by the engine's own clock, in tokens a second.

    ``prefill_tokens_per_second`` counts only prompt tokens that were not cached.
    """

    prefill_tokens_per_second: float | None = None
    decode_tokens_per_second: float | None = None


@frozen
class Chunk:
    """A piece of an answer. The last one, and only it, is done and says why."""

    text: str = ""
    done: bool = False
    finish_reason: FinishReason | None = None
    usage: Usage = Usage()
    rates: Rates = Rates()
    truncated_prompt: bool = False


@frozen
class Answer:
    """A whole answer, and how it came about.

    Attributes:
        text: All pieces together.
        model: Id of the model that answered.
        instance: Name of the backend that served it.
        role: The role that was asked for, when the request named one.
        finish_reason: ``stop`` (it ended by itself), ``length`` (cut at the limit of tokens) or
            ``deadline`` (cut when the time was over).
        truncated_prompt: True when the engine dropped a part of the prompt.
        format_valid: Whether the text satisfies the format asked for; None when none was.
        usage: Tokens as the engine counted them.
        rates: Speed by the engine's own clock.
        elapsed_s: From the request to the end.
        queue_s: Time spent waiting for a turn.
        load_s: Time spent waiting for the model to be loaded.
        ttft_s: Time to first token, from the request on; None when there was none.
    """

    text: str
    model: str
    instance: str
    finish_reason: FinishReason
    elapsed_s: float
    queue_s: float
    load_s: float
    ttft_s: float | None
    usage: Usage = Usage()
    rates: Rates = Rates()
    role: str | None = None
    truncated_prompt: bool = False
    format_valid: bool | None = None


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
    """

    model: str
    context_length: int | None = None
    gpu_layers: int | None = None
    parallel: int | None = None
    keep_alive_s: float | None = None
    force: bool = False


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
    """

    context_length: int | None = None
    gpu_layers: int | None = None
    parallel: int | None = None
    memory_bytes: int | None = None
    on_gpu_ratio: float | None = None
    mapped_bytes: int | None = None


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
        remote: Whether it is loaded into the memory of another machine.
        digest: What tells it from every other model: the sha256 of its file, or what its engine has
            for one; None where that is not known.
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
    digest: str | None = None


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
    """

    info: ModelInfo
    instance: str
    kind: str
    roles: tuple[str, ...] = ()
    last_used_at: float | None = None
    required: bool = False
    pinned: bool = False
    needs_bytes: int | None = None


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
class EmbedRequest:
    """Which texts to turn into vectors.

    Attributes:
        model: Id of the model, as the backend itself calls it.
        texts: The texts; each must fit into the model's context.
        dimensions: Length that the vectors are cut to; None for the model's own.
    """

    model: str
    texts: tuple[str, ...]
    dimensions: int | None = None


@frozen
class Embeddings:
    """One vector for each text, in their order, and the tokens that were read for them."""

    vectors: tuple[tuple[float, ...], ...]
    usage: Usage = Usage()


@frozen
class PullRequest:
    """Which model to fetch from where the engine gets its models."""

    model: str


@frozen
class PullProgress:
    """How far a download is. ``completed`` and ``total`` are bytes when ``total`` is not None."""

    message: str
    completed: int = 0
    total: int | None = None


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
