"""Benchmarks of one manager: run, kept, shown, compared, and what follows from them."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from functools import partial
from typing import Any, Self

from attrs import asdict, define, field

from ..devices import fingerprint
from ..errors import BenchmarkNotFound, ConfigurationError, InvalidRequest
from ..manifest import BenchmarkSettings
from ..serving import ModelManager
from .compare import Comparison, compare
from .history import History
from .progress import Progress
from .quality import Measurement, TaskSet, built_in, read_folder
from .recommend import Recommendation, recommend
from .request import BenchmarkRequest
from .results import Report
from .run import Runner
from .sampled import SampledMeter
from .store import LATEST, Entry

NEWEST = 100
"""So many runs are looked at for what to recommend."""


@define(eq=False)
class Benchmarks:
    """Runs benchmarks and keeps them; ``async with`` lets go of the history at its end.

    Attributes:
        runner: Runs them.
        history: Keeps them.
        settings: What holds where nothing is asked.
        last: The newest report of this process, which is there even where nothing can be kept.
    """

    runner: Runner
    history: History
    settings: BenchmarkSettings = field(factory=BenchmarkSettings)
    last: Report | None = field(default=None, init=False)
    _keeping: asyncio.Future[bool] | None = field(default=None, init=False)

    def __attrs_post_init__(self) -> None:
        self.runner.on_end = self._ended

    @classmethod
    def of(cls, manager: ModelManager) -> Self:
        """Return those of *manager*, kept in its folder for state; nothing is opened yet."""
        meter = partial(SampledMeter, manager.sampler)
        runner = Runner(manager, fingerprint, meter)
        return cls(runner, History.of(manager.state), manager.benchmark)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._kept()
        await self.history.__aexit__(*_)

    @property
    def running(self) -> str | None:
        """Id of the run that is under way; None for none."""
        return self.runner.running

    async def run(self, request: BenchmarkRequest) -> AsyncGenerator[Progress | Report, None]:
        """Measure, and yield how far it is; the last item is the Report, which is kept by then.

        Closing it ends the run, and what was measured until then is kept as ``cancelled``. How far
        it is, and how it ended, are events of the manager, too.

        Raises:
            InvalidRequest: when the request makes no sense, naming each value at fault, or the
                tasks of the manifest make none.
            StateConflict: when another benchmark runs.
        """
        if request.measures_quality:
            tasks = await asyncio.to_thread(self._tasks)
            self.runner.quality = partial(Measurement, tasks)
        async with aclosing(self.runner.run(request)) as steps:
            async for step in steps:
                if isinstance(step, Report):
                    self._ended(step)
                    await self._kept()
                else:
                    self._publish(id=self.running, **asdict(step))
                yield step

    async def get(self, name: str) -> Report:
        """Return a report by its id, the beginning of it, ``latest`` or ``latest~N``.

        Raises:
            BenchmarkNotFound: when there is none, or more than one.
        """
        try:
            return await self.history.get(name)
        except BenchmarkNotFound:
            if self.last is None or name not in {self.last.id, LATEST}:
                raise
            return self.last

    async def list(
        self, limit: int = 50, model: str | None = None, before: str | None = None
    ) -> tuple[Entry, ...]:
        """Return the newest ones, newest first, as `History.list` does."""
        return await self.history.list(limit, model, before)

    async def compare(self, old: str, new: str) -> Comparison:
        """Return what has changed from one report to another; each is named as for `get`.

        Raises:
            BenchmarkNotFound: when one is not there.
        """
        return compare(await self.get(old), await self.get(new))

    async def recommend(self) -> Recommendation:
        """Return which models to take for what, by the newest runs that measured anything."""
        entries = [each for each in await self.history.list(NEWEST) if _told(each)]
        return recommend([await self.history.get(each.id) for each in entries])

    def _tasks(self) -> TaskSet:
        folder = self.settings.tasks
        try:
            return built_in() if folder is None else read_folder(folder)
        except ConfigurationError as error:
            raise InvalidRequest(f"the tasks of the manifest can not be asked: {error}") from error

    def _ended(self, report: Report) -> None:
        """Begin to keep *report*, once; the loop does not wait for the disk."""
        if self.last is None or self.last.id != report.id:
            self.last = report
            self._publish(id=report.id, stage="ended", message=report.ended)
            self._keeping = asyncio.ensure_future(self.history.add(report))

    def _publish(self, **told: Any) -> None:
        self.runner.manager.events.publish("benchmark", **told)

    async def _kept(self) -> None:
        if self._keeping is not None:
            await self._keeping


def _told(entry: Entry) -> bool:
    return any(line.latency_s is not None or line.score is not None for line in entry.lines)
