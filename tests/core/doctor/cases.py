"""Random cases: a machine, what is wrong with it, and what can be seen of that."""

import random
from collections.abc import Callable
from itertools import combinations
from math import log

from attrs import evolve, frozen

from orac_core.doctor.causes import Cause
from orac_core.doctor.evidence import Evidence
from tests.core.doctor.machines import (
    BOARDS,
    GIB,
    Board,
    Instruments,
    State,
    blinded,
    healthy,
    rates,
)

CLEARLY = 2.0
"""How much stronger, on a logarithmic scale, a cause is that has to be named first."""

WORTH_ASKING = 0.70
"""Only models that are slower than that share of the usual are degraded."""


def page_cache(chance: random.Random, was: State) -> State:
    """The cache grew by the files of other models, until less was free than the model takes."""
    room = was.board.total * GIB - was.programs
    left = chance.uniform(0.05, 0.75) * was.size
    return evolve(was, counts_cache=True, cache=room - left, loads=was.loads + 5)


def memory_late(chance: random.Random, was: State) -> State:
    """The load began while memory of the model before was not back yet."""
    seconds = chance.uniform(0.1, 4.0)
    late = taken(chance, was)
    return evolve(was, unreturned=late, unload_to_load=seconds, loads=was.loads + 1)


def gpu_lost(chance: random.Random, was: State) -> State:
    return evolve(was, gpu_lost=True, loads=was.loads + 1)


def context(chance: random.Random, was: State) -> State:
    """A long chat: the cache of its context is read for each token."""
    slower = chance.uniform(0.3, 0.65)
    return evolve(was, depth=was.depth + int((1 / slower - 1) / was.slope))


def leftover(chance: random.Random, was: State) -> State:
    """A runner without a client goes on, keeps its memory and works."""
    if chance.random() < 0.5 and was.board.has_gpu:
        return evolve(was, leftover=taken(chance, was), loads=was.loads + 1)
    busy = chance.uniform(0.4, 0.6)
    return evolve(was, leftover=chance.uniform(0.5, 1.0) * GIB, leftover_load=busy)


def power_mode(chance: random.Random, was: State) -> State:
    name, clock = chance.choice([each for each in was.board.modes if each[1] < 0.7])
    return evolve(was, mode=name, clock=was.clock * clock)


def over_current(chance: random.Random, was: State) -> State:
    events = was.over_current + chance.randint(6, 400)
    return evolve(was, over_current=events, clock=was.clock * chance.uniform(0.15, 0.6))


def heat(chance: random.Random, was: State) -> State:
    return evolve(was, hot=True, clock=was.clock * chance.uniform(0.35, 0.65))


def swap(chance: random.Random, was: State) -> State:
    used = was.swap_used + chance.uniform(0.2, 0.6) * was.board.swap * GIB
    return evolve(was, waiting=chance.uniform(0.4, 0.9), swap_used=used)


def gpu_shared(chance: random.Random, was: State) -> State:
    """Another program works on the GPU, and may have its memory too."""
    busy = chance.uniform(0.35, 0.65)
    if chance.random() < 0.5:
        return evolve(was, user=taken(chance, was), user_load=busy, loads=was.loads + 1)
    return evolve(was, user=chance.uniform(0.5, 1.0) * GIB, user_load=busy)


def engine_changed(chance: random.Random, was: State) -> State:
    return evolve(was, version="0.17.0", version_factor=chance.uniform(0.4, 0.68))


def taken(chance: random.Random, was: State) -> float:
    """Return so much memory that part of the model finds no room; below 0 where that is little."""
    size = room(was) - chance.uniform(0.1, 0.75) * was.size
    return size if size > 0.2 * was.size else -1.0


def room(state: State) -> float:
    """What the engine would find for the model."""
    if not state.board.unified:
        return state.vram_free
    return state.free if state.counts_cache else state.available


ILLS: dict[Cause, Callable[[random.Random, State], State]] = {
    Cause.PAGE_CACHE: page_cache,
    Cause.MEMORY_LATE: memory_late,
    Cause.GPU_LOST: gpu_lost,
    Cause.CONTEXT: context,
    Cause.LEFTOVER: leftover,
    Cause.POWER_MODE: power_mode,
    Cause.OVER_CURRENT: over_current,
    Cause.HEAT: heat,
    Cause.SWAP: swap,
    Cause.GPU_SHARED: gpu_shared,
    Cause.ENGINE_CHANGED: engine_changed,
}
NEEDS_GPU = {Cause.MEMORY_LATE, Cause.GPU_LOST, Cause.GPU_SHARED}
NEEDS_JETSON = {Cause.POWER_MODE, Cause.OVER_CURRENT}

PLACEMENT = frozenset({"on_gpu_ratio", "size_bytes"})
BEFORE = frozenset({f"memory_before.{name}_bytes" for name in ("available", "free")})
CLOCKS = frozenset({"gpu.frequency_hz", "cpu_frequency_hz", "gpu.load_ratio"})
HEATED = frozenset({"device.temperatures", "limit_c", "device.throttling"})
DECIDING: dict[Cause, frozenset[str]] = {
    Cause.PAGE_CACHE: PLACEMENT | BEFORE | {"memory_before.unified"},
    Cause.MEMORY_LATE: PLACEMENT | {"unload_to_load_s", "unreturned_bytes", "leftovers"},
    Cause.GPU_LOST: PLACEMENT | {"engine_sees_gpu"},
    Cause.CONTEXT: frozenset({"context_tokens"}),
    Cause.LEFTOVER: PLACEMENT | {"leftovers"},
    Cause.POWER_MODE: CLOCKS | {"device.power_mode"},
    Cause.OVER_CURRENT: CLOCKS | {"over_current_events"},
    Cause.HEAT: CLOCKS | HEATED,
    Cause.SWAP: frozenset({"swapped_in_bytes_per_second"}),
    Cause.GPU_SHARED: PLACEMENT | {"gpu_users"},
    Cause.ENGINE_CHANGED: frozenset({"engine_version"}),
}
"""What has to be known so that a cause can be told; the rates always are."""

OTHERS = frozenset(
    {
        "gpu_bytes",
        "loads_since_start",
        "cpu_load_ratio",
        "context_length",
        "concurrency",
        "swapped_out_bytes_per_second",
        "gpu_frequency_max_hz",
        "cpu_frequency_max_hz",
        "memory.available_bytes",
        "memory.free_bytes",
        "memory.swap_free_bytes",
        "memory_before.page_cache_bytes",
        "gpu_before.memory_used_bytes",
    }
)
SENSORS = sorted(frozenset().union(OTHERS, *DECIDING.values()))
KINDS = [(cause,) for cause in ILLS] + list(combinations(ILLS, 2))


@frozen
class Case:
    """A machine with something wrong.

    Attributes:
        causes: What is wrong.
        first: What of that is clearly the strongest; None when neither is.
    """

    seed: int
    board: Board
    causes: tuple[Cause, ...]
    first: Cause | None
    evidence: Evidence
    then: State
    now: State

    def __str__(self) -> str:
        names = " + ".join(self.causes) or "healthy"
        share = self.now.tokens_per_second / self.then.tokens_per_second
        return f"seed {self.seed}: {names} on {self.board.name}, {share:.0%} of the usual"


def sick(seed: int, causes: tuple[Cause, ...]) -> Case:
    """Return a case in which *causes* are at work, and only they."""
    chance = random.Random(seed)
    while True:
        board = chance.choice([each for each in BOARDS if can_have(each, causes)])
        then = healthy(chance, board)
        now = evolve(then, cache=then.cache * chance.uniform(0.9, 1.1))
        for cause in causes:
            now = ILLS[cause](chance, now)
        if plausible(then, now):
            return observed(chance, seed, causes, then, now)


def well(seed: int) -> Case:
    """Return a case in which nothing is wrong, though the machine is not as it was."""
    chance = random.Random(seed)
    then = healthy(chance, chance.choice(BOARDS))
    now = evolve(
        then,
        cache=then.cache * chance.uniform(0.8, 1.05),
        loads=then.loads + chance.randint(0, 9),
        swap_used=then.swap_used * chance.uniform(0.8, 1.5),
        unload_to_load=chance.uniform(0.5, 5000),
        version=chance.choice([then.version, "0.13.0"]),
    )
    return observed(chance, seed, (), then, now)


def can_have(board: Board, causes: tuple[Cause, ...]) -> bool:
    lacks_gpu = not board.has_gpu and NEEDS_GPU & set(causes)
    lacks_modes = not board.modes and NEEDS_JETSON & set(causes)
    return not (lacks_gpu or lacks_modes or (Cause.PAGE_CACHE in causes and not board.unified))


def plausible(then: State, now: State) -> bool:
    amounts = (now.cache, now.leftover, now.user, now.unreturned)
    fast = then.on_gpu == then.usual_on_gpu
    slow = now.tokens_per_second < WORTH_ASKING * then.tokens_per_second
    same_engine = then.counts_cache == now.counts_cache
    return fast and slow and same_engine and min(amounts) >= 0


def observed(
    chance: random.Random, seed: int, causes: tuple[Cause, ...], then: State, now: State
) -> Case:
    deciding = frozenset().union(*(DECIDING[cause] for cause in causes))
    gone = (name for name in SENSORS if name not in deciding and chance.random() < 0.25)
    missing = frozenset(gone)
    read = Instruments(chance)
    deep = Cause.CONTEXT in causes or chance.random() < 0.3
    evidence = Evidence(
        baseline=rates(chance, then, 5),
        present=rates(chance, now, chance.randint(3, 8)),
        then=blinded(read.snapshot(then), missing),
        now=blinded(read.snapshot(now), missing),
        shallow=rates(chance, evolve(now, depth=then.depth), 5) if deep else (),
        series=read.series(now) if not missing & CLOCKS and chance.random() < 0.5 else (),
    )
    return Case(seed, then.board, causes, strongest(causes, then, now), evidence, then, now)


def strongest(causes: tuple[Cause, ...], then: State, now: State) -> Cause | None:
    """Return the cause whose absence would make the most difference, if it is clearly that."""
    if len(causes) < 2:
        return causes[0] if causes else None
    gains = sorted((log(gain(cause, then, now)), cause) for cause in causes)
    (less, _), (more, cause) = gains
    return cause if more >= CLEARLY * max(less, log(1.1)) else None


MARKS: dict[Cause, tuple[str, ...]] = {
    Cause.PAGE_CACHE: ("cache", "counts_cache"),
    Cause.MEMORY_LATE: ("unreturned",),
    Cause.GPU_LOST: ("gpu_lost",),
    Cause.CONTEXT: ("depth",),
    Cause.LEFTOVER: ("leftover", "leftover_load"),
    Cause.SWAP: ("waiting",),
    Cause.GPU_SHARED: ("user", "user_load"),
    Cause.ENGINE_CHANGED: ("version_factor",),
}


def gain(cause: Cause, then: State, now: State) -> float:
    """Return how many times as fast the model would be without *cause*."""
    if cause not in MARKS:
        return float((then.clock / now.clock) ** 0.9)
    without = evolve(now, **{name: getattr(then, name) for name in MARKS[cause]})
    return without.tokens_per_second / now.tokens_per_second
