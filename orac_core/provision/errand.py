"""Going from backend to backend until one has the model."""

from collections.abc import Callable, Mapping
from contextlib import aclosing

from attrs import define, evolve, field

from ..errors import InvalidRequest, ModelNotFound, OracError
from ..plugins import Instance
from ..types import ModelInfo, PullProgress
from .fetch import Report
from .plan import Wish, known_as
from .report import Provisioned


async def run(
    wish: Wish, instances: Mapping[str, Instance], report: Report, clock: Callable[[], float]
) -> Provisioned:
    """Make a model be there, and return what was done; never raises.

    Args:
        wish: The model.
        instances: The backends that may have it, in order.
        report: Is told how far it is.
        clock: Tells seconds that never go back.
    """
    started = clock()
    done = await _Errand(wish, instances, report).done()
    return evolve(done, elapsed_s=clock() - started)


@define(eq=False)
class _Errand:
    wish: Wish
    instances: Mapping[str, Instance]
    report: Report
    _skipped: list[str] = field(factory=list, init=False)
    _failed: list[str] = field(factory=list, init=False)

    async def done(self) -> Provisioned:
        """Ask those first that have the model already."""
        if not self.instances:
            return self._outcome("skipped", reason=self.wish.reason)
        having = {name: await self._had(it) for name, it in self.instances.items()}
        order = sorted(self.instances, key=lambda name: having[name] is None)
        for name in order:
            if done := await self._by(name, having[name]):
                return done
        action = "failed" if self._failed else "skipped"
        return self._outcome(action, reason="; ".join(self._failed or self._skipped))

    async def _had(self, instance: Instance) -> ModelInfo | None:
        try:
            return known_as(await instance.models(), self.wish.request.model)
        except OracError:
            return None  # if it is down, it says so when it is asked to fetch

    async def _by(self, name: str, had: ModelInfo | None) -> Provisioned | None:
        """Return what a backend has done; None when another may do it."""
        instance = self.instances[name]
        if "pull" not in instance.offers:
            self._skipped.append(f"{name} can not fetch models; put the model there yourself")
            return self._present(name, had) if had else None
        try:
            return await self._pulled(instance, had)
        except InvalidRequest as error:
            self._skipped.append(f"{name}: {error}")
            return self._present(name, had) if had else None
        except ModelNotFound as error:
            self._failed.append(f"{name}: {error}")
            return None
        except OracError as error:
            self._failed.append(f"{name}: {error}")
            return None if had is None else self._outcome("failed", name, str(error))

    async def _pulled(self, instance: Instance, had: ModelInfo | None) -> Provisioned:
        request, last = self.wish.request, PullProgress("")
        if had is not None:
            request = evolve(request, model=had.id)
        async with aclosing(instance.pull(request)) as steps:
            async for last in steps:
                self.report(last)
        action = last.action or ("present" if had else "pulled")
        done = self._outcome(action, instance.name)
        known = had.size_bytes if had else None
        size = last.total if last.action else known
        return evolve(
            done, model=request.model, fetched_bytes=last.fetched_bytes or 0, size_bytes=size
        )

    def _present(self, name: str, had: ModelInfo) -> Provisioned:
        problem = had.file.problem if had.file else None
        action = "failed" if problem else "present"
        done = self._outcome(action, name, problem)
        return evolve(done, model=had.id, size_bytes=had.size_bytes)

    def _outcome(
        self, action: str, instance: str | None = None, reason: str | None = None
    ) -> Provisioned:
        return Provisioned(self.wish.role, self.wish.request.model, action, instance, reason)  # type: ignore[arg-type]
