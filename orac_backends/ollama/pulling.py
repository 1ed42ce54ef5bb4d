"""Bringing a model into Ollama: from its registry, or from a file that has the model's name."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import aclosing
from typing import Any

from attrs import define, evolve, field

from orac_core import (
    Host,
    InvalidRequest,
    LoadProgress,
    ModelFile,
    ModelNotFound,
    OracError,
    PullAction,
    PullProgress,
    PullRequest,
)

from .._fetching import Fetching
from .answer import pulled
from .api import OllamaApi
from .listing import Inventory
from .replies import Installed


@define(eq=False)
class Tally:
    """How much has come: what each layer has now beyond what it had at first."""

    _first: dict[str, int] = field(factory=dict, init=False)
    _last: dict[str, int] = field(factory=dict, init=False)

    @property
    def fetched(self) -> int:
        """Bytes that have come."""
        return sum(last - self._first[layer] for layer, last in self._last.items())

    def told(self, line: Mapping[str, Any]) -> PullProgress:
        """Return what a line says, with what has come until now."""
        progress = pulled(line)
        if progress.total is not None:
            self._first.setdefault(progress.message, progress.completed)
            before = self._last.get(progress.message, 0)
            self._last[progress.message] = max(before, progress.completed)
        return evolve(progress, fetched_bytes=self.fetched)


@define(eq=False)
class Pulling:
    """One model on its way into Ollama: from its registry, or from a file.

    Attributes:
        api: The server.
        host: Lends the files.
        look: Says what the server has.
        hand_over: Gives it a file; `known` when it had that before.
        takes_files: Whether it may be given files.
    """

    api: OllamaApi
    host: Host
    look: Callable[[], Awaitable[Inventory]]
    hand_over: Callable[..., AsyncGenerator[LoadProgress, None]]
    takes_files: bool = field(kw_only=True)

    async def run(self, request: PullRequest) -> AsyncGenerator[PullProgress, None]:
        """Bring a model there, unless it is there; see ``hookspecs.pull``.

        Raises:
            InvalidRequest: when there is a source and the server is given no files.
            ModelNotFound: when the registry has no such model.
            BackendError: when it can not be fetched.
        """
        model, file = (await self.look()).model(request.model)
        if request.source and (file is None or request.force):
            async with aclosing(self._to_disk(request)) as steps:
                async for step in steps:
                    yield step
            model, file = (await self.look()).model(request.model)
        if model is not None and not request.force:
            yield _ended(model, "present")
            return
        work = self._pulled(request.model) if file is None else self._imported(file, model)
        async with aclosing(work) as steps:
            async for step in steps:
                yield step

    async def _to_disk(self, request: PullRequest) -> AsyncGenerator[PullProgress, None]:
        if not self.takes_files:
            raise InvalidRequest(
                f"this Ollama is given no files, so it can not have {request.model} from a "
                "`source`; take that out, set `import_files`, or give the role to llama.cpp"
            )
        async with aclosing(Fetching(self.host).pull(request)) as steps:
            async for step in steps:
                yield evolve(step, action=None)

    async def _pulled(self, name: str) -> AsyncGenerator[PullProgress, None]:
        tally = Tally()
        try:
            async with aclosing(self.api.pull(name)) as lines:
                async for line in lines:
                    yield tally.told(line)
        except OracError as error:
            if "does not exist" in str(error) or "not found" in str(error):
                raise ModelNotFound(name) from error
            raise
        model = (await self.look()).model(name)[0]
        yield _ended(model, "pulled" if tally.fetched else "present", tally.fetched)

    async def _imported(
        self, file: ModelFile, model: Installed | None
    ) -> AsyncGenerator[PullProgress, None]:
        async with aclosing(self.hand_over(file, known=model is not None)) as stages:
            async for stage in stages:
                yield PullProgress(stage.message or stage.stage, stage.completed, stage.total)
        found = (await self.look()).model(file.id)[0]
        yield _ended(found, "imported" if model is None else "present")


def _ended(model: Installed | None, action: PullAction, fetched_bytes: int = 0) -> PullProgress:
    """Return the last progress: how the model came to be there."""
    size = model.size_bytes if model else None
    return PullProgress("success", size or 0, size, fetched_bytes, action)
