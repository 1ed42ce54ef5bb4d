"""Fold what instances and models say of themselves into one verdict (pure)."""

from collections.abc import Mapping, Sequence
from typing import Literal

from attrs import field, frozen

from .types import InstanceHealth, ModelState, ServedModel

Status = Literal["healthy", "degraded", "unhealthy"]


@frozen
class Health:
    """The state of everything.

    Attributes:
        status: ``healthy``; ``degraded`` when something is missing but others can serve;
            ``unhealthy`` when nothing can.
        message: The verdict in one sentence.
        instances: What each backend says of itself.
        models_loaded: For each model, by ``instance/id``, whether it is in memory.
        errors: Why each model or instance that can not be used can not.
    """

    status: Status
    message: str
    instances: Mapping[str, InstanceHealth] = field(factory=dict)
    models_loaded: Mapping[str, bool] = field(factory=dict)
    errors: Mapping[str, str] = field(factory=dict)

    @property
    def loaded_count(self) -> int:
        """Number of models in memory."""
        return sum(self.models_loaded.values())


def fold(
    instances: Mapping[str, InstanceHealth],
    models: Sequence[ServedModel],
    broken_plugins: Mapping[str, str],
) -> Health:
    """Return the verdict over *instances*, their *models* and the plugins put aside."""
    names = {id(model): f"{model.instance}/{model.info.id}" for model in models}
    errors = {name: health.message for name, health in instances.items() if not health.usable}
    errors |= {
        names[id(model)]: model.info.state_reason or "failed"
        for model in models
        if model.info.state is ModelState.FAILED
    }
    status, message = _verdict(instances, errors, broken_plugins)
    loaded = {names[id(model)]: model.info.state is ModelState.READY for model in models}
    return Health(status, message, instances, loaded, errors)


def _verdict(
    instances: Mapping[str, InstanceHealth],
    errors: Mapping[str, str],
    broken_plugins: Mapping[str, str],
) -> tuple[Status, str]:
    down = sorted(name for name, health in instances.items() if not health.usable)
    if not instances:
        return "unhealthy", "no backend is configured; `orac plugins` shows the kinds there are"
    if len(down) == len(instances):
        return "unhealthy", f"no backend is usable: {', '.join(down)}"
    failed = sorted(name for name in errors if name not in instances)
    causes = [
        f"{what}: {', '.join(names)}"
        for what, names in (
            ("backends not usable", down),
            ("models failed", failed),
            ("plugins broken", sorted(broken_plugins)),
        )
        if names
    ]
    return ("degraded", "; ".join(causes)) if causes else ("healthy", "all is well")
