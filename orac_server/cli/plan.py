"""``orac plan``: whether a model would fit into memory, and what would have to go."""

from collections.abc import Mapping

import click

from .client import Json
from .door import open_door
from .options import json_of, url_option
from .output import as_json, say, size, table
from .running import FAILED, run
from .setup import Setup, setup_options

COLUMNS = ("MEMORY", "WHAT")

NEEDED = {
    "weights_bytes": "its weights",
    "kv_cache_bytes": "its context",
    "compute_bytes": "computing",
    "margin_bytes": "the engine itself",
    "correction_bytes": "what earlier loads took beyond that",
    "total_bytes": "all that it needs",
}
"""What the memory that is needed is for."""

AVAILABLE = {
    "host_bytes": "available",
    "gpu_bytes": "available on the GPU",
    "page_cache_bytes": "of that, page cache",
}
"""What the memory that is available is called."""


@click.command("plan")
@click.argument("model")
@setup_options
@url_option
@json_of("the answer of `POST /v1/plan`")
def plan_command(  # noqa: PLR0913 - click passes each option by itself
    *,
    model: str,
    context_length: int | None,
    gpu_layers: int | None,
    parallel: int | None,
    url: str,
    in_json: bool,
) -> None:
    """Say whether MODEL would fit into memory, and what would have to go. Nothing is changed.

    The exit code is 1 when it does not fit. What nobody knows counts as fitting, as for a load.
    """
    plan = run(_planned(model, Setup(context_length, gpu_layers, parallel), url))
    if in_json:
        as_json(plan)
    else:
        _show(plan)
    if plan["fits"] is False:
        raise SystemExit(FAILED)


async def _planned(model: str, setup: Setup, url: str) -> Json:
    async with open_door(url) as door:
        return await door.plan(model, setup)


def _show(plan: Json) -> None:
    say(plan["message"])
    needed = {key: it for key, it in (plan["needed"] or {}).items() if it}
    rows = [*_named(NEEDED, needed), *_named(AVAILABLE, plan["available"] or {})]
    rows += [_row(each, "which would go") for each in plan["would_evict"]]
    rows += [_row(each, f"which is {each['reason']}") for each in plan["kept"]]
    if rows:
        table(COLUMNS, rows)


def _named(names: Mapping[str, str], amounts: Mapping[str, int | None]) -> list[tuple[str, str]]:
    return [(size(amounts[key]), names[key]) for key in names if amounts.get(key) is not None]


def _row(resident: Json, which: str) -> tuple[str, str]:
    return size(resident["memory_bytes"]), f"{resident['model']}, {which}"
