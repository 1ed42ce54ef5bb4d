"""What it costs to watch the machine and the models: CPU time, idle and for each answer.

Samples this machine, and the described boards of the tests as trees of files, once a second and 20
times a second. Then lets a server stand idle with the demo's model loaded, and watches answers that
cost nothing themselves. Exits with 1 when once a second, or the idle server, takes more than 1 % of
one core, 10 minutes of samples more than 2 MiB, or an answer more than 50 µs.

    python benchmarks/watching.py [--seconds 20]
"""

import argparse
import asyncio
import sys
import tempfile
import time
import tracemalloc
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import psutil
from rich.console import Console
from rich.table import Table

import orac_core
from benchmarks.serving import serving
from orac_core import (
    Answer,
    GenerateRequest,
    LoadRequest,
    ModelManager,
    Rates,
    StateDirectory,
    Usage,
)
from orac_core.blackbox import recording
from orac_core.devices import Sampler, Sensors
from orac_core.devices.sampler import KEPT
from orac_core.manifest import parse
from orac_core.serving.draft import Draft
from orac_core.serving.names import Target
from orac_core.serving.news import telling
from tests.core.devices.boards import DESCRIBED, build, described
from tests.scripted import ScriptedBackend, plugins

MOST_PERCENT, MOST_MIB, MOST_US = 1.0, 2.0, 50.0
ANSWERS = 5000
SETTLED_S = 30
"""So long canaries may take."""
MIB = 1024**2


def main() -> int:
    """Measure, print the figures, and return the exit code."""
    parser = argparse.ArgumentParser(description="What it costs to watch the machine.")
    parser.add_argument("--seconds", type=float, default=20.0)
    seconds = parser.parse_args().seconds
    table = Table("machine", "1 Hz: % of a core", "20 Hz: % of a core", "20 Hz: samples/s")
    with tempfile.TemporaryDirectory() as folder:
        roots = {name: build(Path(folder) / name, described(name)["files"]) for name in DESCRIBED}
        rows = {
            name: asyncio.run(costs(root, seconds))
            for name, root in {"this one": Path("/"), **roots}.items()
        }
        mib = asyncio.run(memory(roots["orin-nano"]))
    for name, (slow, fast, hertz) in rows.items():
        table.add_row(name, f"{slow:.2f}", f"{fast:.2f}", f"{hertz:.1f}")
    Console().print(table)
    print(f"10 minutes of samples take {mib:.2f} MiB (allowed are {MOST_MIB:g})")
    worst = max(slow for slow, _, _ in rows.values())
    print(f"once a second takes {worst:.2f} % of a core at most (allowed is {MOST_PERCENT:g})")
    idle = served(seconds)
    print(f"an idle server takes {idle:.2f} % of a core (allowed is {MOST_PERCENT:g})")
    each = asyncio.run(answers())
    print(f"watching an answer takes {each:.1f} µs (allowed are {MOST_US:g})")
    good = max(worst, idle) <= MOST_PERCENT and mib <= MOST_MIB and each <= MOST_US
    print("good" if good else "a target is missed")
    return 0 if good else 1


async def costs(root: Path, seconds: float) -> tuple[float, float, float]:
    """Return per cent of a core at 1 Hz and at 20 Hz, and the samples a second of the latter."""
    async with Sensors(root) as sensors, Sampler(sensors) as sampler:
        await asyncio.sleep(1)  # libraries are looked for, files opened
        slow = await busy_percent(seconds)
        async with sampler.fast() as recording:
            fast = await busy_percent(seconds / 2)
        samples = recording.samples
    return slow, fast, (len(samples) - 1) / (samples[-1].at - samples[0].at)


async def busy_percent(seconds: float) -> float:
    """Return per cent of a core that this process takes in *seconds*."""
    wall, busy = time.perf_counter(), time.process_time()
    await asyncio.sleep(seconds)
    return 100 * (time.process_time() - busy) / (time.perf_counter() - wall)


async def memory(root: Path) -> float:
    """Return MiB that the samples of 10 minutes take."""
    async with Sensors(root) as sensors:
        await sensors.sample()
        tracemalloc.start()
        samples = [await sensors.sample() for _ in range(KEPT)]
        taken = tracemalloc.get_traced_memory()[0]
        tracemalloc.stop()
    return taken / MIB if samples else 0.0


def served(seconds: float) -> float:
    """Return per cent of a core that a server takes that does nothing, with a model loaded."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with serving(folder, "--demo") as server:
            server.request("POST", "/v1/models/load", {"model": "orac-robot"})
            time.sleep(SETTLED_S)
            process = psutil.Process(server.pid)
            before, wall = busy_s(process), time.perf_counter()
            time.sleep(seconds)
            return 100 * (busy_s(process) - before) / (time.perf_counter() - wall)


def busy_s(process: psutil.Process) -> float:
    """Return the CPU time of the process itself; its engine is another one."""
    times = process.cpu_times()
    return times.user + times.system


async def answers() -> float:
    """Return the µs that it takes to watch an answer, with the black box on."""
    backend = ScriptedBackend()
    manifest = parse({"backends": {"here": {"kind": "scripted"}}}, "a benchmark")
    usage, rates = Usage(20, 64, 0), Rates(100.0, 40.0)
    with tempfile.TemporaryDirectory() as folder:
        state = StateDirectory(Path(folder))
        async with orac_core.open(manifest, plugins=plugins(backend), state=state) as manager:
            await manager.load(LoadRequest("small"))
            answer = Answer("", "small", "here", "stop", 1.0, 0.0, 0.0, 0.1, usage, rates)
            with recording(manager.events, state):
                started = time.perf_counter()
                for _ in range(ANSWERS):
                    watched(manager, answer)
                return (time.perf_counter() - started) / ANSWERS * 1e6


def watched(manager: ModelManager, answer: Answer) -> None:
    """Do with an answer what is done with one, but for the answer itself."""
    draft = Draft(GenerateRequest("small"), Target("here", "small"))
    draft.answer = answer
    with telling(manager.events, draft), manager.watch.answering() as company:
        manager.watch.answered(("here", "small"), answer, company)


if __name__ == "__main__":
    raise SystemExit(main())
