"""How much memory the server takes when nothing happens, without the engine's own processes.

Measures the resident memory of the process of `orac serve` with one model loaded, and how it grows
over cycles of load, prompt and unload. Exits with 1 when it is over 90 MiB, or grows by more than
5 MiB after the first 10 cycles.

    python benchmarks/idle_memory.py [--cycles 100]
"""

import argparse
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.serving import Running, serving

MODEL = "orac-robot"
WARM, IDLE_MIB, GROWTH_MIB = 10, 90.0, 5.0


def main() -> int:
    """Measure, print the figures, and return the exit code."""
    parser = argparse.ArgumentParser(description="How much memory the idle server takes.")
    parser.add_argument("--cycles", type=int, default=100)
    cycles = parser.parse_args().cycles
    with tempfile.TemporaryDirectory() as folder, serving(Path(folder), "--demo") as server:
        started = resident_mib(server)
        load(server)
        idle = resident_mib(server)
        after = [cycle(server) for _ in range(cycles)]
    warm = after[min(WARM, cycles) - 1]
    print(f"started           {started:7.1f} MiB")
    print(f"one model loaded  {idle:7.1f} MiB (allowed are {IDLE_MIB:g})")
    print(f"after {min(WARM, cycles):3} cycles  {warm:7.1f} MiB")
    print(f"after {cycles:3} cycles  {after[-1]:7.1f} MiB (allowed are {GROWTH_MIB:g} more)")
    good = idle <= IDLE_MIB and after[-1] - warm <= GROWTH_MIB
    print("good" if good else "a target is missed")
    return 0 if good else 1


def cycle(server: Running) -> float:
    """Unload, load and ask; return the memory afterwards, with the model loaded."""
    server.request("POST", "/v1/models/unload", {"model": MODEL})
    load(server)
    question = {"model": MODEL, "prompt": "Move forward 1.5 meters"}
    server.request("POST", "/v1/prompt", question)
    return resident_mib(server)


def load(server: Running) -> None:
    """Load the model."""
    server.request("POST", "/v1/models/load", {"model": MODEL})


def resident_mib(server: Running) -> float:
    """Return the resident memory of the server's own process."""
    status = Path(f"/proc/{server.pid}/status").read_text(encoding="ascii")
    return int(status.partition("VmRSS:")[2].split()[0]) / 1024


if __name__ == "__main__":
    raise SystemExit(main())
