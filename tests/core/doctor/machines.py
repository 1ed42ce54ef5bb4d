"""A model of machines that get slow, made from how they are known to.

It knows nothing of the rules of the diagnosis. A state is physical: who has how much memory, at
which clock the chips run. From it follow the split between GPU and CPU, the rate and the sensors.
"""

import random

from attrs import evolve, frozen

from orac_core.devices import Device, Gpu, Memory
from orac_core.doctor.evidence import Moment, Process, Snapshot

GIB, MIB = 1 << 30, 1 << 20
AMBIENT_C = 25.0
RESERVE = 0.25 * GIB
"""What an engine leaves free on a GPU."""


@frozen
class Board:
    """A kind of machine.

    Attributes:
        cpu_slowness: How much longer a layer takes on the CPU.
        modes: Power modes, each with its clock as a share of the highest.
        swap_speed: Bytes a second that swap can be read with.
    """

    name: str
    unified: bool
    total: float
    vram: float = 0.0
    gpu_hz: float = 0.0
    cpu_hz: float = 2e9
    cpu_slowness: tuple[float, float] = (4.0, 9.0)
    sizes: tuple[float, float] = (1.5, 4.0)
    modes: tuple[tuple[str, float], ...] = ()
    limit_c: float = 87.0
    swap: float = 4.0
    swap_speed: tuple[float, float] = (60e6, 200e6)
    counts_over_current: bool = False

    @property
    def has_gpu(self) -> bool:
        return self.gpu_hz > 0


NANO = Board(
    "Orin Nano 8 GB",
    unified=True,
    total=7.4,
    gpu_hz=1020e6,
    cpu_hz=1.73e9,
    modes=(("MAXN", 1.0), ("25W", 0.9), ("15W", 0.6), ("7W", 0.4)),
    counts_over_current=True,
)
AGX = Board(
    "AGX Orin 64 GB",
    unified=True,
    total=61.4,
    gpu_hz=1301e6,
    cpu_hz=2.2e9,
    sizes=(4.0, 40.0),
    modes=(("MAXN", 1.0), ("50W", 0.64), ("30W", 0.48), ("15W", 0.32)),
    swap=30.0,
    swap_speed=(300e6, 1e9),
    counts_over_current=True,
)
THOR = Board(
    "Thor 128 GB",
    unified=True,
    total=122.8,
    gpu_hz=1575e6,
    cpu_hz=2.6e9,
    sizes=(5.0, 70.0),
    modes=(("MAXN", 1.0), ("120W", 0.88), ("70W", 0.55)),
    swap=30.0,
    swap_speed=(300e6, 1e9),
    counts_over_current=True,
)
DESK = Board(
    "x86 with a GPU",
    unified=False,
    total=31.0,
    vram=16.0,
    gpu_hz=2.5e9,
    cpu_hz=4.5e9,
    cpu_slowness=(8.0, 15.0),
    sizes=(4.0, 13.0),
    limit_c=83.0,
    swap=8.0,
    swap_speed=(300e6, 1e9),
)
LAPTOP = Board(
    "laptop without GPU",
    unified=False,
    total=15.5,
    cpu_hz=4.2e9,
    sizes=(1.5, 7.0),
    limit_c=95.0,
    swap=8.0,
    swap_speed=(200e6, 800e6),
)
BOARDS = (NANO, AGX, THOR, DESK, LAPTOP)


@frozen
class State:
    """How a machine stands while a model answers.

    Attributes:
        counts_cache: Whether the engine takes page cache for used memory.
        leftover_load: Share of the chip's time that a leftover runner takes; so for user_load.
        clock: Share of the usual clock.
        slope: Growth of the time for a token with each token of depth.
        waiting: Share of the time in which swap is waited for.
        version_factor: Speed of this version of the engine as a share of the former's.
    """

    board: Board
    rate: float
    size: float
    slowness: float
    programs: float
    cache: float
    swap_used: float
    swap_speed: float
    slope: float
    counts_cache: bool = True
    leftover: float = 0.0
    leftover_load: float = 0.0
    user: float = 0.0
    user_load: float = 0.0
    unreturned: float = 0.0
    unload_to_load: float = 600.0
    gpu_lost: bool = False
    clock: float = 1.0
    mode: str | None = None
    hot: bool = False
    over_current: int = 0
    depth: int = 300
    waiting: float = 0.0
    version: str = "0.12.3"
    version_factor: float = 1.0
    loads: int = 1

    @property
    def available(self) -> float:
        """Memory of the CPU before the load that programs could have."""
        others = self.leftover + self.user + self.unreturned if self.board.unified else 0.0
        return max(0.2 * GIB, self.board.total * GIB - self.programs - others)

    @property
    def free(self) -> float:
        return max(0.05 * GIB, self.available - self.cache)

    @property
    def vram_free(self) -> float:
        taken = self.leftover + self.user + self.unreturned
        return max(0.0, self.board.vram * GIB - 0.4 * GIB - taken)

    @property
    def on_gpu(self) -> float:
        """Share of the layers that the engine put onto the GPU; there are 32."""
        if not self.board.has_gpu or self.gpu_lost:
            return 0.0
        unified = self.free if self.counts_cache else self.available
        room = (unified if self.board.unified else self.vram_free) - RESERVE
        return int(32 * min(1.0, max(0.0, room) / self.size)) / 32

    @property
    def usual_on_gpu(self) -> float:
        return 1.0 if self.board.has_gpu else 0.0

    @property
    def work(self) -> float:
        """Time for a token, of that with all layers where they belong."""
        slow = self.slowness if self.board.has_gpu else 1.0
        return self.on_gpu + (1 - self.on_gpu) * slow

    @property
    def tokens_per_second(self) -> float:
        alone = self.rate / self.work * self.clock**0.9 / (1 + self.slope * self.depth)
        shared = (1 - self.leftover_load) * (1 - self.user_load * (self.on_gpu > 0))
        return alone * shared * (1 - self.waiting) * self.version_factor


def rates(chance: random.Random, state: State, n: int) -> tuple[float, ...]:
    """Return measured rates, with the usual noise of 5 %."""
    return tuple(state.tokens_per_second * chance.gauss(1, 0.05) for _ in range(n))


def healthy(chance: random.Random, board: Board) -> State:
    """Return a machine on which a model runs as it should."""
    size = chance.uniform(*board.sizes) * GIB
    programs = chance.uniform(0.1, 0.2) * board.total * GIB
    naive = chance.random() < 0.5
    room = board.total * GIB - programs
    most_cache = (
        max(0.0, room - size - 2 * RESERVE) * 0.9 if naive and board.unified else room * 0.9
    )
    return State(
        board=board,
        rate=chance.uniform(4, 120),
        size=size,
        slowness=chance.uniform(*board.cpu_slowness),
        programs=programs,
        cache=chance.uniform(0.2, 1.0) * most_cache,
        swap_used=chance.uniform(0, 0.2) * board.swap * GIB,
        swap_speed=chance.uniform(*board.swap_speed),
        slope=chance.uniform(2e-5, 2e-4),
        counts_cache=naive,
        mode=board.modes[0][0] if board.modes else None,
        depth=chance.randint(50, 1500),
        over_current=chance.choice([0, 0, 0, 3]),
        unload_to_load=chance.uniform(60, 5000),
    )


@frozen
class Instruments:
    """Reads a state with noise of 5 % on each quantity."""

    chance: random.Random

    def about(self, value: float) -> float:
        return max(0.0, value * self.chance.gauss(1, 0.05))

    def share(self, value: float) -> float:
        return min(1.0, self.about(value))

    def snapshot(self, state: State) -> Snapshot:
        board = state.board
        busy_gpu, busy_cpu = self.loads(state)
        users = [("Xorg", 40 * MIB)] + ([("python3", state.user)] if state.user else [])
        left = [Process("ollama runner", 4711, int(self.about(state.leftover)))]
        return Snapshot(
            on_gpu_ratio=state.on_gpu,
            size_bytes=int(state.size),
            gpu_bytes=int(state.size * state.on_gpu),
            engine_sees_gpu=board.has_gpu and not state.gpu_lost,
            engine_version=state.version,
            context_length=8192,
            context_tokens=state.depth,
            concurrency=1,
            memory_before=self.memory(state, loaded=False),
            gpu_before=self.gpu(state, 0.0, loaded=False),
            unload_to_load_s=state.unload_to_load,
            unreturned_bytes=self.unreturned(state),
            loads_since_start=state.loads,
            memory=self.memory(state, loaded=True),
            gpu=self.gpu(state, busy_gpu, loaded=True),
            device=self.device(state),
            cpu_load_ratio=busy_cpu,
            swapped_in_bytes_per_second=self.about(self.swapped(state)),
            swapped_out_bytes_per_second=self.about(self.swapped(state) * 0.3),
            gpu_frequency_max_hz=self.most(state, board.gpu_hz) if board.has_gpu else None,
            cpu_frequency_hz=int(self.about(board.cpu_hz * state.clock)),
            cpu_frequency_max_hz=self.most(state, board.cpu_hz),
            over_current_events=state.over_current if board.counts_over_current else None,
            limit_c=board.limit_c,
            leftovers=tuple(left) if state.leftover else (),
            gpu_users=self.users(users) if board.has_gpu else None,
        )

    def users(self, users: list[tuple[str, float]]) -> tuple[Process, ...]:
        return tuple(Process(name, None, int(self.about(size))) for name, size in users)

    def most(self, state: State, hertz: float) -> int:
        """The highest clock allowed falls with the power mode, not with heat or current."""
        return int(hertz * dict(state.board.modes).get(state.mode or "", 1.0))

    def unreturned(self, state: State) -> int:
        """What a leftover runner has did not come back either."""
        return int(self.about(state.unreturned + state.leftover))

    def memory(self, state: State, *, loaded: bool) -> Memory:
        total = state.board.total * GIB
        on_host = state.size * (1.0 if state.board.unified else 1 - state.on_gpu)
        free_for_it = state.available + state.unreturned * (loaded and state.board.unified)
        available = self.about(total - free_for_it)
        available = max(0.1 * GIB, total - available - (on_host if loaded else 0.0))
        cache = min(self.about(state.cache), 0.98 * available)
        swap = state.board.swap * GIB
        return Memory(
            total_bytes=int(total),
            available_bytes=int(available),
            free_bytes=int(available - cache),
            page_cache_bytes=int(cache),
            unified=state.board.unified,
            swap_total_bytes=int(swap),
            swap_free_bytes=int(swap - min(swap, self.about(state.swap_used))),
        )

    def loads(self, state: State) -> tuple[float, float]:
        """Of GPU and CPU; both wait while swap is read."""
        working = 1 - state.waiting
        on_gpu = state.on_gpu / state.work if state.board.has_gpu else 0.0
        gpu = self.share(0.95 * working * on_gpu + (state.user_load * 0.5))
        return gpu, self.share((0.1 + 0.8 * (1 - on_gpu)) * working)

    def gpu(self, state: State, load: float, *, loaded: bool) -> Gpu:
        board = state.board
        if not board.has_gpu:
            return Gpu()
        governed = 1.0 if load > 0.5 else 0.6
        here = state.size * state.on_gpu if loaded else 0.0
        late = state.unreturned if loaded else 0.0
        used = board.vram * GIB - state.vram_free - late + here
        return Gpu(
            name=board.name,
            memory_total_bytes=None if board.unified else int(board.vram * GIB),
            memory_used_bytes=None if board.unified else int(self.about(used)),
            load_ratio=load,
            frequency_hz=int(self.about(board.gpu_hz * state.clock * governed)),
        )

    def device(self, state: State) -> Device:
        usual = 0.6 * state.board.limit_c
        celsius = state.board.limit_c if state.hot else usual
        return Device(
            board=state.board.name,
            power_mode=state.mode,
            jetpack="6.2" if state.board.modes else None,
            temperatures={"tj": AMBIENT_C + self.about(celsius - AMBIENT_C), "cv0": None},
            throttling=state.hot or (state.clock < 0.9 and state.over_current > 5),
        )

    def swapped(self, state: State) -> float:
        return state.waiting * state.swap_speed + 0.05 * MIB

    def series(self, state: State, n: int = 10) -> tuple[Moment, ...]:
        return tuple(self.moment(state, second) for second in range(n))

    def moment(self, state: State, second: int) -> Moment:
        one = self.snapshot(state)
        hottest = one.hottest
        return Moment(
            at=float(second),
            gpu_load_ratio=one.gpu.load_ratio,
            cpu_load_ratio=one.cpu_load_ratio,
            gpu_frequency_hz=one.gpu.frequency_hz,
            cpu_frequency_hz=one.cpu_frequency_hz,
            hottest_c=hottest[1] if hottest else None,
            swapped_in_bytes=int(10 * GIB + second * self.swapped(state)),
            swapped_out_bytes=int(10 * GIB + second * 0.3 * self.swapped(state)),
        )


def blinded(snapshot: Snapshot, missing: frozenset[str]) -> Snapshot:
    """Return *snapshot* without what *missing* names: ``device.throttling``, ``limit_c`` …"""
    for name in missing:
        head, _, tail = name.partition(".")
        value = None
        if tail == "temperatures":
            value = evolve(getattr(snapshot, head), temperatures={})
        elif tail:
            value = evolve(getattr(snapshot, head), **{tail: None})
        snapshot = evolve(snapshot, **{head: value})
    return snapshot
