"""How long ORAC takes to start.

Measures, in interleaved rounds, the time from the start of `orac serve` to the first 200 on
``/v1/health/live`` against the time Python takes to import the libraries any such gateway needs.
Exits with 1 when the median is over 1.5 times that plus 0.3 s, or when ``import orac_core`` loads
an HTTP library or numpy. Absolute times move with the machine, so those over the 0.9 s for
`orac serve` and the 0.25 s for `orac --help` are named and fail nothing.

    python benchmarks/start.py [--rounds 7]
"""

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from statistics import median
from time import perf_counter

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.serving import ORAC, environment, serving

FLOOR = "import aiohttp, httpx, cattrs, pluggy"
UNWANTED = ("aiohttp", "httpx", "numpy", "rich", "click", "xllamacpp")

TIMES_FLOOR, PLUS_S = 1.5, 0.3
MOST_S = {"serve, first 200": 0.9, "orac --help": 0.25}


def main() -> int:
    """Measure, print the medians, and return the exit code."""
    parser = argparse.ArgumentParser(description="How long ORAC takes to start.")
    parser.add_argument("--rounds", type=int, default=7)
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        times = measured(rounds, folder)
        unwanted = needlessly_loaded(folder)
    for name, seconds in times.items():
        shown = f"median {median(seconds):.3f} s, {min(seconds):.3f} to {max(seconds):.3f}"
        print(f"{name:20} {shown}")
    return verdict({name: median(seconds) for name, seconds in times.items()}, unwanted)


def measured(rounds: int, folder: Path) -> dict[str, list[float]]:
    """Return the seconds of each round, after one that warms the page cache."""
    runs: dict[str, Callable[[], float]] = {
        "floor": lambda: run([sys.executable, "-c", FLOOR], folder),
        "serve, first 200": lambda: first_200(folder),
        "orac --help": lambda: run([*ORAC, "--help"], folder),
        "import orac_core": lambda: run([sys.executable, "-c", "import orac_core"], folder),
        "python": lambda: run([sys.executable, "-c", "pass"], folder),
    }
    times: dict[str, list[float]] = {name: [] for name in runs}
    for number in range(rounds + 1):
        for name, work in runs.items():
            took = work()
            if number:
                times[name].append(took)
    return times


def run(command: list[str], folder: Path) -> float:
    """Run *command* to its end; return the seconds it took."""
    started = perf_counter()
    subprocess.run(
        command, cwd=folder, env=environment(folder), stdout=subprocess.DEVNULL, check=True
    )
    return perf_counter() - started


def first_200(folder: Path) -> float:
    """Start a server; return the seconds to its first 200."""
    started = perf_counter()
    with serving(folder) as server:
        server.request("GET", "/v1/health/live")
        return perf_counter() - started


def needlessly_loaded(folder: Path) -> list[str]:
    """Return the modules that ``import orac_core`` should do without and does not."""
    code = f"import sys, orac_core; print(*(set(sys.modules) & set({UNWANTED!r})))"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=folder,
        env=environment(folder),
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.split()


def verdict(medians: Mapping[str, float], unwanted: list[str]) -> int:
    """Print what holds; return 1 when a target is missed."""
    floor, serve = medians["floor"], medians["serve, first 200"]
    allowed = TIMES_FLOOR * floor + PLUS_S
    print(f"serve is {serve / floor:.2f} x the floor; allowed are {allowed:.3f} s")
    print(f"import orac_core needlessly loads: {', '.join(unwanted) or 'nothing'}")
    for name, most in MOST_S.items():
        if medians[name] > most:
            print(f"{name} takes over {most} s; is this machine busy?")
    good = serve <= allowed and not unwanted
    print("good" if good else "a target is missed")
    return 0 if good else 1


if __name__ == "__main__":
    raise SystemExit(main())
