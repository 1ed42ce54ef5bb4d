"""A machine on virtual time with an engine whose speed a test decides, and a runner in front."""

import asyncio
import itertools
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing

from attrs import define, evolve, field

import orac_core
from orac_core import (
    BackendUnavailable,
    Chunk,
    GenerateRequest,
    LoadProgress,
    LoadRequest,
    ModelInfo,
    ModelManager,
    Rates,
    Usage,
    hookimpl,
)
from orac_core.benchmark.progress import Progress
from orac_core.benchmark.request import BenchmarkRequest
from orac_core.benchmark.results import Report, Sample
from orac_core.benchmark.run import Runner
from orac_core.manifest import parse
from tests.scripted import ScriptedBackend, ScriptedSettings, plugins
from tests.simulation import loop
from tests.simulation.machine import SimulatedMachine, SimulatedSensors

GIB = 1 << 30
WALL = 1_700_000_000.0
NS = 1_000_000_000

Scene = Callable[["Engine", Runner], Awaitable[None]]


@define(eq=False)
class Engine(ScriptedBackend):
    """Reads a word in 1 ms and writes a token in 10 ms, exactly, and says so.

    ``slow`` is by how much each of its models is slower. ``cached`` are tokens that it says it had.
    """

    settings: ScriptedSettings = field(factory=lambda: ScriptedSettings(("fast", "slow")))
    machine: SimulatedMachine = field(factory=lambda: SimulatedMachine(4 * GIB))
    slow: dict[str, float] = field(factory=lambda: {"slow": 3.0})
    cached: int = 0
    load_s: float = 2.0
    size_bytes: int = GIB
    context_length: int = 4096
    asked: list[GenerateRequest] = field(factory=list)
    broken: set[str] = field(factory=set)
    fading: float = 1.0
    growing_bytes: int = 0
    says_nothing: bool = False
    metered: frozenset[str] = frozenset()

    def _info(self, name: str) -> ModelInfo:
        info = evolve(super()._info(name), size_bytes=self.size_bytes)
        grown = self.size_bytes + self.growing_bytes * len(self.asked)
        loaded = info.loaded and evolve(
            info.loaded,
            memory_bytes=grown,
            context_length=self.loaded[name].context_length or self.context_length,
        )
        return evolve(info, loaded=loaded, metered=name in self.metered)

    @hookimpl
    async def load(self, request: LoadRequest) -> AsyncGenerator[LoadProgress, None]:
        yield LoadProgress("read")
        self.calls.append(("load", request.model))
        await asyncio.sleep(self.load_s)
        await self._pass(f"load {request.model}")
        self.machine.take(request.model, self.size_bytes)
        self.loaded[request.model] = request

    @hookimpl
    async def unload(self, model: str) -> None:
        self.calls.append(("unload", model))
        self.loaded.pop(model, None)
        self.machine.give_back(model, 0.0)

    @hookimpl
    async def generate(self, request: GenerateRequest) -> AsyncGenerator[Chunk, None]:
        if request.options.max_tokens == 1 and request.messages:  # the proof of a load
            yield Chunk("x")
            yield Chunk(done=True, finish_reason="length", usage=Usage(1, 1, 0))
            return
        self.asked.append(request)
        self.calls.append(("generate", request.model))
        if request.model in self.broken:
            raise BackendUnavailable(f"{request.model} is broken")
        factor = self.slow.get(request.model, 1.0) * self.fading ** len(self.asked)
        words = (request.prompt or " ".join(it.content for it in request.messages)).split()
        await self._pass("first")
        await asyncio.sleep(0.001 * len(words) * factor)
        tokens = request.options.max_tokens or 1
        for number in range(tokens):
            if number:
                await asyncio.sleep(0.01 * factor)
            yield Chunk(f"{number} ")
        rates = Rates(1000 / factor, 100 / factor)
        usage = Usage(len(words), tokens, self.cached)
        if self.says_nothing:
            rates, usage = Rates(), Usage()
        yield Chunk(done=True, finish_reason="length", usage=usage, rates=rates)


def play(scene: Scene, engine: Engine | None = None, **models) -> Engine:
    """Run *scene* on virtual time; *models* is the table of the manifest."""
    engine = engine or Engine()

    async def on_stage() -> None:
        data = {"backends": {"here": {"kind": "scripted"}}, "models": models}
        async with orac_core.open(
            parse(data, "test"),
            plugins=plugins(engine),
            environ={},
            sensors=SimulatedSensors(machine=engine.machine),
        ) as manager:
            await scene(engine, runner(manager))

    loop.run(on_stage)
    return engine


def runner(manager: ModelManager, **more) -> Runner:
    """Return a runner whose clock is that of the loop."""
    now = asyncio.get_running_loop().time
    return Runner(manager, clock_ns=lambda: round(now() * NS), wall=lambda: WALL + now(), **more)


async def outcome(runner: Runner, request: BenchmarkRequest) -> Report:
    """Return the report of a run."""
    return (await everything(runner, request))[1]


async def everything(runner: Runner, request: BenchmarkRequest) -> tuple[list[Progress], Report]:
    """Return all that a run yields."""
    async with aclosing(runner.run(request)) as news:
        found = [each async for each in news]
    progress = [it for it in found if isinstance(it, Progress)]
    (report,) = (it for it in found if isinstance(it, Report))
    assert found == [*progress, report]
    return progress, report


def short(*models: str, **more) -> BenchmarkRequest:
    """Return a request for the least that is of use."""
    given = {"presets": ("pp16+tg8",), "rounds": 2, "seed": 7}
    return BenchmarkRequest(models or ("fast",), **given | more)


def made(workload: str = "pp16+tg8", number: int = 1, *, start: float = 0.0, **more) -> Sample:
    """Return a sample of a good answer: 0.5 s, of which 0.1 s to the first token."""
    given = {
        "elapsed_s": 0.5,
        "ttft_s": 0.1,
        "tpot_s": 0.05,
        "prompt_tokens": 16,
        "completion_tokens": 9,
        "cached_tokens": 0,
        "decode_tokens_per_second": 20.0,
        "finish_reason": "length",
    }
    return Sample("here/fast", workload, number, start, **given | more)


def order_of(samples: list[Sample]) -> list[str]:
    """Return the models of measured samples, one after the other, repetitions left out."""
    return [model for model, _ in itertools.groupby(it.model for it in samples if it.round)]
