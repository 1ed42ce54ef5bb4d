"""The models that are loaded: who uses them, how long they stay, when they have to be reloaded."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from time import perf_counter_ns
from typing import Any

from attrs import define, field, frozen

from .engines import Engine
from .faults import Faults
from .generations import Generation
from .model import Model
from .names import Name
from .refusal import Refusal
from .when import DEFAULT, now, stamp

LOAD_TIME = ("num_ctx", "num_batch", "num_gpu", "main_gpu", "use_mmap", "num_thread")

_DEFAULT_WINDOW, _SMALLEST_WINDOW = 4096, 4
_UNLOADING_S = 0.3


@frozen
class Wanted:
    """A model with the options that a request of it asks for."""

    name: Name
    model: Model
    options: Mapping[str, Any]

    @property
    def key(self) -> str:
        """Models of one file share what is loaded."""
        return self.model.weights

    @property
    def window(self) -> int:
        asked = self.options.get("num_ctx") or _DEFAULT_WINDOW
        return max(_SMALLEST_WINDOW, min(asked, self.model.context_length))

    @property
    def load_time(self) -> tuple[Any, ...]:
        """What makes a reload necessary when it changes."""
        return (self.window, *(self.options.get(option) for option in LOAD_TIME[1:]))


@define(eq=False)
class Runner:
    """A loaded model, under the name by which it was loaded."""

    wanted: Wanted
    engine: Engine
    expires_at: datetime
    keeps: timedelta = DEFAULT
    users: int = 0
    leaves_after: int | None = None
    last_prompt: str | None = None
    turn: asyncio.Semaphore = field(factory=lambda: asyncio.Semaphore(1))
    idle: asyncio.Event = field(factory=asyncio.Event, init=False)

    @property
    def size(self) -> int:
        model = self.wanted.model
        return model.size + model.kv_bytes * self.wanted.window

    @property
    def is_leaving(self) -> bool:
        return self.leaves_after is not None

    def listed(self, vram_share: float) -> dict[str, Any]:
        """Return what /api/ps says."""
        name = self.wanted.name.short
        return {
            "name": name,
            "model": name,
            "size": self.size,
            "digest": self.wanted.model.digest,
            "details": self.wanted.model.details,
            "expires_at": stamp(self.expires_at),
            "size_vram": int(self.size * vram_share),
            "context_length": self.wanted.window,
        }


@define(eq=False)
class Runners:
    """Everything that is loaded.

    Attributes:
        loads: Models loaded so far, reloads among them.
        reloads: Loads that only other options made necessary.
        most: How many may be loaded at once; None for no limit.
        parallel: Requests that one model answers at once.
        keeps: How long a model stays when a request does not say.
        examine: Refuses the files that no engine can load.
    """

    generation: Generation
    faults: Faults
    clock: Callable[[], datetime] = now
    engine: Callable[[str], Engine] = Engine
    examine: Callable[[Model], None] = lambda model: None
    most: int | None = None
    parallel: int = 1
    keeps: timedelta = DEFAULT
    loads: int = 0
    reloads: int = 0
    _running: dict[str, Runner] = field(factory=dict, init=False)
    _locks: dict[str, asyncio.Lock] = field(factory=dict, init=False)
    _timers: set[asyncio.TimerHandle] = field(factory=set, init=False)

    def poll(self) -> list[dict[str, Any]]:
        """Return what /api/ps lists: longest kept first."""
        self.sweep()
        ordered = sorted(
            self._running.values(),
            key=lambda it: it.expires_at.replace(microsecond=0),
            reverse=True,
        )
        listed = [runner.listed(self.faults.vram_share) for runner in ordered]
        for runner in list(self._running.values()):
            self._count_down(runner)
        return listed

    def _count_down(self, runner: Runner) -> None:
        if runner.leaves_after is None or runner.users or runner.leaves_after < 0:
            return
        runner.leaves_after -= 1
        if runner.leaves_after <= 0:
            self._remove(runner)

    def sweep(self) -> None:
        """Let go what nobody asked for as long as it was to be kept."""
        for runner in list(self._running.values()):
            if not runner.users and not runner.is_leaving and runner.expires_at <= self.clock():
                self._leave(runner)

    def held(self) -> Iterator[Runner]:
        """Yield the runners that hold memory."""
        self.sweep()
        return (runner for runner in self._running.values() if not runner.engine.dead)

    def named(self, name: Name) -> Runner | None:
        running = self._running.values()
        return next((it for it in running if it.wanted.name.key == name.key), None)

    def unload(self, wanted: Wanted) -> None:
        """Let a model go: now, or as soon as nobody uses it."""
        runner = self._running.get(wanted.key)
        if runner is None or runner.is_leaving:
            return
        runner.keeps, runner.expires_at = timedelta(), self.clock()
        if not runner.users:
            self._leave(runner)

    @asynccontextmanager
    async def used(self, wanted: Wanted, keeps: timedelta | None) -> AsyncIterator["Use"]:
        """Have a model loaded and, in its turn, to oneself."""
        began = perf_counter_ns()
        runner = await self._ready(wanted)
        loaded = perf_counter_ns()
        runner.users += 1
        runner.idle.clear()
        runner.keeps = self.keeps if keeps is None else keeps
        try:
            async with runner.turn:
                yield Use(runner, loaded - began)
        finally:
            runner.users -= 1
            self._after(runner)

    def _after(self, runner: Runner) -> None:
        if runner.users:
            return
        runner.idle.set()
        runner.expires_at = self.clock() + runner.keeps
        if not runner.keeps:
            self._leave(runner)

    async def _ready(self, wanted: Wanted) -> Runner:
        async with self._locks.setdefault(wanted.key, asyncio.Lock()):
            self.sweep()
            runner = self._running.get(wanted.key)
            if runner and self._fits(runner, wanted):
                return runner
            if runner:
                await self._replaced(runner)
            await self._make_room()
            return await self._load(wanted)

    def _fits(self, runner: Runner, wanted: Wanted) -> bool:
        alive = not runner.engine.dead and not runner.is_leaving
        return alive and runner.wanted.load_time == wanted.load_time

    async def _replaced(self, runner: Runner) -> None:
        """Wait until nobody uses a runner, and end it for the one to come."""
        if runner.users:
            await runner.idle.wait()
        if not runner.engine.dead and not runner.is_leaving:
            self.reloads += 1
        self._remove(runner)

    async def _make_room(self) -> None:
        while self.most is not None and len(self._running) >= self.most:
            runner = min(self._running.values(), key=lambda it: (it.users, it.expires_at))
            if runner.users:
                await runner.idle.wait()
            self._remove(runner)

    async def _load(self, wanted: Wanted) -> Runner:
        if self.faults.hold_load is not None:
            await self.faults.hold_load.wait()
        if self.faults.out_of_memory:
            raise Refusal(500, self.generation.out_of_memory)
        if self.faults.load_error is not None:
            raise Refusal(500, self.faults.load_error)
        self.examine(wanted.model)
        turn = asyncio.Semaphore(self.parallel)
        expires_at = self.clock() + self.keeps
        runner = Runner(wanted, self.engine(wanted.key), expires_at, turn=turn)
        self._running[wanted.key] = runner
        self.loads += 1
        return runner

    def _leave(self, runner: Runner) -> None:
        asked = self.faults.slow_unload
        polls = self.generation.unload_polls if asked is None else asked
        runner.leaves_after = polls
        if not polls:
            self._remove(runner)
        elif asked is None:
            loop = asyncio.get_running_loop()
            self._timers.add(loop.call_later(_UNLOADING_S, self._remove, runner))

    def _remove(self, runner: Runner) -> None:
        if self._running.get(runner.wanted.key) is runner:
            del self._running[runner.wanted.key]
            runner.engine.stop()

    def clear(self) -> None:
        """End everything, as a server that stops."""
        for runner in list(self._running.values()):
            self._remove(runner)
        self.abandon()

    def abandon(self) -> None:
        """Forget everything, as a server that dies: the processes of the engines live on."""
        for timer in self._timers:
            timer.cancel()
        self._timers.clear()
        self._running.clear()
        self._locks.clear()


@frozen
class Use:
    """A runner, and how long it took to be ready."""

    runner: Runner
    load_ns: int
