"""What reading the headers of model files costs.

Reads a GGUF with 150 000 tokens and as many merges with ORAC's reader and, side by side in the
same run, with that of the `gguf` package; then lists a folder of 200 models, cold and remembered.
Exits with 1 when ORAC's reader takes more than 50 ms or 5 MiB.
"""

import asyncio
import shutil
import statistics
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from gguf import GGUFReader
from rich.console import Console
from rich.table import Table

from orac_core.files import ModelFiles, Place, read_header
from tests.tiny_models import write, write_big_vocabulary

MOST_MS = 50.0
MOST_MIB = 5.0
ROUNDS = 15
ORACLE_ROUNDS = 1  # it takes seconds
MODELS = 200
MIB = 1024**2

READERS: dict[str, Callable[[Path], object]] = {"orac": read_header, "gguf": GGUFReader}


def main() -> int:
    """Measure, print, and return the exit code."""
    if len(sys.argv) > 1:
        print(resident_mib(sys.argv[1], Path(sys.argv[2])))
        return 0
    with TemporaryDirectory() as folder:
        path = write_big_vocabulary(Path(folder))
        times = {name: statistics.median(rounds) for name, rounds in timed(path).items()}
        traced = {"orac": traced_mib("orac", path)}  # the other takes a minute at that
        resident = {name: in_a_process_of_its_own(name, path) for name in READERS}
    print_readers(times, traced, resident)
    asyncio.run(print_listing())
    too_slow = times["orac"] > MOST_MS
    too_large = max(traced["orac"], resident["orac"]) > MOST_MIB
    if too_slow or too_large:
        print(f"over the limit of {MOST_MS:.0f} ms or {MOST_MIB:.0f} MiB")
    return int(too_slow or too_large)


def timed(path: Path) -> dict[str, list[float]]:
    """Return milliseconds of interleaved rounds, by reader."""
    times: dict[str, list[float]] = {name: [] for name in READERS}
    for number in range(ROUNDS):
        for name, read in READERS.items():
            if name == "orac" or number < ORACLE_ROUNDS:
                begin = time.perf_counter()
                read(path)
                times[name].append((time.perf_counter() - begin) * 1000)
    return times


def traced_mib(name: str, path: Path) -> float:
    """Return the peak of what Python allocates while one header is read."""
    tracemalloc.start()
    READERS[name](path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak / MIB


def in_a_process_of_its_own(name: str, path: Path) -> float:
    """Return how much larger a fresh process has become by reading one header."""
    command = [sys.executable, __file__, name, str(path)]
    return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def resident_mib(name: str, path: Path) -> float:
    """Return how much this process grows at most while it reads one header.

    ru_maxrss would do but for the peak it inherits from the process that started this one.
    """
    READERS[name](write(path.parent / "warm-up", "tiny-phi2"))
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    before = peak_mib()
    READERS[name](path)
    return peak_mib() - before


def peak_mib() -> float:
    """Return the most memory this process has had resident."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


def print_readers(
    times: dict[str, float], traced: dict[str, float], resident: dict[str, float]
) -> None:
    """Print what one header costs, by reader."""
    table = Table("reader", "ms (median)", "MiB allocated", "MiB resident", title="150 000 tokens")
    for name in READERS:
        cells = (it.get(name) for it in (times, traced, resident))
        table.add_row(name, *("" if cell is None else f"{cell:,.1f}" for cell in cells))
    Console().print(table)


async def print_listing() -> None:
    """Print what listing a folder of models costs."""
    table = Table("listing", "ms (median)", title=f"{MODELS} models")
    with TemporaryDirectory() as name:
        folder = Path(name)
        path = write(folder, "tiny-qwen3-0.6b")
        for number in range(MODELS - 1):
            shutil.copy(path, folder / f"{number}.gguf")
        cold = [await listed(ModelFiles((Place(folder, "here"),))) for _ in range(ROUNDS)]
        files = ModelFiles((Place(folder, "here"),))
        await files.all()
        remembered = [await listed(files) for _ in range(ROUNDS)]
    table.add_row("every header read", f"{statistics.median(cold):.1f}")
    table.add_row("remembered", f"{statistics.median(remembered):.1f}")
    Console().print(table)


async def listed(files: ModelFiles) -> float:
    """Return milliseconds of listing the models."""
    begin = time.perf_counter()
    await files.all()
    return (time.perf_counter() - begin) * 1000


if __name__ == "__main__":
    sys.exit(main())
