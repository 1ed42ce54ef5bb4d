"""Fold what instances and models say of themselves into one verdict (pure)."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from enum import StrEnum
from typing import Literal

from attrs import evolve, field, frozen

from .types import InstanceHealth, ModelInfo, ModelState, ServedModel

Status = Literal["healthy", "degraded", "unhealthy"]


class Flaw(StrEnum):
    """What can be wrong, in the order in which it is told; its name begins with what has it."""

    MODEL_NEEDED = "required models not usable"
    INSTANCE_NEEDED = "required backends not usable"
    INSTANCE_DOWN = "backends not usable"
    MODEL_FAILED = "models failed"
    PLUGIN_BROKEN = "plugins broken"
    ROLE_SKIPPED = "roles skipped"
    MODEL_NOT_LOADED = "required models not loaded"
    MODEL_NOT_STARTED = "models not loaded at the start"
    MODEL_IMPAIRED = "models served worse than they could be"
    INSTANCE_WARNS = "backends with warnings"
    SERVICE_IMPAIRED = "parts of the service impaired"

    @property
    def about(self) -> str:
        """What it is about: ``model``, ``instance``, ``plugin``, ``role`` or ``service``."""
        return self.name.partition("_")[0].lower()


FATAL = frozenset({Flaw.MODEL_NEEDED, Flaw.INSTANCE_NEEDED})
"""What makes the whole unhealthy."""

ERRORS = FATAL | {Flaw.INSTANCE_DOWN, Flaw.MODEL_FAILED}
"""What can not be used."""

UNREADY = FATAL | {Flaw.MODEL_NOT_LOADED}
"""What keeps the whole from being ready."""


@frozen
class Required:
    """What has to be usable: names of models, as a caller may write them, and of instances."""

    models: tuple[str, ...] = ()
    instances: frozenset[str] = frozenset()

    def __bool__(self) -> bool:
        return bool(self.models or self.instances)


@frozen
class Finding:
    """One thing that is not well.

    Attributes:
        flaw: What is wrong.
        subject: With what: ``instance/model``, or the name of an instance, a plugin, a role or a
            required model that nothing has.
        text: Why, and where that is known what to do.
    """

    flaw: Flaw
    subject: str
    text: str

    def __str__(self) -> str:
        return f"{self.subject}: {self.text}"


@frozen
class Health:
    """The state of everything.

    Attributes:
        status: ``healthy``; ``degraded`` when something is missing, or worse than it could be, but
            all that is required is usable; ``unhealthy`` when it is not, or nothing can serve.
        message: The verdict in one sentence.
        instances: What each backend says of itself.
        models_loaded: For each model, by ``instance/id``, whether it is in memory.
        errors: Why each model or instance that can not be used can not.
        degradation: Everything that is not well.
    """

    status: Status
    message: str
    instances: Mapping[str, InstanceHealth] = field(factory=dict)
    models_loaded: Mapping[str, bool] = field(factory=dict)
    errors: Mapping[str, str] = field(factory=dict)
    degradation: tuple[Finding, ...] = ()

    @property
    def loaded_count(self) -> int:
        """Number of models in memory."""
        return sum(self.models_loaded.values())

    @property
    def unready(self) -> tuple[Finding, ...]:
        """What is required and not usable, or not loaded yet."""
        return tuple(each for each in self.degradation if each.flaw in UNREADY)

    def with_flaw(self, finding: Finding) -> "Health":
        """Return the same with one more thing that is not well, though nothing stops for it."""
        findings = (*self.degradation, finding)
        if self.status == "unhealthy":
            return evolve(self, degradation=findings)
        return evolve(self, status="degraded", message=summary(findings), degradation=findings)


def fold(  # noqa: PLR0913 - named in every call but the first three
    instances: Mapping[str, InstanceHealth],
    models: Sequence[ServedModel],
    broken_plugins: Mapping[str, str],
    *,
    required: Collection[str] = (),
    unknown: Collection[str] = (),
    unstarted: Mapping[str, str] | None = None,
    skipped: Mapping[str, str] | None = None,
) -> Health:
    """Return the verdict over *instances*, their *models* and the plugins put aside.

    Args:
        instances: What each backend says of itself.
        models: What they serve; a model that is required says so itself.
        broken_plugins: Why each plugin that can not be used was put aside.
        required: Names of the instances that are required.
        unknown: Names of required models that mean none of *models*.
        unstarted: Why each of the models that were to be loaded at the start was not.
        skipped: Why each role that is left out is.
    """
    found = [
        *(Finding(Flaw.MODEL_NEEDED, name, _unknown(name, instances)) for name in unknown),
        *(each for model in models for each in _of_model(model, instances)),
        *(each for name in instances for each in _of_instance(name, instances[name], required)),
        *(Finding(Flaw.PLUGIN_BROKEN, name, why) for name, why in broken_plugins.items()),
        *(Finding(Flaw.ROLE_SKIPPED, name, why) for name, why in (skipped or {}).items()),
        *(Finding(Flaw.MODEL_NOT_STARTED, name, why) for name, why in (unstarted or {}).items()),
    ]
    order = tuple(Flaw)
    findings = tuple(sorted(found, key=lambda each: (order.index(each.flaw), each.subject)))
    return Health(
        _status(instances, findings),
        _message(instances, findings),
        instances,
        {_name(model): model.info.state is ModelState.READY for model in models},
        {each.subject: each.text for each in findings if each.flaw in ERRORS},
        findings,
    )


def summary(findings: Sequence[Finding]) -> str:
    """Return what is wrong with what, without the reasons: ``models failed: a, b; …``."""
    groups: dict[Flaw, dict[str, None]] = {}
    for each in findings:
        groups.setdefault(each.flaw, {})[each.subject] = None
    return "; ".join(f"{flaw}: {', '.join(subjects)}" for flaw, subjects in groups.items())


def _status(instances: Mapping[str, InstanceHealth], findings: Sequence[Finding]) -> Status:
    some_can_serve = any(each.usable for each in instances.values())
    if not some_can_serve or any(each.flaw in FATAL for each in findings):
        return "unhealthy"
    return "degraded" if findings else "healthy"


def _message(instances: Mapping[str, InstanceHealth], findings: Sequence[Finding]) -> str:
    if any(each.usable for each in instances.values()):
        return summary(findings) or "all is well"
    nothing = "no backend is configured; `orac plugins` shows the kinds there are"
    if instances:
        nothing = f"no backend is usable: {', '.join(sorted(instances))}"
    others = [each for each in findings if each.flaw.about != "instance"]
    return "; ".join(filter(None, (nothing, summary(others))))


def _of_model(model: ServedModel, instances: Mapping[str, InstanceHealth]) -> Iterator[Finding]:
    info, name = model.info, _name(model)
    health = instances.get(model.instance)
    if info.state is ModelState.FAILED:
        flaw = Flaw.MODEL_NEEDED if model.required else Flaw.MODEL_FAILED
        yield Finding(flaw, name, info.state_reason or "failed")
    elif model.required and health and not health.usable:
        yield Finding(Flaw.MODEL_NEEDED, name, _stuck(model.instance, health))
    elif model.required and info.state is not ModelState.READY:
        text = _not_ready(info, name)
        yield Finding(Flaw.MODEL_NOT_LOADED, name, text)
    if info.state is ModelState.READY and info.warning:
        yield Finding(Flaw.MODEL_IMPAIRED, name, info.warning)
    if info.state is ModelState.READY and info.file and info.file.problem:
        text = f"it stays loaded, but can not be loaded again: {info.file.problem}"
        yield Finding(Flaw.MODEL_IMPAIRED, name, text)


def _not_ready(info: ModelInfo, name: str) -> str:
    if info.state is ModelState.STARTING:
        return f"it is being loaded ({info.state_reason or 'it has just begun'})"
    return f"it is {info.state}; `orac load {name}` loads it"


def _of_instance(name: str, health: InstanceHealth, required: Collection[str]) -> Iterator[Finding]:
    if not health.usable:
        flaw = Flaw.INSTANCE_NEEDED if name in required else Flaw.INSTANCE_DOWN
        yield Finding(flaw, name, health.message or "not usable")
    for warning in filter(None, health.warnings):
        yield Finding(Flaw.INSTANCE_WARNS, name, warning)


def _unknown(name: str, instances: Mapping[str, InstanceHealth]) -> str:
    named = name.partition("/")[0]
    if named in instances and not instances[named].usable:
        return _stuck(named, instances[named])
    down = sorted(each for each, health in instances.items() if not health.usable)
    reason = "no file and no engine has it"
    return f"{reason}; {', '.join(down)} might, and can not be used" if down else reason


def _stuck(instance: str, health: InstanceHealth) -> str:
    return f"its backend {instance} is not usable: {health.message or 'it does not say why'}"


def _name(model: ServedModel) -> str:
    return f"{model.instance}/{model.info.id}"
