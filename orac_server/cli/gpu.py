"""``orac doctor --gpu``: how much memory is left for models, and how to have more."""

import math
import time
from collections.abc import Callable, Iterator
from functools import wraps
from typing import Any

import click
from attrs import frozen

from orac_core.doctor import Wanted

from .client import Json
from .gpu_look import look
from .gpu_told import told
from .output import as_json, listed, marks, say, size, table, waiting
from .running import FAILED, run

GIB = 1 << 30

COLUMNS = ("DEVICE", "TOTAL", "FREE", "RESERVED", "USED", "BUSY", "MEMORY BUSY", "LEVEL")

MODELS = ("MODEL", "MEMORY", "IDLE", "STAYS")


@frozen
class Asked:
    """What is asked.

    Attributes:
        wanted: What is to be free.
        everything: Whether to tell of GPUs that ``CUDA_VISIBLE_DEVICES`` hides, too.
        only_kernel: Whether to ask neither NVML nor jtop.
    """

    wanted: Wanted
    everything: bool
    only_kernel: bool


def gpu_options(command: Any) -> Any:
    """Give a command the option ``--gpu`` and those that belong to it, all as one: ``room``."""

    @wraps(command)
    def gathered(
        *,
        gpu: bool,
        min_free_gib: float | None,
        min_free_ratio: float | None,
        all_devices: bool,
        no_cuda: bool,
        **others: Any,
    ) -> Any:
        wanted = Wanted(_bytes(min_free_gib), min_free_ratio)
        if not gpu and (wanted.anything or all_devices or no_cuda):
            raise click.UsageError(
                "--min-free-gib, --min-free-ratio, --all-devices and --no-cuda belong to --gpu"
            )
        return command(room=Asked(wanted, all_devices, no_cuda) if gpu else None, **others)

    for declare in OPTIONS:
        gathered = declare(gathered)
    return gathered


def gpu(asked: Asked, url: str, *, in_json: bool) -> None:
    """Print how much memory devices have left, and what gives more.

    Raises:
        SystemExit: 1 when less is free than is wanted or, where nothing is wanted, when it is
            critical.
    """
    with waiting("looking"):
        seen = run(look(url, everything=asked.everything, only_kernel=asked.only_kernel))
    found = told(seen, asked.wanted, time.time())
    if in_json:
        as_json(found)
    else:
        _show(found)
    if not found["ok"]:
        raise SystemExit(FAILED)


def _bytes(gib: float | None) -> int | None:
    return None if gib is None else math.ceil(gib * GIB)


def _finite(_context: click.Context, _option: click.Parameter, number: float | None) -> Any:
    if number is not None and not math.isfinite(number):
        raise click.BadParameter("it has to be a number")
    return number


def _number(name: str, most: float | None, metavar: str, told: str) -> Callable[[Any], Any]:
    kind = click.FloatRange(min=0, max=most)
    return click.option(name, type=kind, metavar=metavar, callback=_finite, help=told)


OPTIONS = (
    click.option(
        "--no-cuda",
        is_flag=True,
        help="With --gpu: ask only the kernel, neither NVIDIA's library nor jtop.",
    ),
    click.option(
        "--all-devices",
        is_flag=True,
        help="With --gpu: also the GPUs that CUDA_VISIBLE_DEVICES hides.",
    ),
    _number("--min-free-ratio", 1, "SHARE", "With --gpu: fail below this share of free memory."),
    _number("--min-free-gib", None, "GIB", "With --gpu: fail when less memory is free."),
    click.option(
        "--gpu", is_flag=True, help="Say how much memory models have left, and how to have more."
    ),
)
"""Of the help the last stands first."""


def _show(found: Json) -> None:
    signs = marks()
    sign = {"ok": signs.good, "tight": signs.warning, "critical": signs.bad}.get(found["level"])
    say(f"{sign or signs.neutral} {found['verdict']}", bold=True)
    table(COLUMNS, [_row(each) for each in found["devices"]])
    for each in found["devices"]:
        for line in _more(each):
            say(line)
    say(f"versions: {_versions(found['versions'])}")
    if found["models"]:
        table(MODELS, [_tenant(each) for each in found["models"]])
    for number, each in enumerate(found["remedies"], 1):
        for line in _remedy(number, each):
            say(line)


def _row(device: Json) -> tuple[str, ...]:
    amounts = ("total_bytes", "free_bytes", "reserved_bytes", "used_bytes")
    ratios = ("load_ratio", "memory_load_ratio")
    return (
        device["name"],
        *(size(device[each]) for each in amounts),
        *(_share(device[each]) for each in ratios),
        device["level"] or "-",
    )


def _more(device: Json) -> Iterator[str]:
    for reason in device["reasons"]:
        yield f"  {device['name']}: {reason}"
    names = {
        "unused_bytes": "not used at all",
        "page_cache_bytes": "page cache",
        "gpu_bytes": "the GPU's",
        "mapped_bytes": "mapped by the GPU",
        "contiguous_free_bytes": "free of what is reserved for contiguous pieces",
        "nvmap_free_bytes": "free of what is set aside for the GPU",
        "owed_bytes": "that loaded models may still take",
    }
    known = [f"{size(device[key])} {name}" for key, name in names.items() if device[key]]
    if device["swap_total_bytes"]:
        known.append(
            f"{size(device['swap_free_bytes'])} of {size(device['swap_total_bytes'])} swap free"
        )
    if known:
        yield f"  {device['name']}: {', '.join(known)}"


def _versions(versions: Json) -> str:
    engines = {name: each or "of unknown version" for name, each in versions["engines"].items()}
    named = {"ORAC": versions["orac"], "driver": versions["driver"], "CUDA": versions["cuda"]}
    return listed({**named, "JetPack": versions["jetpack"], **engines})


def _tenant(model: Json) -> tuple[str, ...]:
    idle = "-" if model["idle_s"] is None else f"{model['idle_s']:.0f} s"
    return model["name"], size(model["memory_bytes"]), idle, "yes" if model["stays"] else "no"


def _remedy(number: int, remedy: Json) -> Iterator[str]:
    estimate = " (an estimate)" if remedy["estimated"] and remedy["frees_bytes"] else ""
    yield f"{number}. {remedy['text']}{estimate}"
    if remedy["command"]:
        yield f"    command: {remedy['command']}"
    if remedy["setting"]:
        yield f"    to last: {remedy['setting']}"


def _share(ratio: float | None) -> str:
    return "-" if ratio is None else f"{ratio:.0%}"
