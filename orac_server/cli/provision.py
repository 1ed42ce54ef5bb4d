"""``orac provision`` and ``orac pull``: make models be there before anybody asks for them."""

from collections.abc import Mapping
from contextlib import aclosing
from typing import Any

import click

from .client import Json
from .door import open_door
from .options import json_of, url_option
from .output import as_json, note, plain, size, table, waiting
from .running import FAILED, run

COLUMNS = ("ROLE", "ACTION", "MODEL", "INSTANCE", "FETCHED", "SIZE", "TIME")
DISPENSABLE = ("TIME", "SIZE", "INSTANCE")


def _names(_context: click.Context, _option: click.Parameter, given: str | None) -> Any:
    """Return the names between the commas; a usage error when there are none."""
    if given is None:
        return None
    names = [each.strip() for each in given.split(",") if each.strip()]
    if not names:
        raise click.BadParameter("names no role; give for example general,coding")
    return names


@click.command("provision")
@click.option(
    "--roles",
    metavar="ROLE,…",
    callback=_names,
    help="Only these roles, with commas between them.",
)
@click.option(
    "--force",
    is_flag=True,
    help="Look at models that are there, too: they are read whole and compared with their "
    "checksum, or with what their source has now.",
)
@url_option
@json_of("the answer of `POST /v1/models/provision`")
def provision_command(*, roles: list[str] | None, force: bool, url: str, in_json: bool) -> None:
    """Make the models of the profile's roles be there.

    What is there stays as it is. With --force it is read whole and compared with its checksum, or
    with what its source has now.

    The exit code is 1 when a model could not be fetched.
    """
    _report({"roles": roles, "force": force}, url, in_json=in_json)


@click.command("pull")
@click.argument("model")
@click.option("--force", is_flag=True, help="Look at it when it is there, too.")
@url_option
@json_of("the answer of `POST /v1/models/provision`")
def pull_command(*, model: str, force: bool, url: str, in_json: bool) -> None:
    """Make MODEL be there: a role, a model that the manifest has a source for, or one of Ollama's.

    The exit code is 1 when it could not be fetched, or nobody can fetch it.
    """
    _report({"models": [model], "force": force}, url, in_json=in_json, skipped_fails=True)


def _report(
    body: Mapping[str, Any], url: str, *, in_json: bool, skipped_fails: bool = False
) -> None:
    report = run(_provisioned({key: it for key, it in body.items() if it is not None}, url))
    if in_json:
        as_json(report)
    elif report["roles"]:
        table(COLUMNS, [_row(each) for each in report["roles"]], DISPENSABLE)
    else:
        note(f"the profile {report['profile']!r} has no roles; give it some in the manifest")
    for each in report["roles"]:
        if each["reason"]:
            note(f"{each['role']}: {each['reason']}")
    bad = {"failed", "skipped"} if skipped_fails else {"failed"}
    if any(each["action"] in bad for each in report["roles"]):
        raise SystemExit(FAILED)


async def _provisioned(body: Json, url: str) -> Json:
    data: Json = {}
    async with open_door(url) as door, aclosing(door.provision(body)) as events:
        with waiting("looking what is there") as line:
            async for name, data in events:
                if name == "progress":
                    line.show(_stage(data))
    return data


def _stage(progress: Json) -> str:
    about = f"{progress['role']}: {progress['model']}, {progress['message']}"
    if not progress["total"]:
        return about
    return f"{about}, {size(progress['completed'])} of {size(progress['total'])}"


def _row(each: Json) -> list[str]:
    return [
        each["role"],
        each["action"],
        each["model"],
        plain(each["instance"]),
        size(each["fetched_bytes"] or None),
        size(each["size_bytes"]),
        f"{each['elapsed_ms'] / 1000:.1f} s",
    ]
