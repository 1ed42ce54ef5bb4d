"""What ``orac doctor --gpu`` makes of what it saw: devices, risk, remedies (pure)."""

import math
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from importlib.metadata import version

from attrs import asdict, frozen

from orac_core.devices import Card, Device, Gpu, Machine, Memory, Shared
from orac_core.doctor import (
    CARD,
    Risk,
    Room,
    Situation,
    Tenant,
    Wanted,
    relieving,
    risk,
)
from orac_core.memory import Savings

from .client import Json
from .gpu_look import VISIBLE, Seen
from .output import size

FACTS: Mapping[str, None] = dict.fromkeys(
    (
        *("index", "uuid", "driver", "cuda", "load_ratio", "memory_load_ratio"),
        *("total_bytes", "free_bytes", "used_bytes", "reserved_bytes", "owed_bytes"),
        *("unused_bytes", "page_cache_bytes", "gpu_bytes", "mapped_bytes"),
        *("contiguous_free_bytes", "nvmap_free_bytes", "swap_total_bytes", "swap_free_bytes"),
        *("waiting_ratio", "stalled_ratio"),
    )
)
"""What may be known of a device; null where it is not, or there is no such thing."""


@frozen
class Place:
    """A device, and how risky it is to go on with what it has left.

    Attributes:
        name: What it is called.
        kind: ``card``, ``shared`` (by CPU and GPU) or ``memory`` (of the CPU).
        counts: Whether the exit code depends on it.
        facts: What is known of it.
        risk: How risky it is.
    """

    name: str
    kind: str
    counts: bool
    facts: Json
    risk: Risk


def told(seen: Seen, wanted: Wanted, now: float) -> Json:
    """Return the whole as one JSON object.

    Args:
        seen: What was found.
        wanted: What who asks wants to be free.
        now: Seconds since 1970.
    """
    places = tuple(_places(seen, wanted))
    here = [each for each in seen.served.models or () if not each.get("remote")]
    tenants = tuple(_tenant(each, now) for each in here)
    level = _worst(places)
    short = any(each.risk.level in {"tight", "critical"} for each in places)
    remedies = relieving(_situation(seen, tenants)) if short else ()
    return {
        "ok": not any(_fails(each, wanted) for each in places),
        "level": level,
        "verdict": _verdict(seen, places),
        "wanted": {"free_bytes": wanted.free_bytes, "free_ratio": wanted.free_ratio},
        "devices": [_device(each) for each in places],
        "hidden": seen.hidden,
        "versions": _versions(seen),
        "source": seen.served.source,
        "models": None if seen.served.models is None else [_model(each) for each in tenants],
        "remedies": [{**asdict(each), "relief": each.relief.value} for each in remedies],
        "silent": {**seen.machine.silent, **({"nvml": seen.silence} if seen.silence else {})},
    }


def _places(seen: Seen, wanted: Wanted) -> Iterator[Place]:
    one = len(seen.cards) == 1
    for card in seen.cards:
        owed = sum(map(_owed_on_gpu, seen.served.models or ())) if one else 0
        yield _of_card(card, owed, wanted)
    memory = seen.machine.memory
    counts = bool(memory.unified) or (not seen.cards and wanted.anything)
    owed = sum(
        _owed(each) - (0 if memory.unified else _owed_on_gpu(each))
        for each in seen.served.models or ()
    )
    yield _of_memory(seen.machine, seen.beside, owed, wanted if counts else Wanted(), counts=counts)


def _of_card(card: Card, owed: int, wanted: Wanted) -> Place:
    gpu = card.gpu
    room = Room(gpu.memory_total_bytes, card.free_bytes, owed, limits=CARD)
    facts = {
        "index": card.index,
        "uuid": card.uuid,
        "driver": gpu.driver,
        "cuda": gpu.cuda,
        "load_ratio": gpu.load_ratio,
        "memory_load_ratio": card.memory_load_ratio,
        "total_bytes": gpu.memory_total_bytes,
        "free_bytes": card.free_bytes,
        "used_bytes": gpu.memory_used_bytes,
        "reserved_bytes": card.reserved_bytes,
        "owed_bytes": owed,
    }
    name = f"{gpu.name or 'GPU'} {card.index}"
    return Place(name, "card", counts=True, facts={**FACTS, **facts}, risk=risk(room, wanted))


def _of_memory(
    machine: Machine, beside: Shared, owed: int, wanted: Wanted, *, counts: bool
) -> Place:
    memory = machine.memory
    gpu = (machine.gpu or Gpu()) if memory.unified else Gpu()
    total, free = _least(memory.total_bytes, memory.limit_bytes), _available(memory)
    swap = memory.swap_total_bytes, memory.swap_free_bytes
    stalls = beside.waiting_ratio, beside.stalled_ratio
    facts = {
        **_of_chip(gpu, beside),
        "total_bytes": total,
        "free_bytes": free,
        "used_bytes": None if total is None or free is None else total - free,
        "reserved_bytes": beside.contiguous_bytes,
        "owed_bytes": owed,
        "unused_bytes": memory.free_bytes,
        "page_cache_bytes": memory.page_cache_bytes,
        "swap_total_bytes": memory.swap_total_bytes,
        "swap_free_bytes": memory.swap_free_bytes,
        "waiting_ratio": beside.waiting_ratio,
        "stalled_ratio": beside.stalled_ratio,
    }
    found = risk(Room(total, free, owed, *stalls, *swap), wanted)
    kind = "shared" if memory.unified else "memory"
    return Place(_name(machine), kind, counts=counts, facts={**FACTS, **facts}, risk=found)


def _of_chip(gpu: Gpu, beside: Shared) -> Json:
    """Return what is known of a GPU that shares the memory."""
    return {
        "driver": gpu.driver,
        "cuda": gpu.cuda,
        "load_ratio": gpu.load_ratio,
        "gpu_bytes": beside.nvmap_bytes or gpu.memory_used_bytes,
        "mapped_bytes": beside.mapped_bytes,
        "contiguous_free_bytes": beside.contiguous_free_bytes,
        "nvmap_free_bytes": beside.nvmap_free_bytes,
    }


def _name(machine: Machine) -> str:
    if not machine.memory.unified:
        return "memory of the machine"
    chip = (machine.gpu or Gpu()).name or (machine.device or Device()).board
    return f"memory shared with {chip or 'the GPU'}"


def _available(memory: Memory) -> int | None:
    return _least(memory.available_bytes, memory.limit_available_bytes)


def _least(*known: int | None) -> int | None:
    return min((each for each in known if each is not None), default=None)


def _owed(model: Json) -> int:
    """Return what a model may still take: what was expected, beyond what it takes now."""
    expected, taken = model["memory"]["estimated_bytes"], model["memory"]["measured_bytes"]
    return max(0, expected - taken) if expected and taken else 0


def _owed_on_gpu(model: Json) -> int:
    return int(_owed(model) * (model["memory"]["on_gpu_ratio"] or 0.0))


def _tenant(model: Json, now: float) -> Tenant:
    savings, used = model.get("savings"), model["last_used_at"]
    return Tenant(
        f"{model['instance']}/{model['id']}",
        model["kind"],
        model["memory"]["measured_bytes"],
        Savings(**savings) if savings else Savings(),
        math.inf if used is None else max(0.0, now - datetime.fromisoformat(used).timestamp()),
        bool(model.get("pinned") or model["required"]),
    )


def _situation(seen: Seen, tenants: tuple[Tenant, ...]) -> Situation:
    memory, device = seen.machine.memory, seen.machine.device or Device()
    return Situation(
        tenants,
        seen.served.source == "server",
        bool(memory.unified),
        bool(seen.cards),
        memory.free_bytes,
        memory.page_cache_bytes,
        device.power_mode,
        device.jetson_clocks,
    )


def _worst(places: Sequence[Place]) -> str | None:
    levels = [each.risk.level for each in places if each.counts]
    return next((each for each in ("critical", "tight", "ok") if each in levels), None)


def _fails(place: Place, wanted: Wanted) -> bool:
    bad = place.risk.short if wanted.anything else place.risk.level == "critical"
    return place.counts and bad


def _verdict(seen: Seen, places: Sequence[Place]) -> str:
    counting = [each for each in places if each.counts]
    absent = [] if seen.cards or seen.machine.memory.unified else [_no_gpu(seen)]
    gravest = next((each for each in counting if each.risk.level == _worst(places)), None)
    if gravest is None:
        return absent[0]
    return "; ".join((*absent, f"{gravest.risk.level or 'not known'}: {_why(gravest)}"))


def _why(place: Place) -> str:
    if place.risk.reasons:
        return f"{place.name}: {place.risk.reasons[0]}"
    free, total = place.facts["free_bytes"], place.facts["total_bytes"]
    if free is None:
        return f"{place.name} does not say what is free"
    return f"{place.name} has {size(free)} of {size(total)} free"


def _no_gpu(seen: Seen) -> str:
    if seen.hidden:
        return f"{VISIBLE} hides all GPUs, {seen.hidden} of them; --all-devices shows them"
    return "no GPU of NVIDIA is found" + (f" ({seen.silence})" if seen.silence else "")


def _device(place: Place) -> Json:
    judged = {"level": place.risk.level, "reasons": list(place.risk.reasons)}
    first = {"name": place.name, "kind": place.kind, "counts": place.counts}
    return {**first, **judged, "short": place.risk.short, **place.facts}


def _versions(seen: Seen) -> Json:
    gpus = [each.gpu for each in seen.cards] or [seen.machine.gpu or Gpu()]
    jetpack = (seen.machine.device or Device()).jetpack
    drivers = {"driver": gpus[0].driver, "cuda": gpus[0].cuda, "jetpack": jetpack}
    return {"orac": version("orac"), **drivers, "engines": dict(seen.served.engines)}


def _model(tenant: Tenant) -> Json:
    return {
        "name": tenant.name,
        "kind": tenant.kind,
        "memory_bytes": tenant.memory_bytes,
        "idle_s": round(tenant.idle_s, 3) if math.isfinite(tenant.idle_s) else None,
        "stays": tenant.stays,
    }
