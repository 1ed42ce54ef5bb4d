"""The engines behind the instances: asked within a limit of time, and spared while they fail."""

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any

from attrs import define, field, frozen

from ..errors import BackendUnavailable, ConfigurationError, OracError
from ..events import Events
from ..outage import again_s
from ..plugins import Instance
from ..types import InstanceHealth, ModelInfo
from .admission import Limits
from .breaker import Breaker

Question = Callable[[], Awaitable[Any]]

LEAST_PAUSE_S = 0.05
"""Between two questions whether an engine is back passes at least so much."""


@frozen
class Backends:
    """The backends that the manifest names, in its order.

    Attributes:
        open: Those that could be opened.
        kinds: Kind of each, by its name.
        failed: Why each of the others could not.
        unasked: Those that nobody asked for; where they do not answer they are as good as absent.
        settings: What the manifest says of each; there may be secrets in it.
    """

    open: Mapping[str, Instance]
    kinds: Mapping[str, str]
    failed: Mapping[str, str] = field(factory=dict)
    unasked: frozenset[str] = frozenset()
    settings: Mapping[str, Mapping[str, Any]] = field(factory=dict, repr=False)

    def require(self, kind: str) -> None:
        """Return when a backend of that kind is open.

        Raises:
            ConfigurationError: when none is.
        """
        if not any(self.kinds[name] == kind for name in self.open):
            raise ConfigurationError(
                f"no backend of kind {kind!r} is open; is its plugin there, and does the manifest "
                f"name an instance of another kind {kind!r}? `orac plugins` lists the kinds"
            )

    def lacking(self, instance: str | None) -> str | None:
        """Return why that instance has not what was looked for; None where that says nothing."""
        if instance in self.failed:
            return f"its backend {instance} could not be opened; `orac doctor` says why"
        if instance in self.open and instance not in self.unasked:
            return f"{instance} has no such model; `orac list` shows those there are"
        return None


@frozen
class Survey:
    """What the engines say of their models, and why others say nothing; by name of instance."""

    reports: Mapping[str, list[ModelInfo]]
    silent: Mapping[str, OracError]


@define(eq=False)
class Engines:
    """Every open backend, asked at once.

    Attributes:
        events: Where it is told which of them are spared.
        wall: Tells the time of day, in seconds since 1970.
        latest: How they were when all were last asked for that.
    """

    backends: Backends
    limits: Limits
    events: Events = field(factory=Events)
    wall: Callable[[], float] = time.time
    latest: Mapping[str, InstanceHealth] = field(factory=dict, init=False)
    _breakers: dict[str, Breaker] = field(factory=dict, init=False)
    _attending: dict[str, asyncio.Task[None]] = field(factory=dict, init=False)
    _relayed: dict[str, bool] = field(factory=dict, init=False)
    _underway: Counter[str] = field(factory=Counter, init=False)

    def breaker(self, instance: str) -> Breaker:
        """Return what spares the instance of that name."""
        breaker = self._breakers.get(instance)
        if breaker is None:
            rule = self.limits.sparing
            breaker = Breaker(instance, rule=rule, turned=self._turned, wall=self.wall)
            self._breakers[instance] = breaker
        return breaker

    @property
    def relays(self) -> frozenset[str]:
        """Which are other ORACs, or may be, as they are being asked for the first time.

        One that asks this one is not to wait for them: they may wait for it themselves.
        """
        return frozenset(
            name for name in self.backends.open if self._relayed.get(name, self._underway[name] > 0)
        )

    async def close(self) -> None:
        """Ask none of those that are spared any more whether it is back."""
        tasks = tuple(self._attending.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def survey(self, *, but: Collection[str] = ()) -> Survey:
        """Ask all for their models, *but* those."""
        asked = {
            name: partial(self._models, name) for name in self.backends.open if name not in but
        }
        answers = await _answers(asked)
        failed = {name: each for name, each in answers.items() if isinstance(each, OracError)}
        return Survey(
            {name: answer for name, answer in answers.items() if name not in failed},
            {name: failed[name] for name in failed if name not in self.backends.unasked},
        )

    async def health_of(self, instance: str) -> InstanceHealth:
        """Ask one how it is."""
        open_ = self.backends.open.get(instance)
        if open_ is None:
            return InstanceHealth(usable=False, message=self.backends.failed.get(instance, ""))
        return _as_health(await _told(partial(self._health, instance)))

    async def health(self) -> dict[str, InstanceHealth]:
        """Ask all how they are, and add those that could not be opened."""
        answers = await _answers({name: partial(self._health, name) for name in self.backends.open})
        found = {name: _as_health(each) for name, each in answers.items()}
        for name, health in found.items():
            if health.usable:
                self.breaker(name).recovered()
        missed = {
            name: health
            for name, health in found.items()
            if health.usable or name not in self.backends.unasked
        }
        failed = self.backends.failed.items()
        lost = {name: InstanceHealth(usable=False, message=why) for name, why in failed}
        self.latest = missed | lost
        return dict(self.latest)

    async def _models(self, instance: str) -> list[ModelInfo]:
        with self.breaker(instance).watching(brief=True), self._asking(instance):
            models: list[ModelInfo] = await _ask(
                self.backends.open[instance].models, self.limits.list_s
            )
            if models:
                self._relayed[instance] = any(each.relayed for each in models)
            return models

    async def _health(self, instance: str) -> InstanceHealth:
        with self._asking(instance):
            health: InstanceHealth = await _ask(
                self.backends.open[instance].health, self.limits.health_s
            )
            return health

    @contextmanager
    def _asking(self, instance: str) -> Iterator[None]:
        self._underway[instance] += 1
        try:
            yield
        finally:
            self._underway[instance] -= 1

    def _turned(self, breaker: Breaker) -> None:
        """Tell of it, and have an instance that is spared asked whether it is back."""
        spell, name = breaker.spell, breaker.instance
        told = {"instance": name, "state": spell.state, "failures": spell.failures}
        self.events.publish("breaker", **told)
        breaker.attended = breaker.open
        before = self._attending.pop(name, None)
        if before is not None and before is not asyncio.current_task():
            before.cancel()
        if breaker.open:
            self._attending[name] = asyncio.create_task(
                self._attend(breaker), name=f"is {name} back"
            )

    async def _attend(self, breaker: Breaker) -> None:
        while breaker.open:
            await asyncio.sleep(max(breaker.rule.pause_s, LEAST_PAUSE_S))
            with suppress(BackendUnavailable), breaker.probing():
                await self._demand_health(breaker.instance)

    async def _demand_health(self, instance: str) -> None:
        health = await self.health_of(instance)
        if not health.usable:
            raise BackendUnavailable(health.message or "it can not be used", instance=instance)


def silence(name: str, instance: str, error: OracError, *, known: bool) -> BackendUnavailable:
    """Return the error for the *name* of a model whose instance does not answer, or may have it.

    Args:
        name: Of the model.
        instance: What does not answer.
        error: Why not.
        known: Whether that instance has the model.
    """
    how = (
        f"{name!r} is served by {instance}, which"
        if known
        else (f"{name!r} is not known, but {instance} might have it and")
    )
    told = BackendUnavailable(
        f"{how} does not answer: {error}", instance=instance, operation="models"
    )
    told.retry_after_s = error.retry_after_s
    told.__cause__ = error
    return told


async def _answers(questions: Mapping[str, Question]) -> dict[str, Any]:
    answers = await asyncio.gather(*map(_told, questions.values()))
    return dict(zip(questions, answers, strict=True))


async def _told(question: Question) -> Any:
    """Return the answer, or the error it ended with."""
    try:
        return await question()
    except OracError as error:
        return error


async def _ask(question: Question, within_s: float) -> Any:
    """Return the answer.

    Raises:
        BackendUnavailable: when there is none in time.
        OracError: what the question ended with.
    """
    try:
        async with asyncio.timeout(within_s):
            return await question()
    except TimeoutError:
        silence = BackendUnavailable(f"no answer within {within_s:g} s")
        silence.retry_after_s = again_s(within_s)
        raise silence from None


def _as_health(answer: InstanceHealth | OracError) -> InstanceHealth:
    if isinstance(answer, OracError):
        return InstanceHealth(usable=False, message=str(answer))
    return answer
