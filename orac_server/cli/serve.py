"""``orac serve``: serve the models of this machine over HTTP."""

from collections.abc import Iterator
from functools import partial
from importlib import resources
from pathlib import Path

import click
from attrs import evolve

import orac_core
from orac_core import Manifest, ModelManager

from . import lean

# Where rich is installed structlog imports it, which takes as long and as much as structlog itself.
lean.import_without("rich", "structlog")

from ..access.guard import Guard  # noqa: E402
from ..service import serve  # noqa: E402
from .layered import Given, settings_options  # noqa: E402
from .options import DEFAULT, json_of  # noqa: E402
from .output import as_json_line, say  # noqa: E402
from .running import failures_told  # noqa: E402

TRIAL = 'orac-robot "Move forward 1.5 meters"'


@click.command("serve")
@settings_options
@click.option(
    "--demo",
    is_flag=True,
    help="Serve the small model `orac-robot` that comes with ORAC, beside all others.",
)
@json_of(
    "one line of JSON when it listens: `url`, `models`, `places`, `failed_backends`, and in "
    "`tokens` where each token is that is needed"
)
def serve_command(  # noqa: PLR0913 - click passes each option by itself
    *,
    host: str | None,
    port: int | None,
    models_dir: Path | None,
    manifest: Path | None,
    demo: bool,
    no_auth: bool,
    in_json: bool,
) -> None:
    """Serve the models of this machine over HTTP.

    Ctrl-C and SIGTERM let running answers end, then it exits with 0.
    """
    with failures_told():
        settled = Given(manifest, host, port, no_auth).settled().manifest
        lean.settle()
        serve(
            orac_core.open(with_demo(settled) if demo else settled, models_dir=models_dir),
            settled.server.host,
            settled.server.port,
            announce=partial(announce, demo=demo, in_json=in_json),
            settings=settled.server,
        )


def with_demo(manifest: Manifest) -> Manifest:
    """Return *manifest* with the folder of the demo model before its other folders."""
    folder = Path(str(resources.files("orac_server") / "demo"))
    models = evolve(manifest.models, paths=(folder, *manifest.models.paths))
    return evolve(manifest, models=models)


async def announce(
    url: str, manager: ModelManager, guard: Guard, *, demo: bool, in_json: bool
) -> None:
    """Say where the service is, what it serves and who may ask."""
    if not in_json:
        say(f"ORAC is at {url}")
    models = len(await manager.models())
    looked_at = await manager.files.looked_at("")
    places = [str(each.place.path) for each in looked_at if each.models]
    if in_json:
        failed = dict(manager.backends.failed)
        found = {"url": url, "models": models, "places": places, "failed_backends": failed}
        as_json_line({**found, "tokens": dict(guard.places)})
    else:
        say(_served(models, places))
        for each in _who_may_ask(guard):
            say(each)
    if demo and not in_json:
        say(f"Try it: {_trial(url.rstrip('/'))}")


def _served(models: int, places: list[str]) -> str:
    if not models:
        return "No models yet; `orac doctor` says where they are looked for"
    number = f"{models} model{'s' * (models > 1)}"
    return f"{number}, from {', '.join(places)}" if places else number


def _who_may_ask(guard: Guard) -> Iterator[str]:
    if guard.problem:
        yield "Whoever can reach it may use and change it: no token is asked for"
    for right, place in guard.places.items():
        who = "An administrator's" if right == "admin" else "A user's"
        yield f"{who} token is needed; it is in {place}"


def _trial(url: str) -> str:
    return f"orac prompt {TRIAL}" if url == DEFAULT else f"orac prompt --url {url} {TRIAL}"
