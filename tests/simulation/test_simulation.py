import gc
import os
import threading
from collections import Counter
from pathlib import Path
from time import perf_counter

import psutil
import pytest

from tests.simulation import loop
from tests.simulation.faults import RATES
from tests.simulation.simulation import Simulation

SEED = int(os.environ.get("ORAC_SEED", "20261121"))

LONGEST_S = 60.0

EVERY_END = {
    *("prompt: stop", "prompt: deadline", "prompt: left", "prompt: DeadlineExceeded"),
    *("prompt: BackendUnavailable", "prompt: QueueFull", "prompt: StateConflict"),
    *("load: Loaded", "load: InsufficientMemory", "unload: unloaded", "force: unloaded"),
    *("models: listed", "health: healthy", "health: degraded", "health: unhealthy"),
    *("plan: planned", "plan: BackendUnavailable", "prompt: InsufficientMemory", "start: ended"),
    *("load: StateConflict", "load: BackendError", "prompt: BackendError", "unload: BackendError"),
}
"""Ends that a long run has to show: what never happens is not tested."""


def lived(seed: int, steps: int, *, calm: bool = True) -> Simulation:
    """Return a simulation that ran to its end."""
    before = possessions()
    simulation = Simulation(seed, steps)
    loop.run(lambda: simulation.run(calm=calm))
    assert possessions() <= before, f"seed {seed}"  # what others left behind may go meanwhile
    return simulation


def possessions() -> Counter[str]:
    """Return what this process has open, by what it is, its threads and its children."""
    gc.collect()
    links = [_target(each) for each in Path("/proc/self/fd").iterdir()]
    kinds = Counter(link.partition(":")[0] for link in links if link)
    threads, children = threading.active_count(), len(psutil.Process().children(recursive=True))
    return kinds + Counter({"threads": threads, "children": children})


def _target(link: Path) -> str:
    try:
        return str(link.readlink())
    except FileNotFoundError:  # the one through which the folder was read
        return ""


def test_ten_thousand_steps_break_nothing():
    begun = perf_counter()
    simulation = lived(SEED, 10_000)
    took_s = perf_counter() - begun
    print(f"seed {SEED}: {took_s:.1f} s, {simulation.ends.total()} requests")  # noqa: T201
    assert took_s < LONGEST_S
    assert set(simulation.faults.struck) == set(RATES)
    assert set(simulation.ends) >= EVERY_END


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_other_fates_break_nothing_either(seed):
    lived(seed, 1_500)


@pytest.mark.parametrize("seed", range(20))
def test_a_manager_that_is_closed_in_the_middle_of_all_leaves_nothing_behind(seed):
    lived(seed, 100, calm=False)


def test_the_same_seed_brings_the_same_fate():
    first, second = lived(SEED, 500), lived(SEED, 500)
    assert first.trace == second.trace
    assert first.digest == second.digest
    assert lived(SEED + 1, 500).digest != first.digest
