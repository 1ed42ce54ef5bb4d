"""What a backend says of itself and of its models."""

import json
from collections import Counter
from contextlib import suppress

from ...errors import OracError
from ...types import InstanceHealth
from ..broken import expect, need
from ..promise import Promise
from ..trial import Trial


async def _has_the_hooks(trial: Trial) -> None:
    """The relay was bound: `on_trial` raises where it can not be."""
    expect(trial.instance.name, "the relay has no name")


async def _lists_models(trial: Trial) -> None:
    listed = await trial.instance.models()
    expect(all(each.id for each in listed), "models() lists one without an id")
    await trial.info()


async def _names_each_model_once(trial: Trial) -> None:
    counted = Counter(each.id for each in await trial.instance.models())
    twice = [name for name, count in counted.items() if count > 1]
    expect(not twice, f"models() lists these more than once: {', '.join(twice)}")


async def _knows_what_it_has(trial: Trial) -> None:
    names = {name for it in await trial.instance.models() for name in (it.id, *it.names)}
    unknown = trial.subject.unknown_model
    expect(unknown not in names, f"models() lists {unknown!r}, which it should not know")


async def _tells_health(trial: Trial) -> None:
    said = await trial.instance.health()
    expect(trial.witness.raised == [], f"health raised: {said.message}")
    expect(said.usable, f"an engine that works is not usable: {said.message}")


async def _tells_health_plainly(trial: Trial) -> None:
    said = await trial.instance.health()
    try:
        json.dumps(dict(said.details), allow_nan=False)
    except (TypeError, ValueError) as error:
        expect(None, f"details are no plain JSON: {error}")
    expect(not isinstance(said.warnings, str), "warnings are one text, not a tuple of sentences")


async def _survives_its_engine(trial: Trial) -> None:
    need(trial.subject.end_engine, "no way to end its engine is given")
    await trial.load()
    await trial.end_engine()
    said = await trial.instance.health()
    expect("health" not in trial.witness.raised, f"health raised: {said.message}")
    expect(isinstance(said, InstanceHealth), "health did not answer")
    if trial.subject.start_engine is not None:
        await _is_missed(trial)
        await trial.start_engine()
        await _is_back(trial)


async def _is_missed(trial: Trial) -> None:
    """Ask, as what health says may be some seconds old until a question meets with the end."""
    with suppress(OracError):
        await trial.ask()
    said = await trial.instance.health()
    expect("health" not in trial.witness.raised, f"health raised: {said.message}")
    expect(not said.usable, "health says usable while the engine is gone, and a question met it")


async def _is_back(trial: Trial) -> None:
    said = await trial.instance.health()
    expect(said.usable, f"the engine is back, but not usable: {said.message}")
    await trial.load()
    await trial.ask()


LISTING = (
    Promise(
        "hooks",
        "it has models, load, unload, generate and health, and no hook that nobody knows",
        "define them with `async def` under @hookimpl, and the class with @define(eq=False)",
        _has_the_hooks,
    ),
    Promise(
        "lists-models",
        "models returns a list of ModelInfo with the models it can serve",
        "return a list, not a tuple or a generator, of ModelInfo with an id",
        _lists_models,
    ),
    Promise(
        "lists-once",
        "models lists each id once",
        "put other names of a model into ModelInfo.names",
        _names_each_model_once,
    ),
    Promise(
        "lists-its-own",
        "models lists nothing that it does not have",
        "list what the engine has, and not what it was asked for",
        _knows_what_it_has,
    ),
    Promise(
        "health",
        "health returns an InstanceHealth that is usable while the engine works",
        "return InstanceHealth(usable=True) when the engine answers; raise nothing",
        _tells_health,
    ),
    Promise(
        "health-plain",
        "what health tells is plain JSON",
        "put only text, numbers, booleans, lists and tables into details, and no NaN",
        _tells_health_plainly,
    ),
    Promise(
        "health-down",
        "health never raises because the engine is down, and says it where no load brings it back",
        "catch what the engine's failure raises and return InstanceHealth(usable=False, …)",
        _survives_its_engine,
    ),
)
"""The promises of ``models`` and ``health``."""
