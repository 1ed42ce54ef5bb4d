"""Slow models over the wire: the body of ``POST /v1/doctor/degradation``, and what is found."""

from collections.abc import AsyncGenerator, Iterable
from contextlib import aclosing
from typing import Annotated

from attrs import frozen
from msgspec import Meta

from orac_core import InvalidRequest, ModelManager, ServedModel
from orac_core.doctor import (
    Advice,
    Comparison,
    Diagnosis,
    Doing,
    Finding,
    Outcome,
    Report,
    Step,
    Tried,
    Trying,
)
from orac_core.doctor.experiment import CYCLES
from orac_core.serving.clinic import Examined, Treated
from orac_core.statistics import Summary, summary

from .requests import Name
from .sse import Event
from .wire import Json


@frozen(kw_only=True)
class DegradationBody:
    """The body of ``POST /v1/doctor/degradation``.

    Attributes:
        model: Name of the model, which has to be loaded.
        experiment: Load it in several ways to find the cause; that takes minutes.
        remedy: Try what may help, and keep what does; that takes minutes.
        forget: Forget first how fast it was.
        cycles: How often an experiment loads it at once; 3 when it is left out.
        stream: Whether to stream.
    """

    model: Name
    experiment: bool = False
    remedy: bool = False
    forget: bool = False
    cycles: Annotated[int, Meta(ge=1, le=50)] | None = None
    stream: bool = False

    def check(self) -> None:
        """Refuse what does not go together.

        Raises:
            InvalidRequest: naming it.
        """
        if self.experiment and self.remedy:
            text = "an experiment and remedies are two things; ask for one after the other"
            raise InvalidRequest(text, {"remedy": "beside `experiment`"})
        if self.forget and (self.experiment or self.remedy):
            text = "how fast it was is needed for an experiment and for remedies; forget it alone"
            raise InvalidRequest(text, {"forget": "beside `experiment` or `remedy`"})
        if self.cycles is not None and not self.experiment:
            text = "`cycles` are those of an experiment; ask for that, too, or leave them out"
            raise InvalidRequest(text, {"cycles": "without `experiment`"})


async def events(manager: ModelManager, body: DegradationBody) -> AsyncGenerator[Event, None]:
    """Yield ``progress`` while a model is looked at, then ``done`` with what was found.

    Raises:
        OracError: as `ModelManager.diagnose` and `ModelManager.examine` do.
    """
    body.check()
    served = await manager.find(body.model)
    found: Json = {}
    if body.forget:
        await manager.clinic.forget(f"{served.instance}/{served.info.id}")
    async with aclosing(_news(manager, body, f"{served.instance}/{served.info.id}")) as news:
        async for each in news:
            match each:
                case Diagnosis():
                    found |= diagnosis(served, each)
                case Report():
                    found["experiment"] = report(each)
                case Outcome():
                    found["remedy"] = outcome(each)
                case _:
                    yield "progress", progress(each)
    yield "done", found


def _news(
    manager: ModelManager, body: DegradationBody, name: str
) -> AsyncGenerator[Examined | Treated, None]:
    if body.experiment:
        return manager.examine(name, CYCLES if body.cycles is None else body.cycles)
    return manager.remedy(name) if body.remedy else _diagnosed(manager, name)


async def _diagnosed(manager: ModelManager, name: str) -> AsyncGenerator[Diagnosis, None]:
    yield await manager.diagnose(name)


def diagnosis(served: ServedModel, found: Diagnosis) -> Json:
    """Return the answer for a model that was only looked at."""
    return {
        "model": served.info.id,
        "instance": served.instance,
        "healthy": found.healthy,
        **_compared("", found.comparison),
        "baseline_tokens_per_second": found.baseline_tokens_per_second,
        "tokens_per_second": found.tokens_per_second,
        "summary": found.summary,
        "findings": findings(found.findings),
        "experiment": None,
        "remedy": None,
    }


def findings(found: Iterable[Finding]) -> list[Json]:
    """Return causes, each with the numbers that speak for it and what to do."""
    return [
        {
            "cause": each.cause.value,
            "likelihood": each.likelihood,
            "evidence": list(each.evidence),
            "remedy": each.remedy,
            "command": each.command,
            "reversible": each.reversible,
        }
        for each in found
    ]


def progress(each: Doing | Step | Trying | Tried) -> Json:
    """Return an event ``progress``: what begins, or in ``result`` what came of it."""
    told = {"completed": None, "total": None, "message": None, "result": None}
    match each:
        case Doing():
            numbers = {"completed": each.completed, "total": each.total}
            return {**told, "stage": each.trial.value, **numbers, "message": each.message}
        case Trying():
            return {**told, "stage": each.attempt.value, "message": each.message}
        case Step():
            return {**told, "stage": each.trial.value, "result": step(each)}
        case Tried():
            return {**told, "stage": each.attempt.value, "result": tried(each)}


def report(found: Report) -> Json:
    """Return what an experiment came to."""
    cure, cause = found.conclusion.cure, found.conclusion.cause
    return {
        "steps": [step(each) for each in found.steps],
        "conclusion": found.conclusion.text,
        "cause": cause and cause.value,
        "cure": cure and cure.value,
        "findings": findings(found.conclusion.findings),
        "ended": found.ended,
        "trouble": found.trouble,
    }


def step(each: Step) -> Json:
    """Return one step of an experiment."""
    return {
        "name": each.trial.value,
        "message": each.trial.told,
        "tokens_per_second": _summed(each.tokens_per_second),
        **_compared("former_", each.to_former),
        **_compared("baseline_", each.to_baseline),
        "changed": each.changed,
        "on_gpu_ratio": each.snapshot.on_gpu_ratio,
        "error": each.error,
    }


def outcome(found: Outcome) -> Json:
    """Return what remedies came to."""
    return {
        "before_tokens_per_second": _rates(found.before),
        "tried": [tried(each) for each in found.tried],
        "kept": [each.value for each in found.kept],
        "cured": found.cured,
        "advice": [_advice(each) for each in found.advice],
        "ended": found.ended,
        "trouble": found.trouble,
    }


def tried(each: Tried) -> Json:
    """Return one attempt to make a model faster."""
    return {
        "name": each.attempt.value,
        "message": each.attempt.told,
        "tokens_per_second": _rates(each.rates),
        **_compared("former_", each.to_former),
        **_compared("baseline_", each.to_baseline),
        "worked": each.worked,
        "error": each.error,
    }


def _advice(each: Advice) -> Json:
    return {"cause": each.cause.value, "text": each.text, "command": each.command}


def _compared(to: str, comparison: Comparison) -> Json:
    interval = comparison.ci95
    return {
        f"{to}ratio": comparison.ratio,
        f"{to}ci95": None if interval is None else list(interval),
    }


def _rates(rates: tuple[float, ...]) -> Json | None:
    return _summed(summary(rates))


def _summed(rates: Summary | None) -> Json | None:
    if rates is None:
        return None
    interval = None if rates.ci95 is None else list(rates.ci95)
    return {"p50": rates.p50, "ci95": interval, "n": rates.n}
