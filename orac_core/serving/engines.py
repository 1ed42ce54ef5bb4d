"""The engines behind the instances: asked within a limit of time, and spared while they fail."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping
from functools import partial
from typing import Any

from attrs import define, field, frozen

from ..errors import BackendUnavailable, OracError
from ..outage import again_s
from ..plugins import Instance
from ..types import InstanceHealth, ModelInfo
from .admission import Limits
from .breaker import Breaker

Question = Callable[[], Awaitable[Any]]


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


@frozen
class Survey:
    """What the engines say of their models, and why others say nothing; by name of instance."""

    reports: Mapping[str, list[ModelInfo]]
    silent: Mapping[str, OracError]


@define(eq=False)
class Engines:
    """Every open backend, asked at once.

    Attributes:
        latest: How they were when all were last asked for that.
    """

    backends: Backends
    limits: Limits
    latest: Mapping[str, InstanceHealth] = field(factory=dict, init=False)
    _breakers: dict[str, Breaker] = field(factory=dict, init=False)

    def breaker(self, instance: str) -> Breaker:
        """Return what spares the instance of that name."""
        return self._breakers.setdefault(instance, Breaker(instance))

    async def survey(self, *, but: Collection[str] = ()) -> Survey:
        """Ask all for their models, *but* those."""
        asked = {
            name: partial(self._models, name) for name in self.backends.open if name not in but
        }
        answers = await self._asked(asked, self.limits.list_s)
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
        return _as_health(await _ask(open_.health, self.limits.health_s))

    async def health(self) -> dict[str, InstanceHealth]:
        """Ask all how they are, and add those that could not be opened."""
        asked = {name: each.health for name, each in self.backends.open.items()}
        answers = await self._asked(asked, self.limits.health_s)
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
        with self.breaker(instance).watching():
            return await self.backends.open[instance].models()

    async def _asked(self, questions: Mapping[str, Question], within_s: float) -> dict[str, Any]:
        answers = await asyncio.gather(*(_ask(each, within_s) for each in questions.values()))
        return dict(zip(questions, answers, strict=True))


async def _ask(question: Question, within_s: float) -> Any:
    """Return the answer, or the error it ended with."""
    try:
        async with asyncio.timeout(within_s):
            return await question()
    except TimeoutError:
        silence = BackendUnavailable(f"no answer within {within_s:g} s")
        silence.retry_after_s = again_s(within_s)
        return silence
    except OracError as error:
        return error


def _as_health(answer: InstanceHealth | OracError) -> InstanceHealth:
    if isinstance(answer, OracError):
        return InstanceHealth(usable=False, message=str(answer))
    return answer
