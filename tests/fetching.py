"""A scripted backend that can fetch models."""

from collections.abc import AsyncGenerator

from attrs import define, evolve, field

from orac_core import (
    InvalidRequest,
    ModelNotFound,
    PullAction,
    PullProgress,
    PullRequest,
    hookimpl,
)
from tests.scripted import ScriptedBackend, ScriptedSettings

SIZE = 100


@define(eq=False)
class FetchingBackend(ScriptedBackend):
    """Has nothing at first, and fetches what is in its ``registry``; ``pulls`` is what was asked.

    The step ``pull`` can be held up and can fail; one without a ``says`` does not tell what it did.
    """

    settings: ScriptedSettings = field(factory=lambda: ScriptedSettings(()))
    registry: tuple[str, ...] = ("small", "large")
    says: PullAction | None = "downloaded"
    wants_source: bool = False
    pulls: list[PullRequest] = field(factory=list)

    @hookimpl
    async def pull(self, request: PullRequest) -> AsyncGenerator[PullProgress, None]:
        self.pulls.append(request)
        if self.wants_source and not request.source:
            raise InvalidRequest("there is no source")
        if request.model in self.settings.models and not request.force:
            yield PullProgress("here", SIZE, SIZE, 0, self.says and "present")
            return
        if request.model not in self.registry:
            raise ModelNotFound(request.model)
        yield PullProgress("fetching", 40, SIZE, 40)
        await self._pass("pull")
        self.settings = evolve(self.settings, models=(*self.settings.models, request.model))
        yield PullProgress("done", SIZE, SIZE, SIZE, self.says)
