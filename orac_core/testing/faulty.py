"""A backend without an engine, in which goes wrong what a test says."""

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Mapping
from time import monotonic

from attrs import define, field

from ..conversation import Chunk, FinishReason, GenerateRequest, Rates, Usage
from ..errors import BackendUnavailable, InsufficientMemory, InvalidRequest, ModelNotFound
from ..hookspecs import hookimpl
from ..types import InstanceHealth, LoadedInfo, LoadProgress, LoadRequest, ModelInfo, ModelState
from .faults import Fault, FaultKind, befalling, seeded_faults

WORDS = ("one ", "two ", "three")
DRIFT = 0.9
"""Speed of an answer, relative to the one before, in a slow drift."""


@define(eq=False)
class FaultyBackend:
    """Serves models from nothing and keeps every promise, but for the faults it is given.

    Attributes:
        sizes: Bytes that each of its models takes.
        faults: What goes wrong, and in which call.
        speed_tokens_per_second: What it says of its answers while nothing is wrong.
        late_s: How long memory stays taken that is late.
        clock: Tells seconds that never go back.
        loaded: The models in memory, with what they use.
        calls: How often each operation was called.
    """

    sizes: Mapping[str, int] = field(factory=lambda: {"small": 1 << 30, "large": 2 << 30})
    faults: tuple[Fault, ...] = ()
    speed_tokens_per_second: float = 20.0
    late_s: float = 5.0
    clock: Callable[[], float] = monotonic
    loaded: dict[str, LoadedInfo] = field(factory=dict, init=False)
    calls: Counter[str] = field(factory=Counter, init=False)
    _late: list[tuple[float, int]] = field(factory=list, init=False)
    _drifted: float | None = field(default=None, init=False)
    _down: bool = field(default=False, init=False)

    @classmethod
    def seeded(cls, seed: int, count: int = 5) -> "FaultyBackend":
        """Return one with *count* faults that follow from *seed*."""
        return cls(faults=seeded_faults(seed, count))

    def taken_bytes(self) -> int:
        """Return the bytes that models take, and those that are late."""
        now = self.clock()
        late = sum(size for until, size in self._late if until > now)
        return late + sum(self.sizes[model] for model in self.loaded)

    def crash(self) -> None:
        """Let the engine die, with all its models; the next load brings it back."""
        self.loaded.clear()
        self._down = True

    @hookimpl
    async def models(self) -> list[ModelInfo]:
        """List the models; those of a dead engine are stopped."""
        return [self._info(model, size) for model, size in self.sizes.items()]

    def _info(self, model: str, size: int) -> ModelInfo:
        loaded = self.loaded.get(model)
        state = ModelState.READY if loaded else ModelState.STOPPED
        capabilities = ("completion", "chat")
        return ModelInfo(model, state, size_bytes=size, loaded=loaded, capabilities=capabilities)

    @hookimpl
    async def load(self, request: LoadRequest) -> AsyncGenerator[LoadProgress, None]:
        """Load a model, unless the memory is short.

        Raises:
            ModelNotFound: when there is no such model.
            InsufficientMemory: when that is the fault.
        """
        if request.model not in self.sizes:
            raise ModelNotFound(request.model)
        faults = self._befalling("load")
        yield LoadProgress("start")
        if "out of memory" in faults:
            size = self.sizes[request.model]
            raise InsufficientMemory(
                f"{request.model} does not fit into memory; unload another", needed_bytes=size
            )
        await asyncio.sleep(0)
        self._down = False
        self.loaded.setdefault(request.model, self._used(request, spilt="spill" in faults))

    def _used(self, request: LoadRequest, *, spilt: bool) -> LoadedInfo:
        return LoadedInfo(
            request.context_length or 512,
            request.gpu_layers,
            request.parallel or 1,
            self.sizes[request.model],
            on_gpu_ratio=0.5 if spilt else 1.0,
            adapters=request.adapters,
        )

    @hookimpl
    async def unload(self, model: str) -> None:
        """Unload a model; late memory stays taken for `late_s`."""
        if self.loaded.pop(model, None) and "late memory" in self._befalling("unload"):
            self._late.append((self.clock() + self.late_s, self.sizes[model]))

    @hookimpl
    async def generate(self, request: GenerateRequest) -> AsyncGenerator[Chunk, None]:
        """Say ``one two three``, or as much of it as ``max_tokens`` allows.

        Raises:
            InvalidRequest: when nothing is asked.
            BackendUnavailable: when the model is not loaded, or the engine crashes.
        """
        self._check(request)
        faults = self._befalling("generate")
        words = WORDS[: request.options.max_tokens]
        for number, word in enumerate(words):
            await asyncio.sleep(0)
            self._alive(request.model)
            yield Chunk(word)
            if number == 0:
                await self._break(faults, request.model)
        if "cut stream" not in faults:
            yield self._last(request.model, len(words))

    def _check(self, request: GenerateRequest) -> None:
        if not request.messages and not request.prompt:
            raise InvalidRequest("there is nothing to answer; give messages or a prompt")
        self._alive(request.model)

    def _alive(self, model: str) -> None:
        if self._down:
            raise BackendUnavailable("the engine has died; load the model again")
        if model not in self.loaded:
            raise BackendUnavailable(f"{model} is not loaded; load it")

    async def _break(self, faults: frozenset[FaultKind], model: str) -> None:
        if "hang" in faults:
            await asyncio.Event().wait()
        if "crash" in faults:
            self.crash()
            self._alive(model)
        if "slow drift" in faults and self._drifted is None:
            self._drifted = 1.0

    def _last(self, model: str, count: int) -> Chunk:
        reason: FinishReason = "stop" if count == len(WORDS) else "length"
        rates = Rates(decode_tokens_per_second=self._speed(model))
        return Chunk(done=True, finish_reason=reason, usage=Usage(2, count, 0), rates=rates)

    def _speed(self, model: str) -> float:
        loaded = self.loaded.get(model)
        share = (loaded.on_gpu_ratio if loaded else None) or 1.0
        if self._drifted is not None:
            self._drifted *= DRIFT
        return self.speed_tokens_per_second * share * (self._drifted or 1.0)

    @hookimpl
    async def health(self) -> InstanceHealth:
        """Say whether the engine runs."""
        message = "the engine has died; load a model and it comes back" if self._down else ""
        return InstanceHealth(not self._down, message, version="1")

    def _befalling(self, operation: str) -> frozenset[FaultKind]:
        self.calls[operation] += 1
        return befalling(self.faults, operation, self.calls[operation])
