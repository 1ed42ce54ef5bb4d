"""The tables of the manifest that say how to serve, and what is wanted of models."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from attrs import Attribute, field, frozen
from attrs.validators import ge, le, optional

from ..conversation import GenerateOptions
from ..durations import keep_alive, limit_s


def _a_span_of_time(_: object, __: "Attribute[Any]", value: str | float | None) -> None:
    if value is not None:
        keep_alive(value)


def _a_limit(_: object, __: "Attribute[Any]", value: str | float) -> None:
    limit_s(value)


def _above_zero(_: object, attribute: "Attribute[Any]", value: float | None) -> None:
    if value is not None and not 0 < value < math.inf:
        raise ValueError(f"{attribute.name!r} must be above 0: {value}")


def _finite(_: object, attribute: "Attribute[Any]", value: float) -> None:
    if not math.isfinite(value):
        raise ValueError(f"{attribute.name!r} must be a number: {value}")


@frozen
class ServerSettings:
    """The table ``[server]``.

    Attributes:
        host: Address to listen on.
        port: Port to listen on; 0 takes any that is free.
        max_concurrency: Answers at once for each model. Without it 8, or as many as a model that is
            loaded says that it does at once, where that is more.
        max_queue: Requests that may wait for a model beyond those; more get 429.
        strict_start: Whether ``orac serve`` exits with 1 where it would be unhealthy.
        auth: Whether a token is needed on any address but those of loopback. ``false``: whoever can
            reach this machine may use and change it; so does ``--no-auth``.
        allowed_hosts: Names that clients may call this machine by, beside those of loopback and
            the address that is listened on.
        allowed_origins: Where the pages of browsers may come from that use ORAC, beside its own:
            ``https://robots.example``.
        max_body_bytes: Longest body of a request, once it is decompressed; more get 413.
        max_prompt_chars: Characters that all messages of a request may have together.
        max_streams: Streams that one client may have open; more get 429.
        deadline: Longest time for an answer that names no deadline of its own.
        drain: Time that running answers get to end when ORAC stops.
        breaker_failures: Failures of a backend, within ``breaker_window``, after which it is
            spared.
        breaker_window: Time within which those failures count.
        breaker_pause: Time after which one call finds out whether the backend is well again.
    """

    host: str = "127.0.0.1"
    port: int = field(default=8000, validator=[ge(0), le(65535)])
    max_concurrency: int | None = field(default=None, validator=optional([ge(1), le(1024)]))
    max_queue: int = field(default=64, validator=[ge(0), le(100_000)])
    strict_start: bool = False
    auth: bool = True
    allowed_hosts: tuple[str, ...] = ()
    allowed_origins: tuple[str, ...] = ()
    max_body_bytes: int = field(default=1 << 20, validator=[ge(1024), le(1 << 30)])
    max_prompt_chars: int = field(default=1 << 20, validator=[ge(1), le(1 << 30)])
    max_streams: int = field(default=64, validator=[ge(1), le(100_000)])
    deadline: str | float = field(default="30m", validator=_a_limit)
    drain: str | float = field(default="30s", validator=_a_limit)
    breaker_failures: int = field(default=5, validator=[ge(1), le(1000)])
    breaker_window: str | float = field(default="30s", validator=_a_limit)
    breaker_pause: str | float = field(default="5s", validator=_a_limit)


@frozen
class AdapterSettings:
    """A LoRA adapter that is put on a model: ``{ path = "robot-lora.gguf", scale = 1.0 }``.

    Attributes:
        path: Its file, or a name that is looked for in ``models.adapters``, beside the model and
            where models are.
        scale: How strong it is.
        checksum: ``sha256:…`` that the file must have.
    """

    path: str
    scale: float = field(default=1.0, validator=_finite)
    checksum: str | None = None


@frozen
class FileSettings:
    """A table ``[models.files."NAME"]``: what is known of one model, and wanted.

    NAME is any name of a model, also of one that is no file; of ``checksum`` that of a file.

    Attributes:
        checksum: ``sha256:…`` that the file must have.
        context_length: Context to load it with when the caller names none; without it the choice is
            that of the backend.
        required: Whether ORAC is unhealthy as long as the model is not usable.
        load_at_start: Whether to load it as soon as ORAC has started.
        keep_alive: How long it stays loaded without being used: seconds, or a text such as
            ``30m``; below 0 for ever. Without it that of ``[models]`` holds.
        pinned: Whether it stays loaded for ever, also when others need the memory.
        source: Where to fetch the file from when it is missing: ``https://…``,
            ``hf://owner/repo/file`` or a path.
        adapters: LoRA adapters to load it with.
    """

    checksum: str | None = None
    context_length: int | None = None
    required: bool = False
    load_at_start: bool = False
    keep_alive: str | float | None = field(default=None, validator=_a_span_of_time)
    pinned: bool = False
    source: str | None = None
    adapters: tuple[AdapterSettings, ...] = ()


@frozen
class ModelsSettings:
    """The table ``[models]``: folders to search, facts on models, and other names for them.

    Attributes:
        paths: Folders to search, before the usual ones.
        files: What is known of single models, and wanted.
        aliases: Other names for models.
        keep_alive: How long a model stays loaded without being used, unless its own table or a
            request says otherwise: seconds, or a text such as ``30m``; below 0 until somebody needs
            the memory.
        max_workers: Models that are checked and handed over at once, before each is loaded.
        retries: How often a model that is to be loaded at the start is tried again.
        canaries: Whether to ask a model for a few short answers after a load, while nothing else
            goes on, to learn how fast it is when all is well.
        scrub: Read every file again once a day, when there is nothing else to do.
        scrub_mib_per_s: How fast, in MiB a second.
        parameters: How to choose the next token where neither the role nor the request says so.
        downloads: Folder for files that are fetched; without it the first of those searched that
            can be written to.
        adapters: Folder with LoRA adapters, each with or without a small manifest of its own.
    """

    paths: tuple[Path, ...] = ()
    files: Mapping[str, FileSettings] = field(factory=dict)
    aliases: Mapping[str, str] = field(factory=dict)
    keep_alive: str | float = field(default=-1, validator=_a_span_of_time)
    max_workers: int = field(default=4, validator=[ge(1), le(64)])
    retries: int = field(default=3, validator=[ge(0), le(100)])
    canaries: bool = True
    scrub: bool = False
    scrub_mib_per_s: int = field(default=20, validator=[ge(1), le(10_000)])
    parameters: GenerateOptions = field(factory=GenerateOptions)
    downloads: Path | None = None
    adapters: Path | None = None


@frozen
class BenchmarkSettings:
    """The table ``[benchmark]``: what a benchmark does that is not told otherwise.

    Attributes:
        rounds: How often each workload is measured.
        max_tokens: Longest answer to a prompt.
        missions: How often a soak asks everything.
        goal_ttft_s: Longest time to the first token of a good answer, for the goodput; no goal and
            no limit holds that is not written here.
        goal_tpot_s: Longest time for each token after it.
        goal_latency_s: Longest time for a whole good answer.
        answer_over_s: A soak ends when an answer takes longer.
        memory_over_mib: A soak ends when a model takes more memory.
        rate_under_tokens_per_second: A soak ends when a model writes slower.
        tasks: Folder with tasks to ask for quality, instead of those that come with ORAC.
    """

    rounds: int = field(default=5, validator=[ge(1), le(1000)])
    max_tokens: int = field(default=128, validator=[ge(1), le(1 << 20)])
    missions: int = field(default=20, validator=[ge(1), le(100_000)])
    goal_ttft_s: float | None = field(default=None, validator=_above_zero)
    goal_tpot_s: float | None = field(default=None, validator=_above_zero)
    goal_latency_s: float | None = field(default=None, validator=_above_zero)
    answer_over_s: float | None = field(default=None, validator=_above_zero)
    memory_over_mib: float | None = field(default=None, validator=_above_zero)
    rate_under_tokens_per_second: float | None = field(default=None, validator=_above_zero)
    tasks: Path | None = None


@frozen
class BackendEntry:
    """A table ``[backends.NAME]``.

    Attributes:
        kind: Its kind.
        settings: What that kind understands.
        required: Whether ORAC is unhealthy as long as it is not usable.
    """

    kind: str
    settings: Mapping[str, Any]
    required: bool = False


@frozen
class Common:
    """The keys that a backend has whatever its kind.

    Attributes:
        kind: Its kind, which a plugin offers.
        required: Whether ORAC is unhealthy as long as it is not usable.
    """

    kind: str
    required: bool = False
