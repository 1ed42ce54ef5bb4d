"""Running a benchmark: one at a time for each manager."""

import asyncio
import secrets
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import aclosing, suppress
from datetime import UTC, datetime
from typing import Any

from attrs import asdict, define, evolve, field

from ..devices import Machine
from ..errors import InvalidRequest, OracError, StateConflict
from ..serving import ModelManager
from ..types import ModelState, ServedModel
from .course import course
from .loading import all_at_once, identified, ready
from .measure import Client, Stopwatch
from .meter import MeasuresQuality, Meter, NoMeter
from .progress import Progress
from .request import BenchmarkRequest
from .results import Report, Subject, Verification
from .session import Bench, Session, subject
from .soak import soak
from .summarise import ranked
from .verify import Evidence, verification

OnEnd = Callable[[Report], None]
"""Called exactly once for each run that has begun, also when it is given up; must not raise."""

REST_S = 5.0
"""Doing nothing, before a run that measures energy."""

MOST_SEED = 1 << 31

COMPLETED = "completed"
CANCELLED = "cancelled"
STOPPED = "ORAC was stopped"


@define(eq=False)
class Runner:
    """Measures the models of one manager, one benchmark at a time.

    Attributes:
        manager: Has the models.
        fingerprint: Says which machine this is, in plain JSON values.
        meter: Makes what watches the power of one run that measures energy.
        quality: Makes what measures the quality of one model; None where that is not to be had.
        on_end: Told of every run that has begun, when it ends.
        clock_ns: The client's clock.
        wall: Tells the time of day, in seconds since 1970.
        rest: Waits so many seconds.
        running: Id of the run that is under way; None when none is.
    """

    manager: ModelManager
    fingerprint: Callable[[Machine], Mapping[str, Any]] = lambda _: {}
    meter: Callable[[], Meter] = NoMeter
    quality: MeasuresQuality | None = None
    on_end: OnEnd = lambda _: None
    clock_ns: Callable[[], int] = time.perf_counter_ns
    wall: Callable[[], float] = time.time
    rest: Callable[[float], Awaitable[None]] = asyncio.sleep
    running: str | None = field(default=None, init=False)

    async def run(self, request: BenchmarkRequest) -> AsyncGenerator[Progress | Report, None]:
        """Measure, and yield how far it is; the last item is the Report.

        The measuring does not wait for whoever reads this. Closing it ends the run, and what was
        measured until then is in the report that ``on_end`` gets. Models that the run has loaded
        stay loaded unless the request says otherwise.

        Raises:
            InvalidRequest: when the request makes no sense, naming each value at fault.
            StateConflict: when another benchmark runs.
        """
        request.check()
        if self.running is not None:
            raise StateConflict(
                f"benchmark {self.running} is running; wait for its end, or end it first"
            )
        run = Run(self, request)
        self.running = run.id
        try:
            await run.prepare()
            async with aclosing(self._followed(run)) as news:
                async for each in news:
                    yield each
        finally:
            self.running = None
        yield run.report

    async def _followed(self, run: "Run") -> AsyncGenerator[Progress, None]:
        """Yield how far *run* is; when this ends, so has the run, and its report is made."""
        work = asyncio.create_task(run.work())
        try:
            while not work.done() or not run.news.empty():
                if (news := await _next(run.news, work)) is not None:
                    yield news
            await work
            stopping = STOPPED if self.manager.closing else None
            run.ended = run.session.aborted or stopping or COMPLETED
        except Exception as error:
            run.ended = f"failed: {error}"
            raise
        finally:
            try:
                await _stopped(work)
            finally:
                run.report = run.reported()
                self.on_end(run.report)


@define(eq=False)
class Run:
    """One run of a benchmark.

    Attributes:
        runner: What it has to work with.
        request: What is asked.
        id: Sorts by time.
        session: What was measured so far.
        news: How far it is, for whoever reads.
        ended: ``completed``, ``cancelled``, or why it ended before its time.
        report: What was measured, once it has ended.
    """

    runner: Runner
    request: BenchmarkRequest
    id: str = field(init=False)
    session: Session = field(init=False)
    news: asyncio.Queue[Progress] = field(factory=asyncio.Queue, init=False)
    ended: str = field(default=CANCELLED, init=False)
    report: Report = field(init=False)
    _host: Mapping[str, Any] = field(factory=dict, init=False)
    _began: float = field(init=False)

    def __attrs_post_init__(self) -> None:
        runner = self.runner
        watch = Stopwatch(runner.clock_ns, runner.wall)
        meter = runner.meter() if self.request.energy else NoMeter()
        self._began = watch.now()
        at = datetime.fromtimestamp(watch.at(self._began), UTC)
        self.id = f"{at:%Y%m%dT%H%M%SZ}-{secrets.token_hex(3)}"
        self.session = Session(
            self.request,
            secrets.randbelow(MOST_SEED) if self.request.seed is None else self.request.seed,
            runner.manager,
            Client(runner.manager, watch, meter),
            meter,
            self.news.put_nowait,
        )

    async def prepare(self) -> None:
        """Find the models.

        Raises:
            InvalidRequest: when none is named and none is loaded.
        """
        self.session.benches = await self._benches()

    async def work(self) -> None:
        """Measure everything that is asked; what comes of it is in the session."""
        session = self.session
        self._host = self.runner.fingerprint(await session.manager.machine())
        await identified(session)
        with session.manager.watch.canaries.held():
            await self._watched()

    async def _watched(self) -> None:
        session = self.session
        async with session.meter:
            if self.request.energy:
                await self._rest()
            try:
                await self._measure()
            finally:
                if self.request.unload:
                    await self._unload()

    async def _measure(self) -> None:
        session = self.session
        if await all_at_once(session):
            await course(session, session.benches, self.runner.quality)
            return
        session.order = "blocks"
        for bench in session.benches:
            if session.aborted is None:
                await ready(session, bench)
                await course(session, [bench], self.runner.quality)

    async def _rest(self) -> None:
        watch = self.session.client.watch
        self.news.put_nowait(Progress("idle", message=f"measuring {REST_S:g} s of doing nothing"))
        start = watch.now()
        await self.runner.rest(REST_S)
        self.session.meter.rested(start, watch.now())

    async def _benches(self) -> list[Bench]:
        """Return a bench for each model, in the order asked for; one for what is no model, too."""
        models = await self.session.manager.models()
        if not self.request.models:
            found = [it for it in models if _is_meant(it)]
            if not found:
                told = "no model is loaded; name one, or load one first"
                raise InvalidRequest(told, {"models": told})
            return await self._found({f"{it.instance}/{it.info.id}": it for it in found})
        named: dict[str, ServedModel | OracError] = {}
        for name in self.request.models:
            try:
                model = await self.session.manager.find(name)
                named[f"{model.instance}/{model.info.id}"] = model
            except OracError as error:
                named[name] = error
        return await self._found(named)

    async def _found(self, named: Mapping[str, ServedModel | OracError]) -> list[Bench]:
        instances = (await self.session.manager.health()).instances
        versions = {name: it.version for name, it in instances.items()}
        return [
            Bench(Subject(name, ""), error=str(it))
            if isinstance(it, OracError)
            else _bench(it, versions.get(it.instance))
            for name, it in named.items()
        ]

    async def _unload(self) -> None:
        for bench in self.session.benches:
            if bench.loads and bench.found is None:
                with suppress(OracError):
                    await self.session.manager.unload(bench.name)

    def reported(self) -> Report:
        """Return what was measured so far."""
        session, watch = self.session, self.session.client.watch
        return Report(
            self.id,
            self.request.suite,
            watch.at(self._began),
            watch.now() - self._began,
            self._host,
            _plain(asdict(evolve(self.request, seed=session.seed))),
            ranked([session.result(it) for it in session.benches]),
            tuple(session.samples),
            session.order,
            self._verification() if self.request.verify else None,
            self._soak() if self.request.suite == "soak" else None,
            tuple(session.meter.samples),
            self.ended,
        )

    def _verification(self) -> Verification:
        session = self.session
        evidence = [
            Evidence(it.name, it.workloads, session.of(it), it.settled)
            for it in session.benches
            if it.workloads
        ]
        return verification(evidence, session.looks)

    def _soak(self) -> dict[str, Any]:
        session, wanted = self.session, self.request.missions
        models = {
            name: soak(found, wanted, session.aborted) for name, found in session.missions.items()
        }
        passed = bool(models) and all(it["passed"] for it in models.values())
        return {"passed": passed, "models": models}


def _is_meant(model: ServedModel) -> bool:
    """Whether a model is measured that nobody named: not one whose every answer may cost."""
    info = model.info
    return info.state is ModelState.READY and writes(model) and not info.metered


def writes(model: ServedModel) -> bool:
    """Whether a model writes text at all; one of which nothing is known does."""
    can = {*model.info.capabilities}
    return "embedding" not in can or bool(can & {"completion", "chat"})


def _bench(model: ServedModel, version: str | None) -> Bench:
    found = model.info.loaded if model.info.state is ModelState.READY else None
    error = None if writes(model) else "it only makes vectors; there is no answer to measure"
    return Bench(subject(model, version), found=found, error=error)


async def _next(news: "asyncio.Queue[Progress]", work: "asyncio.Task[None]") -> Progress | None:
    """Return what comes first, or None when the work has ended instead."""
    getting = asyncio.ensure_future(news.get())
    try:
        await asyncio.wait((getting, work), return_when=asyncio.FIRST_COMPLETED)
        return getting.result() if getting.done() else None
    finally:
        getting.cancel()


async def _stopped(work: "asyncio.Task[None]") -> None:
    """Return when *work* has ended, of itself or because it was told to."""
    work.cancel()
    await asyncio.wait([work])
    if not work.cancelled():
        work.exception()  # it was raised before, or nobody is left to be told


def _plain(value: Any) -> Any:
    """Return *value* with lists in place of tuples, as JSON has them."""
    if isinstance(value, dict):
        return {name: _plain(each) for name, each in value.items()}
    return [_plain(each) for each in value] if isinstance(value, tuple) else value
