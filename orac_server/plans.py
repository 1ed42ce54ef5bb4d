"""Plans over the wire: the body of ``POST /v1/plan``, and a plan as a JSON-able dict."""

import math

from attrs import frozen

from orac_core import LoadRequest
from orac_core.memory import Capacity, Demand, Plan, Resident, explained

from .requests import Name, Setup
from .wire import Json


@frozen(kw_only=True)
class PlanBody(Setup):
    """The body of ``POST /v1/plan``.

    Attributes:
        model: Name of the model: an id, ``instance/id``, an alias or a role.
    """

    model: Name

    @property
    def request(self) -> LoadRequest:
        """The load to plan, for the library."""
        return LoadRequest(self.model, self.context_length, self.gpu_layers, self.parallel)


def told(plan: Plan) -> Json:
    """Return the answer of ``POST /v1/plan``."""
    instance, _, model = plan.model.partition("/")
    return {
        "model": model,
        "instance": instance,
        "fits": _fits(plan),
        "loaded": plan.loaded,
        "message": explained(plan),
        "needed": _needed(plan.demand),
        "available": _available(plan.capacity),
        "would_evict": [_leaving(each) for each in plan.evict],
        "kept": [_staying(each) for each in plan.residents if each.kept],
        "context_length": plan.demand.setup.context_length if plan.demand else None,
        "proposed_context_length": plan.context_length,
    }


def _fits(plan: Plan) -> bool | None:
    """Return whether it fits; None when that is not known."""
    unknown = plan.demand is None or plan.capacity is None
    return None if unknown and not plan.loaded else plan.fits


def _needed(demand: Demand | None) -> Json | None:
    if demand is None:
        return None
    return {
        "total_bytes": demand.total_bytes,
        "weights_bytes": demand.need.weights_bytes,
        "kv_cache_bytes": demand.need.kv_cache_bytes,
        "compute_bytes": demand.need.compute_bytes,
        "margin_bytes": demand.need.margin_bytes,
        "correction_bytes": demand.correction_bytes,
        "gpu_bytes": demand.largest.gpu_bytes,
        "basis": demand.basis,
    }


def _available(capacity: Capacity | None) -> Json | None:
    if capacity is None:
        return None
    return {
        "host_bytes": capacity.space.host_bytes,
        "gpu_bytes": None if capacity.unified else capacity.space.gpu_bytes,
        "page_cache_bytes": capacity.page_cache_bytes,
        "unified": capacity.unified,
    }


def _leaving(resident: Resident) -> Json:
    idle_s = round(resident.idle_s, 3) if math.isfinite(resident.idle_s) else None
    memory_bytes = resident.space.total_bytes
    return {
        "model": resident.name,
        "memory_bytes": memory_bytes,
        "idle_s": idle_s,
        "busy": resident.busy,
    }


def _staying(resident: Resident) -> Json:
    return {
        "model": resident.name,
        "memory_bytes": resident.space.total_bytes,
        "reason": resident.kept,
    }
