"""Answers about how everything is."""

from typing import Literal

from attrs import frozen

from orac_core.devices import Device, Gpu, Memory
from orac_core.health import Flaw
from orac_core.serving.breaker import State as BreakerState

from .doctor import LikelyCause
from .kinds import Moment, Plain


@frozen
class Versions:
    """What runs.

    Attributes:
        orac: Version of ORAC.
        python: Version of Python.
        backends: Version of each backend's engine by its name; null where it does not say.
    """

    orac: str
    python: str
    backends: dict[str, str | None]


@frozen
class Breaker:
    """Whether a backend that could not be reached is spared.

    Attributes:
        state: `open` while it is not asked, `half_open` while it is found out whether it is back.
        since: When it last opened or closed; null when it never did.
        failures: Failures in a row, as far as they count.
    """

    state: BreakerState
    since: Moment | None
    failures: int


@frozen
class Instance:
    """A backend.

    Attributes:
        kind: Its kind: `llamacpp`, `ollama` …
        usable: Whether it can serve.
        message: Why not, or how it is.
        version: Version of its engine.
        warnings: What does not stop it and should be looked at.
        details: What only this kind of backend knows.
        breaker: Whether it is spared.
    """

    kind: str | None
    usable: bool
    message: str
    version: str | None
    warnings: list[str]
    details: Plain
    breaker: Breaker


@frozen
class Flawed:
    """Something that is not well; one of model, instance, plugin, role and service says what.

    Attributes:
        kind: What is wrong.
        model: With which model, as `instance/model`.
        instance: With which backend.
        plugin: With which plugin.
        role: Which role is left out.
        service: With which part of the service.
        message: Why, and where that is known what to do.
        findings: Of a model that became slow, the causes.
    """

    kind: Flaw
    model: str | None
    instance: str | None
    plugin: str | None
    role: str | None
    service: str | None
    message: str
    findings: list[LikelyCause]


@frozen
class PluginsFound:
    """The plugins.

    Attributes:
        loaded: Those that work.
        broken: Why each of the others does not, by its name.
    """

    loaded: list[str]
    broken: dict[str, str]


@frozen
class State:
    """The state of everything.

    Attributes:
        status: `healthy`; `degraded` when something is missing or worse than it could be, but all
            that is required is usable; `unhealthy` when it is not, or nothing can serve.
        message: The verdict in one sentence.
        uptime_s: Seconds since the service started.
        versions: What runs.
        memory: Memory of the CPU.
        gpu: The first GPU; null when nothing is known of any.
        device: The board; null when nothing is known of it.
        instances: The backends by name.
        models_loaded: Whether each model is in memory, by `instance/model`.
        starting: Models that are to be loaded at the start and are not yet.
        loaded_count: Number of models in memory.
        total_count: Number of models.
        errors: Why each model or backend that is not usable is not.
        plugins: The plugins.
        degradation: Everything that is not well.
    """

    status: Literal["healthy", "degraded", "unhealthy"]
    message: str
    uptime_s: float
    versions: Versions
    memory: Memory
    gpu: Gpu | None
    device: Device | None
    instances: dict[str, Instance]
    models_loaded: dict[str, bool]
    starting: list[str]
    loaded_count: int
    total_count: int
    errors: dict[str, str]
    plugins: PluginsFound
    degradation: list[Flawed]


@frozen
class Live:
    """The process answers.

    Attributes:
        status: Always `live`.
        version: Of ORAC.
    """

    status: Literal["live"]
    version: str


@frozen
class Ready:
    """New work is taken, and all that is required is ready.

    Attributes:
        status: Always `ready`.
    """

    status: Literal["ready"]


@frozen
class Diagnostics:
    """What helps to understand a fault: no prompts, no answers, secrets masked.

    Attributes:
        about: When it was collected, and what is not in it.
        versions: Version of Python and of each package; null for one that is missing.
        environment: Names of the variables that mean something to ORAC or an engine.
        host: What the machine is and does.
        backends: What the manifest says of each.
        health: The state of everything.
        events: What happened in the last minutes, the newest last; each has `at` and `kind`.
    """

    about: Plain
    versions: dict[str, str | None]
    environment: list[str]
    host: Plain
    backends: Plain
    health: Plain
    events: list[Plain]
