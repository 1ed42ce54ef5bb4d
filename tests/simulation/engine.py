"""A simulated engine: it takes virtual time and memory, breaks, and notes what nobody may do."""

import asyncio
import math
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import aclosing, contextmanager

from attrs import define, field

from orac_core import (
    BackendError,
    BackendUnavailable,
    Chunk,
    GenerateRequest,
    InstanceHealth,
    LoadedInfo,
    LoadProgress,
    LoadRequest,
    ModelInfo,
    ModelNotFound,
    ModelState,
    Rates,
    Usage,
    hookimpl,
)
from orac_core.errors import InsufficientMemory
from orac_core.serving.canaries import PROMPT
from tests.scripted import ScriptedSettings
from tests.simulation.faults import Faults
from tests.simulation.lives import Life, SimulatedModel
from tests.simulation.machine import SimulatedMachine

SLICES = 4
"""Steps in which a model is read into memory."""

SLOW_STOP_S = 3.0
"""Longest time from closing an answer to its end."""

ASKED_FOR = ("never loaded", "unloaded", "not loaded again")
"""Why a model may be absent so that ORAC itself has to know it."""

USUAL = LoadedInfo(512, 0, 1)
"""What a load that asks for nothing uses."""

SONG_TOKENS = 32
"""Tokens of a canary."""

LATE_S = 1.0
"""A list that was asked for so long after the last event tells ORAC of it for certain."""


class Judge:
    """Looks on; the one of a simulation knows what was asked for."""

    def unloads(self, engine: "SimulatedEngine", model: str) -> None:
        """Take note that ORAC unloads a model that is in memory."""

    def turned_away(self, engine: "SimulatedEngine", model: str) -> None:
        """Take note that a load ended before it had taken memory."""


@define(eq=False)
class SimulatedEngine:
    """Serves simulated models on a simulated machine.

    Attributes:
        name: Of the instance, for the notes.
        machine: Whose memory it takes.
        faults: What goes wrong.
        known: Its models.
        note: Takes a line for the trace.
        lives: The models in memory.
        absent: Why a model is not in memory.
        loading: Loads under way.
        awaiting: Loads that wait until they may take memory.
        awaited_at: When the last of them waited.
        deaf: Questions that it does not answer for long.
        deaf_at: When it last failed to answer.
        seen_gone: Models that were listed as absent since something happened to them.
        unloading: Unloads under way.
        answering: Answers under way.
        events: For each model, how often something happened to it.
        happened_at: When something last did.
        down: Whether nobody can reach it.
        closed: Whether ORAC has let go of it.
        sins: What ORAC did and must not.
        songs: Canaries that were begun.
        judge: Looks on.
    """

    name: str
    machine: SimulatedMachine
    faults: Faults
    known: dict[str, SimulatedModel]
    note: Callable[[str], None]
    settings: ScriptedSettings = field(factory=ScriptedSettings)
    lives: dict[str, Life] = field(factory=dict)
    absent: dict[str, str] = field(factory=dict)
    loading: Counter[str] = field(factory=Counter)
    awaiting: set[str] = field(factory=set)
    awaited_at: float = -math.inf
    deaf: int = 0
    deaf_at: float = -math.inf
    seen_gone: set[str] = field(factory=set)
    happened_at: dict[str, float] = field(factory=dict)
    unloading: Counter[str] = field(factory=Counter)
    answering: Counter[str] = field(factory=Counter)
    events: Counter[str] = field(factory=Counter)
    down: bool = False
    closed: bool = False
    sins: list[str] = field(factory=list)
    songs: int = 0
    judge: Judge = field(factory=Judge)

    @property
    def generating(self) -> int:
        return self.answering.total()

    @property
    def busy(self) -> int:
        return self.generating + self.loading.total() + self.unloading.total()

    def busy_with(self, model: str) -> int:
        return self.answering[model] + self.loading[model] + self.unloading[model]

    @hookimpl
    async def models(self) -> list[ModelInfo]:
        asked_at = _now()
        await self._reach("models")
        if self.faults.strikes("models hangs"):
            self.note(f"{self.name} is deaf")
            with self._deaf():
                await asyncio.sleep(self.faults.seconds(5, 30))
        if self.faults.strikes("models fails"):
            self.deaf_at = _now()
            raise BackendError("the list of models is garbled")
        self._listed(asked_at)
        return [self._info(name) for name in self.known]

    @hookimpl
    async def load(self, request: LoadRequest) -> AsyncGenerator[LoadProgress, None]:
        if request.model not in self.known:
            raise ModelNotFound(request.model)
        with self._counted(self.loading, "load", request.model):
            if self.loading[request.model] > 1:
                self._sin(f"two loads of {request.model} at once")
            begun_at = _now()
            if life := self.lives.get(request.model):
                life.proved = False
            await self._reach("load")
            yield LoadProgress("validate")
            if life := self.lives.get(request.model):
                life.foreign = life.proved = False
                return
            with self._waiting_for_memory(request.model):
                yield LoadProgress("read", 0, SLICES)
            async with aclosing(self._read(request)) as stages:
                async for stage in stages:
                    yield stage
            self.lives[request.model] = Life(request, begun_at)
            self._happened(request.model, "loaded")

    async def _read(self, request: LoadRequest) -> AsyncGenerator[LoadProgress, None]:
        model = self.known[request.model]
        with self.machine.reading(model.name, model.need_bytes) as since:
            try:
                for done in range(1, SLICES + 1):
                    await self._read_slice(model, request, since)
                    yield LoadProgress("read", done, SLICES)
            except BaseException:
                self.absent[model.name] = "not loaded again"
                self.machine.give_back(model.name)
                raise

    @hookimpl
    async def unload(self, model: str) -> None:
        life = self.lives.get(model)
        if life and life.answers:
            self._sin(f"{model} was unloaded under a running answer")
        if life:
            self.judge.unloads(self, model)
        with self._counted(self.unloading, "unload", model):
            await self._reach("unload")
            if self.faults.strikes("unload fails"):
                raise BackendError(f"the engine keeps {model}")
            slow = self.faults.strikes("unload is slow")
            await asyncio.sleep(self.faults.seconds(10, 90) if slow else 0.2)
            late = self.faults.strikes("memory comes back late")
            self.vanish(model, "unloaded", self.faults.seconds(0.5, 8) if late else 0)

    @hookimpl
    async def generate(self, request: GenerateRequest) -> AsyncGenerator[Chunk, None]:
        if request.prompt == PROMPT:
            async with aclosing(self._sung(request.model)) as song:
                async for chunk in song:
                    yield chunk
            return
        canary = request.options.max_tokens == 1
        with self._counted(self.answering, "answer", request.model):
            why = self._absence(request.model)  # when it was asked, not when that arrived
            await self._reach("generate")
            with self._alive(self._life(request.model, why), canary=canary) as life:
                count, whole = 1 if canary else 1 + self.faults.random.randrange(20), False
                try:
                    words = self._words(self.known[request.model], life, count)
                    async with aclosing(words) as chunks:
                        async for chunk in chunks:
                            whole = chunk.done
                            yield chunk
                finally:
                    if self.faults.strikes("answer is slow to stop"):
                        await asyncio.sleep(self.faults.seconds(0.1, SLOW_STOP_S))
                life.proved = life.proved or whole

    async def _sung(self, model: str) -> AsyncGenerator[Chunk, None]:
        """Answer a canary, which is no use of the model and never beside one."""
        if self.closed:
            self._sin(f"a canary of {model} after the end")
        self.songs += 1
        with self._alive(self._life(model, ""), canary=True) as life:
            for _ in range(SONG_TOKENS):
                await asyncio.sleep(self.known[model].token_s)
                self._still(model, life)
                if self.busy:
                    self._sin(f"a canary of {model} went on while there was work")
                yield Chunk("word ")
            rates = Rates(decode_tokens_per_second=1 / self.known[model].token_s)
            usage = Usage(1, SONG_TOKENS, 0)
            yield Chunk(done=True, finish_reason="length", usage=usage, rates=rates)

    @hookimpl
    async def health(self) -> InstanceHealth:
        await asyncio.sleep(self.faults.seconds(0.001, 0.02))
        if self.faults.strikes("health hangs"):
            await asyncio.sleep(self.faults.seconds(1, 10))
        if self.faults.strikes("health fails"):
            raise RuntimeError("the engine says nonsense")
        return InstanceHealth(not self.down, "down" if self.down else "", version="1")

    def _listed(self, asked_at: float) -> None:
        for model in self.known:
            life = self.lives.get(model)
            if asked_at <= self.happened_at.get(model, 0.0) + LATE_S:
                continue
            if life is None:
                self.seen_gone.add(model)
            elif life.listed_at == math.inf:
                life.listed_at = _now()

    def vanish(self, model: str, why: str, memory_after_s: float = 0) -> None:
        """Let *model* be gone; answers that run find out at their next token."""
        self.absent[model] = why
        if self.lives.pop(model, None):
            self.machine.give_back(model, memory_after_s)
            self._happened(model, why)

    def adopt(self, model: str) -> None:
        """Let another program load *model*."""
        self.lives[model] = Life(LoadRequest(model), _now(), foreign=True, proved=True)
        self.machine.take(model, self.known[model].need_bytes)
        self.machine.taken_by_others()
        self._happened(model, "loaded by another program")

    def fall(self) -> None:
        """Nobody can reach it, and what was in memory is lost."""
        self.down = True
        for model in tuple(self.lives):
            self.vanish(model, "lost with the engine")

    def truth(self, model: str) -> ModelState:
        """Return the state of *model* as the engine knows it."""
        return ModelState.READY if model in self.lives else ModelState.STOPPED

    def _info(self, name: str) -> ModelInfo:
        life, model = self.lives.get(name), self.known[name]
        if life is None:
            return ModelInfo(name, size_bytes=model.size_bytes, would_use=USUAL)
        context = life.request.context_length or USUAL.context_length
        given = LoadedInfo(context, 0, 1, memory_bytes=model.need_bytes)
        return ModelInfo(
            name, ModelState.READY, size_bytes=model.size_bytes, loaded=given, would_use=USUAL
        )

    async def _reach(self, operation: str) -> None:
        await asyncio.sleep(self.faults.seconds(0.001, 0.02))
        if self.down or self.faults.strikes("call gets lost"):
            self.deaf_at = _now()
            raise BackendUnavailable(f"{operation}: the engine can not be reached")

    async def _read_slice(self, model: SimulatedModel, request: LoadRequest, since: float) -> None:
        if self.faults.strikes("load hangs"):
            await asyncio.sleep(self.faults.seconds(10, 900))
        await asyncio.sleep(model.load_s / SLICES)
        if self.down:
            raise BackendUnavailable("the engine died while it read the model")
        if self.faults.strikes("load fails"):
            raise BackendError(f"{model.name} can not be read")
        share = model.need_bytes // SLICES
        if not self.machine.has(share, model.name):
            if not request.force and self.machine.surprised_at < since:
                self._sin(f"{model.name} was loaded into {self.machine.available_bytes} bytes")
            raise InsufficientMemory(f"no memory for {model.name}", needed_bytes=share)
        self.machine.take(model.name, share)

    async def _words(
        self, model: SimulatedModel, life: Life, count: int
    ) -> AsyncGenerator[Chunk, None]:
        await asyncio.sleep(model.first_s)
        for number in range(count):
            await self._trouble(model.name)
            self._still(model.name, life)
            yield Chunk(f"{number} ")
            await asyncio.sleep(model.token_s)
        self._still(model.name, life)
        if not self.faults.strikes("answer breaks off"):
            yield Chunk(done=True, finish_reason="stop", usage=Usage(1, count, 0))

    async def _trouble(self, model: str) -> None:
        if self.faults.strikes("answer stalls"):
            await asyncio.sleep(self.faults.seconds(10, 600))
        if self.faults.strikes("answer fails"):
            raise RuntimeError("the engine stumbled")
        if self.faults.strikes("crash in mid-answer"):
            self.vanish(model, "crashed")

    def _absence(self, model: str) -> str:
        return "" if model in self.lives else self.absent.get(model, "never loaded")

    def _life(self, model: str, why: str) -> Life:
        life = self.lives.get(model)
        if life is None:
            if why in ASKED_FOR:
                self._sin(f"{model} was asked for an answer and is {why}")
            raise BackendUnavailable(f"{model} is not loaded: {self._absence(model)}")
        return life

    def _still(self, model: str, life: Life) -> None:
        if self.lives.get(model) is not life:
            raise BackendUnavailable(f"{model} is gone: {self.absent.get(model)}")

    @contextmanager
    def _deaf(self) -> Iterator[None]:
        self.deaf += 1
        try:
            yield
        finally:
            self.deaf -= 1
            self.deaf_at = _now()

    @contextmanager
    def _waiting_for_memory(self, model: str) -> Iterator[None]:
        self.awaiting.add(model)
        try:
            yield
        except GeneratorExit:
            self.judge.turned_away(self, model)
            raise
        finally:
            self.awaiting.discard(model)
            self.awaited_at = _now()

    @contextmanager
    def _alive(self, life: Life, *, canary: bool) -> Iterator[Life]:
        life.answers += 1
        if not canary:
            life.answered_at = _now()
        try:
            yield life
        finally:
            life.answers -= 1

    @contextmanager
    def _counted(self, counter: Counter[str], what: str, model: str) -> Iterator[None]:
        if self.closed:
            self._sin(f"{what} of {model} after the end")
        counter[model] += 1
        self._happened(model, what)
        try:
            yield
        except GeneratorExit:
            self._happened(model, f"{what} closed")
            raise
        except BaseException as error:
            self._happened(model, f"{what} ended by {type(error).__name__}")
            raise
        else:
            self._happened(model, f"{what} done")
        finally:
            counter[model] -= 1

    def _happened(self, model: str, what: str) -> None:
        self.events[model] += 1
        self.happened_at[model] = _now()
        self.seen_gone.discard(model)
        if life := self.lives.get(model):
            life.listed_at = math.inf
        self.note(f"{self.name}/{model} {what}")

    def _sin(self, what: str) -> None:
        self.sins.append(what)
        self.note(f"SIN {what}")


def _now() -> float:
    return asyncio.get_running_loop().time()
