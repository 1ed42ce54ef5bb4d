"""``orac list``, ``load`` and ``unload``: which models there are, and which are in memory."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from datetime import UTC, datetime

import click

from orac_core.durations import shown as span

from .client import Json, NoServer, Server, reach
from .door import open_door
from .options import json_of, shown, url_option
from .output import as_json, count, note, plain, say, size, table, waiting
from .running import run
from .setup import Setup, keep_alive_option, setup_options

COLUMNS = (
    *("MODEL", "STATE", "SIZE", "MEMORY", "EXPIRES", "PARAMS", "QUANT", "CONTEXT"),
    *("INSTANCE", "ROLES"),
)
DISPENSABLE = ("PARAMS", "EXPIRES", "QUANT")
"""What is left out where a terminal is too narrow, the first first."""


@click.command("list")
@url_option
@json_of("the answer of `GET /v1/models`")
def list_command(url: str, *, in_json: bool) -> None:
    """List the models and what they are doing.

    MEMORY is what a loaded model takes, and with a ~ what another one would need.

    A model that can not be used is listed as failed, with its reason on stderr. A backend that can
    not be used is named there, too.
    """
    models, silent = run(_models(url))
    for name, why in silent.items():
        reason = " ".join(why.split()) or "it does not say why"
        note(f"the backend {name} can not be used: {reason}")
    if in_json:
        as_json({"object": "list", "data": models})
        return
    table(COLUMNS, [_row(each) for each in models], DISPENSABLE)
    for each in models:
        if each["state"] == "failed":
            note(f"{each['id']}: {each['state_reason']}")


@click.command("load")
@click.argument("model")
@setup_options
@keep_alive_option
@click.option("--force", is_flag=True, help="Load it even where it does not seem to fit.")
@url_option
@json_of("the answer of `POST /v1/models/load`")
def load_command(  # noqa: PLR0913 - click passes each option by itself
    *,
    model: str,
    context_length: int | None,
    gpu_layers: int | None,
    parallel: int | None,
    keep_alive: str | None,
    force: bool,
    url: str,
    in_json: bool,
) -> None:
    """Load MODEL on the server and prove that it answers.

    Other models may have to go to make room; those are named. A model that is loaded already is
    left as it is.
    """
    given = {"keep_alive": keep_alive, "force": force or None}
    options = {name: value for name, value in given.items() if value is not None}
    setup = Setup(context_length, gpu_layers, parallel)
    loaded = run(_load(model, {**setup.body, **options}, url))
    if in_json:
        as_json(loaded)
    else:
        _tell(loaded)


def _tell(loaded: Json) -> None:
    for each in loaded["evicted"]:
        say(f"{each} was unloaded to make room")
    how = "was loaded already" if loaded["already_loaded"] else "is loaded"
    took = "" if loaded["already_loaded"] else f", in {loaded['load_ms'] / 1000:.2f} s"
    say(f"{loaded['model']} {how}{took}")


@click.command("unload")
@click.argument("model")
@url_option
@json_of("the answer of `POST /v1/models/unload`")
def unload_command(model: str, url: str, *, in_json: bool) -> None:
    """Free the memory of MODEL on the server, once its running answers have ended.

    No error when it was not loaded.
    """
    unloaded = run(_unload(model, url))
    if in_json:
        as_json(unloaded)
        return
    freed = unloaded["freed_bytes"]
    say(f"{unloaded['model']} is unloaded" + (f", {size(freed)} freed" if freed else ""))


async def _models(url: str) -> tuple[list[Json], dict[str, str]]:
    async with open_door(url) as door:
        return await door.models(), await door.silent()


async def _load(model: str, options: Json, url: str) -> Json:
    data: Json = {}
    async with _server(url) as server, aclosing(server.load(model, options)) as events:
        with waiting(f"loading {model}") as line:
            async for name, data in events:
                if name == "progress":
                    line.show(f"loading {model}: {_stage(data)}")
    return data


def _stage(progress: Json) -> str:
    text = progress["message"] or progress["stage"]
    if not progress["total"]:
        return str(text)
    return f"{text}, {size(progress['completed'])} of {size(progress['total'])}"


async def _unload(model: str, url: str) -> Json:
    async with _server(url) as server:
        with waiting(f"unloading {model}"):
            return await server.unload(model)


@asynccontextmanager
async def _server(url: str) -> AsyncIterator[Server]:
    """Open the server; what a process of our own loaded would be gone at its end."""
    async with AsyncExitStack() as stack:
        try:
            server = await stack.enter_async_context(reach(url))
        except NoServer as absent:
            raise NoServer(
                f"{absent}, and nothing stays loaded without one; start it with `orac serve`, "
                "or name it with --url",
            ) from absent
        note(f"using the server at {shown(url)}")
        yield server


def _row(model: Json) -> list[str]:
    return [
        model["id"],
        model["state"],
        size(model["size_bytes"]),
        _memory(model["memory"]),
        _expires(model),
        count(model["parameters"]),
        plain(model["quantization"]),
        plain(model["context_length"]),
        f"{model['instance']} ({model['kind']})",
        plain(model["roles"]),
    ]


def _memory(memory: Json) -> str:
    taken, needed = memory["measured_bytes"], memory["estimated_bytes"]
    return f"~{size(needed)}" if taken is None and needed is not None else size(taken)


def _expires(model: Json) -> str:
    """Return in what time a model goes when nobody uses it."""
    if model["expires_at"] is None:
        return "pinned" if model["pinned"] else "-"
    left = datetime.fromisoformat(model["expires_at"]) - datetime.now(UTC)
    return f"in {span(max(0.0, left.total_seconds()))}"
