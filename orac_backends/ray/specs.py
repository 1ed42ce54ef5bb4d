"""From the settings and a load to what is deployed. Pure."""

import re
from hashlib import sha256

from orac_core import LoadRequest

from .._ray.spec import Inside, Seats, Spec
from .settings import RayModel, RaySettings

_MIB = 1 << 20
_PLAIN = re.compile(r"[A-Za-z0-9._-]{1,80}")


def app_name(prefix: str, model: str) -> str:
    """Return the name of a model's application, without what means something to Ray."""
    if _PLAIN.fullmatch(model):
        return f"{prefix}-{model}"
    plain = re.sub(r"[^A-Za-z0-9._-]", "_", model)[:60]
    return f"{prefix}-{plain}-{sha256(model.encode()).hexdigest()[:8]}"


def specified(
    name: str, model: RayModel, request: LoadRequest, checksum: str | None, settings: RaySettings
) -> Spec:
    """Return what to deploy for a load of a model whose file must have that *checksum*."""
    wanted = LoadRequest(
        model.model or name,
        request.context_length,
        request.gpu_layers,
        request.parallel,
        adapters=request.adapters,
    )
    inside = Inside(
        model.kind, wanted, model.settings, model.paths, checksum, settings.batch_ms / 1000
    )
    return Spec(
        app_name(settings.prefix, name),
        inside,
        seats(model),
        settings.start_timeout_s,
        settings.drain_s,
    )


def seats(model: RayModel) -> Seats:
    """Return how many replicas there are to be, and what each takes."""
    own = {"CPU": model.num_cpus, "GPU": model.num_gpus, "memory": model.memory_mib * _MIB}
    return Seats(
        model.replicas,
        model.max_replicas or model.replicas,
        model.busy,
        model.scale_up_after_s,
        model.scale_down_after_s,
        model.parallel,
        {name: amount for name, amount in own.items() if amount} | dict(model.resources),
        model.labels,
        model.replicas_per_node,
    )
