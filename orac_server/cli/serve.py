"""``orac serve``: serve the models of this machine over HTTP."""

import os
from functools import partial
from importlib import resources
from pathlib import Path

import click
from attrs import evolve

import orac_core
from orac_core import Manifest, ModelManager
from orac_core.serving.door import settle

from ..service import serve
from .options import DEFAULT, json_option
from .output import as_json_line, say
from .running import failures_told

TRIAL = 'orac-robot "Move forward 1.5 meters"'


@click.command("serve")
@click.option("--host", metavar="ADDRESS", help="Address to listen on.")
@click.option(
    "--port", type=click.IntRange(0, 65535), help="Port to listen on; 0 takes a free one."
)
@click.option(
    "--models-dir",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder to search for models before all others.",
)
@click.option(
    "--manifest",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Manifest to read.",
)
@click.option("--demo", is_flag=True, help="Serve the small model that comes with ORAC too.")
@json_option
def serve_command(  # noqa: PLR0913 - click passes each option by itself
    *,
    host: str | None,
    port: int | None,
    models_dir: Path | None,
    manifest: Path | None,
    demo: bool,
    in_json: bool,
) -> None:
    """Serve the models of this machine over HTTP.

    Ctrl-C and SIGTERM let running answers end, then it exits with 0.
    """
    with failures_told():
        settled = settle(manifest, os.environ)
        serve(
            orac_core.open(with_demo(settled) if demo else settled, models_dir=models_dir),
            host or settled.server.host,
            settled.server.port if port is None else port,
            announce=partial(announce, demo=demo, in_json=in_json),
            strict=settled.server.strict_start,
        )


def with_demo(manifest: Manifest) -> Manifest:
    """Return *manifest* with the folder of the demo model before its other folders."""
    folder = Path(str(resources.files("orac_server") / "demo"))
    models = evolve(manifest.models, paths=(folder, *manifest.models.paths))
    return evolve(manifest, models=models)


async def announce(url: str, manager: ModelManager, *, demo: bool, in_json: bool) -> None:
    """Say where the service is and what it serves."""
    if not in_json:
        say(f"ORAC is at {url}")
    models = len(await manager.models())
    looked_at = await manager.files.looked_at("")
    places = [str(each.place.path) for each in looked_at if each.models]
    if in_json:
        failed = dict(manager.backends.failed)
        as_json_line({"url": url, "models": models, "places": places, "failed_backends": failed})
    else:
        say(_served(models, places))
    if demo and not in_json:
        say(f"Try it: {_trial(url.rstrip('/'))}")


def _served(models: int, places: list[str]) -> str:
    if not models:
        return "No models yet; `orac doctor` says where they are looked for"
    number = f"{models} model{'s' * (models > 1)}"
    return f"{number}, from {', '.join(places)}" if places else number


def _trial(url: str) -> str:
    return f"orac prompt {TRIAL}" if url == DEFAULT else f"orac prompt --url {url} {TRIAL}"
