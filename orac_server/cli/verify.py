"""``orac verify``: read model files to the last byte and say which are what they should be."""

import asyncio
import json
import os
from collections.abc import Iterable, Sequence

import click

from orac_core import HashProgress, ModelFile, ModelFiles, ModelNotFound, StateDirectory
from orac_core.files import Verified, verify
from orac_core.serving.door import file_named, model_files, settle

from .client import Json
from .options import json_of
from .output import Waiting, as_json, note, say, size, waiting
from .running import FAILED, run

LINES = {"ok": "OK", "failed": "FAILED", "unreadable": "FAILED open or read"}
"""What `sha256sum -c` says."""

TOLD_EVERY_S = 0.2


@click.command("verify")
@click.argument("models", metavar="[MODEL]...", nargs=-1)
@json_of(
    '`{"models": [{"id", "path", "size_bytes", "outcome", "problem", "checksum", "found"}], '
    '"unknown": [names]}`'
)
def verify_command(models: tuple[str, ...], *, in_json: bool) -> None:
    """Read the files of each MODEL, or of all, and say which are what they should be.

    Works in a process of its own on files alone, and always reads them whole. They are compared
    with their headers, with the manifest's checksums, and with what the same files hashed to when
    they were read before. A MODEL that the manifest has no checksum for is named with the lines
    to put there.

    The exit code is 1 when a file is not what it should be, or there is no such model.
    """
    verified, unknown = run(_verified(models, in_json=in_json))
    if in_json:
        as_json({"models": [_facts(each) for each in verified], "unknown": unknown})
    for each in verified:
        if each.problem:
            note(f"{each.model.id}: {each.problem}")
    _hint([each for each in verified if each.outcome == "ok" and each.checksum is None])
    if warning := _warning([each.outcome for each in verified]):
        note(warning)
    if warning or unknown:
        raise SystemExit(FAILED)


async def _verified(names: Sequence[str], *, in_json: bool) -> tuple[list[Verified], list[str]]:
    manifest = settle(None, os.environ)
    files = model_files(manifest, None, os.environ, StateDirectory.of(os.environ))
    there = await files.all()
    asked = {name: file_named(name, manifest, there) for name in names}
    unknown = [name for name, model in asked.items() if model is None]
    for name in unknown:
        note(str(ModelNotFound(name)))
    models = tuple(filter(None, asked.values())) if names else there
    if not models and not names:
        note("there are no model files; `orac doctor` says where they are looked for")
    verified = [await _one(files, each, in_json=in_json) for each in dict.fromkeys(models)]
    if files.state.problem:
        note(files.state.problem)
    return verified, unknown


async def _one(files: ModelFiles, model: ModelFile, *, in_json: bool) -> Verified:
    progress = HashProgress()
    with waiting(f"reading {model.id}") as line:
        work = asyncio.ensure_future(verify(files, model, progress))
        try:
            while not (await asyncio.wait([work], timeout=TOLD_EVERY_S))[0]:
                _tell(line, model, progress)
        finally:
            work.cancel()
        found = work.result()
    if not in_json:
        say(f"{model.path}: {LINES[found.outcome]}")
    return found


def _tell(line: Waiting, model: ModelFile, progress: HashProgress) -> None:
    done, total = size(progress.completed), size(model.size_bytes)
    line.show(f"reading {model.id}: {done} of {total}")


def _hint(without: Sequence[Verified]) -> None:
    """Say what to put into the manifest; it may be pasted as it is."""
    if without:
        told = "the manifest has no checksum for some; to hold them to what they are now, add:"
        note("\n".join((told, *(line for each in without for line in _as_toml(each)))))


def _as_toml(each: Verified) -> tuple[str, str]:
    return f"[models.files.{json.dumps(each.model.id)}]", f'checksum = "{each.found}"'


def _warning(outcomes: Iterable[str]) -> str | None:
    """Return the counts of what failed; None when nothing did."""
    outcomes = list(outcomes)
    failed, unreadable = outcomes.count("failed"), outcomes.count("unreadable")
    told = [
        f"{failed} of {len(outcomes)} models did NOT match" if failed else "",
        f"{unreadable} of {len(outcomes)} models could not be read" if unreadable else "",
    ]
    return f"WARNING: {', '.join(filter(None, told))}" if failed or unreadable else None


def _facts(each: Verified) -> Json:
    return {
        "id": each.model.id,
        "path": str(each.model.path),
        "size_bytes": each.model.size_bytes,
        "outcome": each.outcome,
        "problem": each.problem,
        "checksum": each.checksum,
        "found": each.found,
    }
