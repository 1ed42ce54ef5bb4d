"""``orac doctor --quick``: one sentence and an exit code, within a few seconds."""

import asyncio
import os
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

from attrs import asdict, define, frozen

import orac_core
from orac_core import Health, Limits, ModelNotFound, OracError
from orac_core.health import FATAL, Flaw
from orac_core.serving.door import settle

from .. import wire
from .client import Json, NoServer, Refused, Server, reach
from .options import shown
from .output import as_json_line, count, say
from .running import FAILED

WITHIN_S = 5.0
"""Longest time for all, unless another is named."""

RESERVE_S = 1.0
"""Of the time allowed, what Python takes to start and backends take to close."""

CLOSING_S = 0.5
"""Time for closing what was opened when the time allowed is over."""

SHARE = 0.35
"""Of the rest, what the backends get to say how they are, and once more to list their models."""

BAD = FATAL | {Flaw.INSTANCE_DOWN}
"""What must not be when there is no server whose verdict counts."""


@frozen
class Asked:
    """What is asked.

    Attributes:
        model: The model to look for; None for whether all that is needed is usable.
        url: The server.
        only_server: Whether to look at nothing but the server.
        manifest: Manifest to look at; with it, or with *models_dir*, no server is asked.
        models_dir: Folder to search for models before all others.
        within_s: Longest time for all, the start of this program included.
    """

    model: str | None
    url: str
    only_server: bool
    manifest: Path | None
    models_dir: Path | None
    within_s: float


@frozen
class Judgement:
    """The answer.

    Attributes:
        ok: Whether it is good.
        verdict: It in one sentence.
        status: What the server says: ``healthy``, ``degraded`` or ``unhealthy``.
        server: The server that was asked, when one answered.
        version: The version of ORAC that judged.
        model: Id of the model that was asked for, when it is there.
        problems: What is not usable, each with its reason.
    """

    ok: bool
    verdict: str
    status: str | None = None
    server: str | None = None
    version: str | None = None
    model: str | None = None
    problems: tuple[str, ...] = ()


@define(eq=False)
class _Looking:
    """How far the look is.

    Attributes:
        waits_for: What it waits for.
        before: What was found out already and belongs before the verdict.
        found: The answer.
    """

    waits_for: str = "the server"
    before: str = ""
    found: Judgement | None = None


def quick(asked: Asked, *, in_json: bool) -> None:
    """Print the answer in one line.

    Raises:
        SystemExit: 1 when it is not good.
    """
    runner = asyncio.Runner()
    judgement, ended = runner.run(_within(asked))
    if in_json:
        as_json_line(asdict(judgement))
    else:
        say(judgement.verdict)
    if not ended:
        os._exit(FAILED * (not judgement.ok))  # what hangs would keep Python from ending
    runner.close()
    if not judgement.ok:
        raise SystemExit(FAILED)


async def _within(asked: Asked) -> tuple[Judgement, bool]:
    """Return the answer, and whether everything that was begun for it has ended."""
    looking = _Looking()
    work = asyncio.create_task(_look(asked, looking))
    await asyncio.wait([work], timeout=asked.within_s - RESERVE_S)
    work.cancel()
    ending = asyncio.create_task(_ended(work))
    await asyncio.wait([ending], timeout=CLOSING_S)
    late = f"no verdict within {asked.within_s:g} s: still waiting for {looking.waits_for}"
    return looking.found or _failed(late), ending.done()


async def _ended(work: asyncio.Task[None]) -> None:
    """Return when *work* has ended, and threads that it left behind, too."""
    await asyncio.wait([work])
    await asyncio.get_running_loop().shutdown_default_executor()


async def _look(asked: Asked, looking: _Looking) -> None:
    try:
        if asked.manifest or asked.models_dir or not await _server_judged(asked, looking):
            looking.waits_for = "the backends"
            await _judged_here(asked, looking)
    except OracError as error:
        looking.found = _failed(str(error))
    except Exception as error:  # noqa: BLE001 - a script that starts something gets one sentence
        looking.found = _failed(f"unexpected: {type(error).__name__}: {error}")


async def _server_judged(asked: Asked, looking: _Looking) -> bool:
    """Let the server judge; return False when none answers and none is demanded."""
    place = shown(asked.url)
    looking.waits_for = f"the server at {place}"
    try:
        async with reach(asked.url) as server:
            looking.waits_for = f"the server at {place}, which lives, to say how it is"
            looking.found = await _by(server, asked.model)
    except NoServer as absent:
        if asked.only_server:
            text = f"{absent}; start it with `orac serve`, or name it with --url"
            looking.found = _failed(text)
        looking.before = f"{absent}; "
        return asked.only_server
    return True


async def _by(server: Server, model: str | None) -> Judgement:
    if model is None:
        return _of_health(await server.health(), shown(server.url))
    try:
        return _of_model(await server.model(model), shown(server.url))
    except Refused as refusal:
        known = refusal.code in {"model_not_found", "not_found"}
        return _failed(str(ModelNotFound(model) if known else refusal))


def _of_health(health: Json, place: str) -> Judgement:
    problems = tuple(_line(f"{name}: {reason}") for name, reason in health["errors"].items())
    bad = health["status"] == "unhealthy"
    reasons = f" ({'; '.join(problems)})" if bad and problems else ""
    ours = health["versions"]["orac"]
    verdict = f"{health['status']}: {health['message']}{reasons}; ORAC {ours} at {place}"
    return Judgement(not bad, _line(verdict), health["status"], place, ours, None, problems)


def _of_model(model: Json, place: str | None) -> Judgement:
    name = f"{model['instance']}/{model['id']}"
    if model["state"] == "failed":
        return _failed(f"{name} can not be used: {model['state_reason']}", place)
    kind = (model["architecture"], model["quantization"])
    facts = [each for each in (*kind, model["parameters"] and count(model["parameters"])) if each]
    what = f" ({', '.join(facts)})" if facts else ""
    how = "its file is sound" if model["file"] else "its engine has it"
    verdict = _line(f"{name} is there{what}: {how}, and it is {model['state']}")
    return Judgement(ok=True, verdict=verdict, server=place, model=model["id"])


async def _judged_here(asked: Asked, looking: _Looking) -> None:
    share_s = (asked.within_s - RESERVE_S) * SHARE
    limits = Limits(list_s=share_s, health_s=share_s)
    manifest = settle(asked.manifest, os.environ)
    opening = orac_core.open(
        manifest, models_dir=asked.models_dir, limits=limits, load_at_start=False
    )
    async with opening as manager:
        if asked.model is not None:
            looking.found = _of_model(wire.model(await manager.find(asked.model)), None)
        else:
            health = await manager.health()
            looking.found = _of_backends(health, manager.required.models, looking.before)


def _of_backends(health: Health, required: Sequence[str], before: str) -> Judgement:
    bad = tuple(_line(str(each)) for each in health.degradation if each.flaw in BAD)
    if not bad and health.status == "unhealthy":
        bad = (_line(health.message),)
    verdict = f"not usable: {'; '.join(bad)}" if bad else _well(health, required)
    ours = version("orac")
    return Judgement(not bad, _line(before + verdict), version=ours, problems=bad)


def _well(health: Health, required: Sequence[str]) -> str:
    named = (" ".join(filter(None, (name, it.version))) for name, it in health.instances.items())
    there = f"; required and there: {', '.join(required)}" if required else ""
    return f"usable: {', '.join(named)}{there}"


def _failed(text: str, place: str | None = None) -> Judgement:
    line = _line(text)
    return Judgement(ok=False, verdict=line, server=place, problems=(line,))


def _line(text: str) -> str:
    """Return *text* in one line."""
    return "; ".join(line.strip() for line in text.splitlines() if line.strip())
