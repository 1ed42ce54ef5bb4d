"""One run under way: the models under test, and everything that was measured so far."""

from collections.abc import Callable, Sequence
from typing import Literal

from attrs import define, evolve, field

from ..devices import Machine
from ..errors import OracError
from ..serving import ModelManager
from ..types import LoadedInfo, ModelState, ServedModel
from .measure import Client, Label, Taken
from .meter import Meter
from .progress import Progress
from .questions import Questions, questions
from .request import BenchmarkRequest
from .results import (
    Against,
    LoadTime,
    Measured,
    MemoryUse,
    Quality,
    Result,
    Sample,
    Subject,
    Workload,
)
from .soak import Mission
from .summarise import measured, verdict
from .workloads import Fit, clipped

MOST_FAILURES = 3
"""Requests in a row without an answer after which a model is given up."""


@define(eq=False)
class Bench:
    """One model under test.

    Attributes:
        subject: Which one.
        workloads: What it is asked, cut to its context.
        found: What it was loaded with when the run began; None when it was not.
        fit: How many tokens a word has.
        settled: Whether each workload was warm when measuring began; None where that is unknown.
        error: Why it could not be measured to the end.
    """

    subject: Subject
    workloads: list[Workload] = field(factory=list)
    found: LoadedInfo | None = None
    fit: Fit = field(factory=Fit)
    settled: dict[str, bool | None] = field(factory=dict)
    answer: str = ""
    loads: list[LoadTime] = field(factory=list)
    memory: MemoryUse = field(factory=MemoryUse)
    quality: Quality | None = None
    error: str | None = None
    failures: int = 0

    @property
    def name(self) -> str:
        """``instance/model``."""
        return self.subject.model

    @property
    def alive(self) -> bool:
        """Whether it is still to be measured."""
        return self.error is None

    def seen(self, loaded: LoadedInfo) -> None:
        """Take note of what its engine reports."""
        known = [it for it in (self.memory.peak_bytes, loaded.memory_bytes) if it is not None]
        first = self.memory.bytes is None
        self.memory = evolve(
            self.memory,
            bytes=loaded.memory_bytes if first else self.memory.bytes,
            on_gpu_ratio=loaded.on_gpu_ratio,
            peak_bytes=max(known, default=None),
        )
        self.subject = evolve(
            self.subject,
            context_length=loaded.context_length,
            gpu_layers=loaded.gpu_layers,
            parallel=loaded.parallel,
        )

    def cut(self, workloads: Sequence[Workload]) -> None:
        """Be asked *workloads*, as far as they fit into the context it was loaded with."""
        fitting = [clipped(it, self.subject.context_length) for it in workloads]
        self.workloads = list({it.name: it for it in fitting}.values())

    def took(self, samples: Sequence[Sample]) -> None:
        """Take note of whether it answers; it is given up when it does not any more."""
        for it in samples:
            self.failures = 0 if it.error is None else self.failures + 1
            if self.failures >= MOST_FAILURES:
                self.error = f"{MOST_FAILURES} requests in a row had no answer: {it.error}"


@define(eq=False)
class Session:
    """A run: what it is asked, and all that came of it.

    Attributes:
        request: What is asked.
        seed: Of random text and of sampling.
        manager: Has the models.
        client: Asks and measures.
        meter: Watches the power.
        tell: Told how far it is.
        benches: The models.
        samples: All requests so far, in their order.
        looks: What the machine said, before the rounds and after each.
        missions: What each mission of a soak was like, by model.
        order: Whether models took turns.
        aborted: Why it ended before its time.
    """

    request: BenchmarkRequest
    seed: int
    manager: ModelManager
    client: Client
    meter: Meter
    tell: Callable[[Progress], None]
    benches: list[Bench] = field(factory=list, init=False)
    samples: list[Sample] = field(factory=list, init=False)
    looks: list[Machine] = field(factory=list, init=False)
    order: Literal["interleaved", "blocks"] = field(default="interleaved", init=False)
    missions: dict[str, list[Mission]] = field(factory=dict, init=False)
    aborted: str | None = field(default=None, init=False)

    async def ask(self, bench: Bench, workload: str, number: int, what: Questions) -> list[Taken]:
        """Ask *bench*, keep the samples of round *number*, and return them with their texts."""
        if what.fills:
            await self.client.ask(Label(bench.name, workload, 0), what.fills)
        taken = await self.client.ask(Label(bench.name, workload, number), what.asked)
        found = [it.sample for it in taken]
        self.samples += found
        bench.took(found)
        for it in found if what.words else ():
            bench.fit = bench.fit.learned(what.words or 0, it.prompt_tokens)
        return taken

    async def ask_all(
        self, bench: Bench, workload: Workload, number: int, key: str | None
    ) -> list[Sample]:
        """Ask *bench* everything that *workload* is made of, once."""
        todo = questions(bench.name, workload, bench.fit, self.seed, key)
        found: list[Sample] = []
        for each in todo:
            if bench.alive:
                taken = await self.ask(bench, workload.name, number, each)
                found += [it.sample for it in taken]
                bench.answer = bench.answer or next((it.text for it in taken if it.text), "")
        return found

    def of(self, bench: Bench) -> list[Sample]:
        """Return the samples of one model."""
        return [it for it in self.samples if it.model == bench.name]

    async def look(self, benches: Sequence[Bench]) -> None:
        """Take note of the machine, and of the memory that models take."""
        self.looks.append(await self.manager.machine())
        for bench in benches:
            if bench.alive and (loaded := await self.loaded(bench)):
                bench.seen(loaded)

    async def loaded(self, bench: Bench) -> LoadedInfo | None:
        """Return what a model was loaded with; None when it is not loaded."""
        try:
            info = (await self.manager.find(bench.name)).info
        except OracError:
            return None
        return (info.loaded or LoadedInfo()) if info.state is ModelState.READY else None

    def result(self, bench: Bench) -> Result:
        """Return what one model has come to so far."""
        found = self._measured(bench) if self.request.measures_speed else []
        return Result(
            bench.subject,
            bench.answer,
            tuple(found),
            tuple(bench.loads),
            bench.memory,
            bench.quality,
            self._against(bench, found[0]) if found else None,
            bench.error,
        )

    def _against(self, bench: Bench, headline: Measured) -> Against | None:
        """Return the headline's decode rate compared with the model's baseline."""
        rates = headline.decode_tokens_per_second
        if rates is None or headline.workload.concurrency > 1:
            return None
        depth = (headline.prompt_tokens or 0) + (headline.completion_tokens or 0) / 2
        instance, _, model = bench.name.partition("/")
        found = self.manager.watch.against((instance, model), rates.p50, depth)
        if found is None:
            return None
        ratio, baseline = found
        return Against(ratio, verdict(ratio), baseline.tokens_per_second)

    def _measured(self, bench: Bench) -> list[Measured]:
        samples, goals = self.of(bench), self.request.goals
        found = [measured(it, samples, goals, self.meter.use) for it in bench.workloads]
        return [it for it in found if it.n or it.failures]


def subject(model: ServedModel, version: str | None) -> Subject:
    """Return what tells *model* from others, so that another run can be compared with this."""
    info = model.info
    return Subject(
        f"{model.instance}/{info.id}",
        model.kind,
        version,
        info.digest,
        info.size_bytes,
        info.architecture,
        info.parameters,
        info.quantization,
        roles=model.roles,
    )
