"""Which event loop serves new connections sooner, and what each costs: uvloop or asyncio's own.

Starts `orac serve` with each, and takes turns: 256 clients connect at once while 16 others ask
again and again, then 1 and 64 connections ask alone. Prints the medians.

    python benchmarks/gateway/loops.py [--rounds 7]
"""

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from rich.console import Console
from rich.table import Table

from benchmarks.gateway import programs
from benchmarks.gateway.programs import Gateway
from benchmarks.gateway.scenarios import BURST, C1, C64, DRIPPING, FLOOD, Figures, measured
from benchmarks.serving import ORAC

HIDDEN = "import sys; sys.modules['uvloop'] = None; " + ORAC[2]
"""Runs `orac` as where uvloop does not install."""

BUSY, BUSY_S = 16, 1.5


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="uvloop or asyncio's own event loop.")
    parser.add_argument("--rounds", type=int, default=7)
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory() as name:
        taken = compared(Path(name), rounds)
    table = Table("figure", *taken)
    for name in next(iter(taken.values()))[0]:
        medians = [median(each[name] for each in figures) for figures in taken.values()]
        table.add_row(name, *(f"{each:.4g}" for each in medians))
    Console().print(table)
    return 0


def compared(folder: Path, rounds: int) -> dict[str, list[Figures]]:
    """Return the figures of each round, after one that warms both."""
    load, taken = programs.compiled(folder, "load"), dict[str, list[Figures]]()
    places = [Path(tempfile.mkdtemp(dir=folder)) for _ in range(2)]
    with programs.upstream(folder) as engine:
        other = (sys.executable, "-c", HIDDEN)
        with (
            programs.orac(places[0], engine.port) as uvloop,
            programs.orac(places[1], engine.port, program=other) as asyncio,
        ):
            for number in range(rounds + 1):
                for name, gateway in (("uvloop", uvloop), ("asyncio", asyncio)):
                    figures = _figures(load, gateway)
                    if number:
                        taken.setdefault(name, []).append(figures)
    return taken


def _figures(load: Path, gateway: Gateway) -> Figures:
    with _busy(load, gateway):
        burst = measured(load, BURST, gateway)
    one, alone = measured(load, C1, gateway), measured(load, C64, gateway)
    flood, dripping = measured(load, FLOOD, gateway), measured(load, DRIPPING, gateway)
    return {
        "256 new: first answer p50 ms": burst["TTFT p50 ms"],
        "p99 ms": burst["TTFT p99 ms"],
        "errors": burst["errors"],
        "p50 µs, c=1": one["p50 µs"],
        "CPU µs/request, c=1": one["CPU µs/request"],
        "CPU µs/request, c=64": alone["CPU µs/request"],
        "CPU µs/token, flood": flood["CPU µs/token"],
        "CPU µs/token, 10 ms a token": dripping["CPU µs/token"],
    }


@contextmanager
def _busy(load: Path, gateway: Gateway) -> Iterator[None]:
    """Have some connections ask again and again."""
    body = json.dumps(gateway.body(C64.ask))
    options = ["--port", str(gateway.port), "--path", gateway.path, "--body", body]
    options += ["--connections", str(BUSY), "--seconds", str(BUSY_S)]
    asking = subprocess.Popen([str(load), "requests", *options], stdout=subprocess.DEVNULL)
    try:
        yield
    finally:
        asking.wait()


if __name__ == "__main__":
    raise SystemExit(main())
