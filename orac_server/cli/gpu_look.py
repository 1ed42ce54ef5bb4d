"""What ``orac doctor --gpu`` looks at: devices, and the models that are in their memory."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from urllib.parse import urlsplit

from attrs import field, fields_dict, frozen

import orac_core
from orac_core import OracError
from orac_core.devices import (
    Card,
    Cards,
    Device,
    Gpu,
    Machine,
    Memory,
    Sensors,
    Shared,
    cards,
    shared,
    visible,
)

from .. import wire
from ..access.hosts import is_loopback
from .client import Json, NoServer, reach
from .door import missing
from .options import shown
from .output import note

ROOT = Path("/")
"""Where the file system of this machine begins."""

PARTS = ("power", "temperature_limits")
"""What of a board is not a plain value; it says nothing of memory."""

VISIBLE = "CUDA_VISIBLE_DEVICES"


@frozen
class Served:
    """What runs models, and what it has loaded.

    Attributes:
        source: Who says it: ``server`` or ``process``; None when nobody does.
        models: The models that are loaded, as ``GET /v1/models`` lists them; None when not known.
        engines: Version of the engine of each backend; None for one that does not say.
        health: What the server says of its machine; None when that is this one.
    """

    source: str | None = None
    models: tuple[Json, ...] | None = None
    engines: Mapping[str, str | None] = field(factory=dict)
    health: Json | None = None


@frozen
class Seen:
    """All that was found.

    Attributes:
        machine: What the sensors say.
        beside: What only the kernel knows.
        cards: The GPUs that are told.
        hidden: How many more there are that ``CUDA_VISIBLE_DEVICES`` hides.
        silence: Why NVML says nothing; empty when it does, or was not asked.
        served: What runs models.
    """

    machine: Machine
    beside: Shared
    cards: tuple[Card, ...]
    hidden: int
    silence: str
    served: Served


async def look(url: str, *, everything: bool, only_kernel: bool) -> Seen:
    """Look at the machine of the server at *url*, which is this one where none answers.

    Args:
        url: The server.
        everything: Whether GPUs that ``CUDA_VISIBLE_DEVICES`` hides are told, too.
        only_kernel: Whether neither NVML nor jtop is to be asked.
    """
    served = await _served(url, only_kernel=only_kernel)
    if served.health is not None:
        return _elsewhere(served, served.health)
    async with Sensors(ROOT, only_kernel=only_kernel) as sensors:
        machine = await sensors.look()
    found = Cards() if only_kernel else await cards()
    own = [each for each in found.found if each.gpu.memory_total_bytes is not None]
    told = own if everything else visible(own, os.environ.get(VISIBLE))
    hidden = len(own) - len(told)
    return Seen(machine, shared(ROOT), tuple(told), hidden, found.silence, served)


def is_here(url: str) -> bool:
    """Whether a server at *url* runs on this machine: its address is a loopback one."""
    host = urlsplit(url).hostname or ""
    return is_loopback(host) or host.endswith(".localhost")


async def _served(url: str, *, only_kernel: bool) -> Served:
    try:
        return await _by_server(url)
    except NoServer as absent:
        note(f"{absent}; looking from this process")
    except OracError as error:
        note(f"the server at {shown(url)} does not say what is loaded: {error}")
        return Served()
    try:
        return await _by_itself(only_kernel=only_kernel)
    except OracError as error:
        note(f"what is loaded is not known: {error}")
        return Served()


async def _by_server(url: str) -> Served:
    async with reach(url) as server:
        note(f"using the server at {shown(url)}")
        models, health = await server.models(), await server.health()
    return Served(
        "server",
        _loaded(models),
        health["versions"]["backends"],
        None if is_here(url) else health,
    )


async def _by_itself(*, only_kernel: bool) -> Served:
    sensors = Sensors(ROOT, only_kernel=only_kernel)
    async with orac_core.open(load_at_start=False, sensors=sensors) as manager:
        for each in missing(manager):
            note(each)
        models = [wire.model(each) for each in await manager.models()]
        health = await manager.health()
    engines = {name: each.version for name, each in health.instances.items()}
    return Served("process", _loaded(models), engines)


def _loaded(models: Sequence[Json]) -> tuple[Json, ...]:
    """Return those that are in memory here; what another machine serves needs none of it."""
    held = [each for each in models if each["state"] in {"ready", "stopping"}]
    return tuple(each for each in held if each["memory"]["estimated_bytes"] != 0)


def _elsewhere(served: Served, health: Json) -> Seen:
    """Return what a server on another machine says of that machine: its first GPU, and no more."""
    gpu, device = health["gpu"], health["device"]
    machine = Machine(
        Memory(**_of(health["memory"], fields_dict(Memory))),
        Gpu(**_of(gpu, fields_dict(Gpu), "processes")) if gpu else None,
        Device(**_of(device, fields_dict(Device), *PARTS)) if device else None,
    )
    found = machine.gpu
    card = () if found is None or found.memory_total_bytes is None else (_card(found),)
    return Seen(machine, Shared(), card, 0, "", served)


def _card(gpu: Gpu) -> Card:
    total, used = gpu.memory_total_bytes, gpu.memory_used_bytes
    return Card(0, None, gpu, None if total is None or used is None else total - used)


def _of(told: Json, known: Mapping[str, object], *without: str) -> Json:
    """Return what of *told* this version of ORAC knows."""
    return {name: it for name, it in told.items() if name in known and name not in without}
