"""A model on a machine that is told what is wrong with it, and reacts as one would."""

import asyncio
import random
from pathlib import Path

from attrs import define, evolve, field

from orac_core.doctor.causes import Cause
from orac_core.doctor.evidence import Snapshot
from orac_core.doctor.patient import ALL_LAYERS, Standing
from orac_core.errors import BackendError, InsufficientMemory
from tests.core.doctor.machines import GIB, NANO, Instruments, State

LOAD_S = 8.0
CANARY_S = 1.0
LATE_S = 5.0

FRESH = State(
    board=NANO,
    rate=37.0,
    size=3 * GIB,
    slowness=7.0,
    programs=1.2 * GIB,
    cache=1.0 * GIB,
    swap_used=0.1 * GIB,
    swap_speed=1e8,
    slope=1e-4,
    mode="MAXN",
)

LASTING = {
    Cause.GPU_LOST: {"gpu_lost": True},
    Cause.LEFTOVER: {"leftover": 1.0 * GIB, "leftover_load": 0.5},
    Cause.POWER_MODE: {"mode": "15W", "clock": 0.6},
    Cause.OVER_CURRENT: {"over_current": 40, "clock": 0.3},
    Cause.HEAT: {"hot": True, "clock": 0.5},
    Cause.SWAP: {"waiting": 0.7, "swap_used": 2.0 * GIB},
    Cause.GPU_SHARED: {"user": 0.8 * GIB, "user_load": 0.5},
    Cause.ENGINE_CHANGED: {"version": "0.17.0", "version_factor": 0.5},
}
"""What no reload changes."""

CACHED = 5.0 * GIB
"""Page cache once other models have been read; that of this one's own file is part of it."""


@define(eq=False)
class ScriptedBench:
    """A model of which *causes* make it slow, from the load number *from_load* on.

    Attributes:
        files: Its file; with it gone from the cache, the cache is small.
        broken: Whether each load fails.
        refuses_layers: Whether a load with forced layers fails.
        done: All that was asked of it.
    """

    causes: tuple[Cause, ...] = ()
    files: tuple[Path, ...] = ()
    loaded: bool = True
    gpu_layers: int | None = None
    from_load: int = 0
    seed: int = 0
    broken: bool = False
    refuses_layers: bool = False
    done: list[str] = field(factory=list, init=False)
    loads: int = field(default=0, init=False)
    state: State = field(default=FRESH, init=False)
    _read: Instruments = field(init=False)
    _chance: random.Random = field(init=False)
    _asked: int | None = field(default=None, init=False)
    _unloaded_at: float | None = field(default=None, init=False)
    _deepest: int = field(default=300, init=False)

    def __attrs_post_init__(self) -> None:
        self._chance = random.Random(self.seed)
        self._read = Instruments(self._chance)
        self._asked = self.gpu_layers
        for cause in self.causes:
            self.state = evolve(self.state, **LASTING.get(cause, {}))
        self._placed(since=0.0)
        if Cause.CONTEXT in self.causes:
            self._deepest = 30_000
            self.state = evolve(self.state, version_factor=0.45)

    @property
    def cold(self) -> bool:
        return any(path.read_text() == "given back" for path in self.files)

    async def standing(self) -> Standing:
        return Standing(self.loaded, self.gpu_layers)

    async def load(self, gpu_layers: int | None) -> None:
        self.done.append("load" if gpu_layers is None else f"load {gpu_layers}")
        now = asyncio.get_running_loop().time()
        await asyncio.sleep(LOAD_S)
        if self.broken:
            raise BackendError("the engine ended with code 1")
        if self.refuses_layers and gpu_layers:
            raise InsufficientMemory("cudaMalloc failed")
        self.loads, self.loaded, self.gpu_layers = self.loads + 1, True, gpu_layers
        self._placed(since=now - self._unloaded_at if self._unloaded_at is not None else 900.0)
        if Cause.CONTEXT in self.causes:
            self._deepest, self.state = 300, evolve(self.state, version_factor=1.0)

    async def unload(self) -> None:
        self.done.append("unload")
        await asyncio.sleep(0.5)
        self._unloaded_at = asyncio.get_running_loop().time() if self.loaded else self._unloaded_at
        self.loaded, self.gpu_layers = False, self._asked

    async def canary(self) -> float:
        self.done.append("canary")
        assert self.loaded, "a model that is not loaded can not answer"
        await asyncio.sleep(CANARY_S)
        return self.state.tokens_per_second * self._chance.gauss(1, 0.02)

    async def snapshot(self) -> Snapshot:
        snapshot = self._read.snapshot(self.state)
        return evolve(snapshot, deepest_tokens=self._deepest)

    def _placed(self, since: float) -> None:
        """Put the layers where the engine thinks that there is room."""
        if self.loads < self.from_load:
            return
        late = Cause.MEMORY_LATE in self.causes and since < LATE_S
        cached = Cause.PAGE_CACHE in self.causes and not self.cold
        forced = self.gpu_layers == ALL_LAYERS
        self.state = evolve(
            self.state,
            cache=CACHED if cached else FRESH.cache,
            counts_cache=not forced,
            unreturned=0.0 if forced or not late else 3.5 * GIB,
            unload_to_load=since,
            loads=self.loads,
        )


async def baseline(n: int = 7) -> tuple[tuple[float, ...], Snapshot]:
    """Return rates of the model before anything was wrong, and what was known then."""
    chance = random.Random(1)
    rates = tuple(FRESH.tokens_per_second * chance.gauss(1, 0.02) for _ in range(n))
    return rates, evolve(Instruments(chance).snapshot(FRESH), deepest_tokens=300)
