"""What the cluster tells of a model, as ORAC shows it. Pure."""

from attrs import evolve

from orac_core import LoadedInfo, ModelInfo, ModelState

from .._ray.told import App
from .settings import RayModel

_LONGEST = 400
_STATES = {
    "NOT_STARTED": ModelState.STARTING,
    "DEPLOYING": ModelState.STARTING,
    "DEPLOY_FAILED": ModelState.FAILED,
    "UNHEALTHY": ModelState.FAILED,
    "DELETING": ModelState.STOPPING,
}


def listed(name: str, model: RayModel, app: App | None, inside: ModelInfo | None) -> ModelInfo:
    """Return a model.

    Args:
        name: What it is called.
        model: What the manifest says of it.
        app: Its application; None where there is none.
        inside: What a replica tells of it; None where none was asked.
    """
    state, reason = _state(app)
    known = inside or ModelInfo(name, capabilities=model.capabilities)
    loaded = None
    if app is not None and state is ModelState.READY:
        loaded = _together(known.loaded or LoadedInfo(), app.running, model.parallel)
    return evolve(
        known,
        id=name,
        state=state,
        state_reason=reason,
        loaded=loaded,
        warning=few(name, model, app) if state is ModelState.READY else None,
        remote=True,
        expires_at=None,
        file=None,
        names=(),
        shape=None,
        adapters=(),
    )


def few(name: str, model: RayModel, app: App | None) -> str | None:
    """Return that a model has fewer replicas than it should; None where it has them all."""
    if app is None or not app.running or app.running >= model.replicas:
        return None
    why = f": {_short(app.message)}" if app.message else ""
    return f"{app.running} of {model.replicas} replicas of {name} run{why}"


def progress(app: App, wanted: int) -> str:
    """Return how far a load is."""
    others = ", ".join(
        f"{count} {state.lower()}"
        for state, count in sorted(app.replicas.items())
        if state != "RUNNING" and count
    )
    return f"{app.running} of {wanted} replicas run" + (f" ({others})" if others else "")


def _state(app: App | None) -> tuple[ModelState, str | None]:
    if app is None:
        return ModelState.STOPPED, None
    if app.running and not app.going:
        return ModelState.READY, None
    state = _STATES.get(app.status, ModelState.STARTING)
    if state is not ModelState.FAILED:
        return state, None
    return state, _short(app.message) or "no replica runs; Ray starts new ones"


def _together(one: LoadedInfo, replicas: int, parallel: int) -> LoadedInfo:
    """Return what so many replicas take and do together."""
    memory = None if one.memory_bytes is None else one.memory_bytes * replicas
    return evolve(one, memory_bytes=memory, mapped_bytes=None, parallel=parallel * replicas)


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _LONGEST else f"{line[:_LONGEST]}…"
