"""``orac doctor --degradation``: whether models have become slow, why, and what to do."""

from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import aclosing
from typing import Any

import click
from attrs import frozen

from orac_core import OracError

from .client import Json
from .door import Door, open_door
from .options import shown
from .output import Waiting, as_json, marks, note, say, table, waiting
from .running import FAILED, run

STEPS = ("STEP", "TOKENS/S", "95 %", "OF BEFORE", "OF BASELINE", "CHANGED")
TRIED = ("TRIED", "TOKENS/S", "95 %", "OF BEFORE", "OF BASELINE", "WORKED")


@frozen
class Asked:
    """What is asked.

    Attributes:
        model: The model; None for all that are loaded.
        experiment: Whether to find out by experiment.
        remedy: Whether to try what may help.
        forget: Whether to forget how fast it was.
        url: The server.
    """

    model: str | None
    experiment: bool
    remedy: bool
    forget: bool
    url: str

    def __attrs_post_init__(self) -> None:
        chosen = self.experiment + self.remedy + self.forget
        if chosen > 1:
            raise click.UsageError("take one of --experiment, --remedy and --forget")
        if chosen and self.model is None:
            raise click.UsageError("--experiment, --remedy and --forget need a MODEL")

    def body(self, model: str) -> Json:
        """Return it for a model, as the HTTP interface wants it."""
        return {
            "model": model,
            "experiment": self.experiment,
            "remedy": self.remedy,
            "forget": self.forget,
        }


def degradation_options(command: Any) -> Any:
    """Give a command the option ``--degradation`` and those that belong to it."""
    for name, told in (
        ("--forget", "With --degradation: forget how fast MODEL was; the present is the usual."),
        ("--remedy", "With --degradation: try what may help, and keep what does."),
        ("--experiment", "With --degradation: find out by loading the model in several ways."),
        ("--degradation", "Say whether MODEL, or any that is loaded, has become slow, and why."),
    ):
        command = click.option(name, is_flag=True, help=told)(command)
    return command


def degradation(asked: Asked, *, in_json: bool) -> None:
    """Print why models are slow, and what came of experiment or remedies.

    Raises:
        SystemExit: 1 when one is slow, and no remedy has changed that.
    """
    found = run(_found(asked))
    if in_json:
        as_json({"models": found} if asked.model is None else found[0])
    else:
        for each in found:
            _show(each)
    if any(_slow(each) for each in found):
        raise SystemExit(FAILED)


async def _found(asked: Asked) -> list[Json]:
    async with open_door(asked.url) as door:
        if asked.model is not None:
            return [await _one(door, asked, asked.model)]
        models = [each for each in await door.models() if each["state"] == "ready"]
        if not models:
            note(f"no model is loaded at {shown(asked.url)}; name one, or load it first")
        return [each async for each in _each(door, asked, models)]


async def _each(door: Door, asked: Asked, models: Sequence[Json]) -> AsyncGenerator[Json, None]:
    """Yield what is found of each model; one that can not be measured stops no other."""
    for each in models:
        name = f"{each['instance']}/{each['id']}"
        try:
            yield await _one(door, asked, name)
        except OracError as error:
            note(f"{name}: {error}")


async def _one(door: Door, asked: Asked, model: str) -> Json:
    with waiting(f"asking {model} a few times") as line:
        async with aclosing(door.examined(asked.body(model))) as events:
            async for name, data in events:
                if name == "done":
                    return data
                _tell(line, data)
    raise AssertionError("unreachable: an examination ends with done or raises")


def _tell(line: Waiting, data: Json) -> None:
    if data["message"]:
        number = f"{data['completed'] + 1} of {data['total']}: " if data["total"] else ""
        line.show(f"{number}{data['message']}")


def _slow(found: Json) -> bool:
    cured = found["remedy"] is not None and found["remedy"]["cured"]
    return found["healthy"] is False and not cured


def _show(found: Json) -> None:
    signs = marks()
    sign = {True: signs.good, False: signs.bad, None: signs.neutral}[found["healthy"]]
    say(f"{sign} {found['instance']}/{found['model']}: {found['summary']}", bold=True)
    for each in found["findings"]:
        for line in _lines(each):
            say(line)
    if found["experiment"]:
        _show_experiment(found["experiment"])
    if found["remedy"]:
        _show_remedy(found["remedy"])


def _lines(finding: Json) -> Iterator[str]:
    yield f"  {finding['cause']} ({finding['likelihood']:.0%} likely)"
    for each in finding["evidence"]:
        yield f"      {each}"
    yield f"    to do: {finding['remedy']}"
    if finding["command"]:
        yield f"    command: {finding['command']}"


def _show_experiment(experiment: Json) -> None:
    table(STEPS, [_row(each, "changed") for each in experiment["steps"]])
    _say_why_not(experiment["steps"])
    say(f"conclusion: {experiment['conclusion']}")
    _say_end(experiment)


def _show_remedy(remedy: Json) -> None:
    if remedy["tried"]:
        table(TRIED, [_row(each, "worked") for each in remedy["tried"]])
        _say_why_not(remedy["tried"])
    say(f"outcome: {_outcome(remedy)}")
    _say_end(remedy)


def _outcome(remedy: Json) -> str:
    if not remedy["tried"]:
        return "there is nothing that ORAC can try by itself"
    kept = [each["message"] for each in remedy["tried"] if each["worked"]]
    if not kept:
        return "nothing that was tried makes it faster, so it is as it was"
    fast = "as fast as it was" if remedy["cured"] else "faster, and still slow"
    return f"it is {fast} after this: {'; '.join(kept)}"


def _row(each: Json, verdict: str) -> tuple[str, ...]:
    rates = each["tokens_per_second"]
    spread = rates and rates["ci95"]
    return (
        each["name"],
        "-" if rates is None else f"{rates['p50']:.1f}",
        "-" if spread is None else f"{spread[0]:.1f} to {spread[1]:.1f}",
        _share(each["former_ratio"]),
        _share(each["baseline_ratio"]),
        {True: "yes", False: "no", None: "-"}[each[verdict]],
    )


def _share(ratio: float | None) -> str:
    return "-" if ratio is None else f"{ratio:.0%}"


def _say_why_not(rows: Sequence[Json]) -> None:
    for each in rows:
        if each["error"]:
            say(f"  {each['name']}: {each['error']}")


def _say_end(work: Json) -> None:
    if work["ended"] != "completed":
        say(f"it did not come to its end: {work['ended']}")
    if work["trouble"]:
        say(f"attention: {work['trouble']}")
