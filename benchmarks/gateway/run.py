"""How fast ORAC is as a gateway, beside a bare proxy, nginx and LiteLLM, before a fake engine.

Everything runs side by side in one run: in each round every gateway goes through every scenario,
and what counts is the median over the rounds. Prints a table, and for each target whether it is
reached; exits with 1 when one is missed. Needs a C compiler; nginx and LiteLLM take part where they
are installed. At the end the embedded engine answers by itself, as `engine.py` has it.

    python benchmarks/gateway/run.py [--rounds 5] [--litellm COMMAND] [--json FILE] [--latency]

With ``--latency`` there is but one client that asks for one token, which takes a minute.
"""

import argparse
import json
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from attrs import asdict
from rich.console import Console
from rich.table import Table

from benchmarks.gateway import engine, programs
from benchmarks.gateway.programs import Gateway
from benchmarks.gateway.scenarios import C1, MANY, MIB, ROUND, Figures, Scenario, measured
from benchmarks.gateway.targets import EMBEDDED, ONCE, ORAC, judged, latency

Results = dict[str, dict[str, list[Figures]]]
"""Figures of each round, by gateway and scenario."""

SETTLE_S = 0.3
IDLE_S = 10.0


def main() -> int:
    """Measure, print, and return the exit code."""
    told = _arguments()
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as name:
        results = _results(Path(name), told)
    medians = {
        gateway: {scenario: _medians(rounds) for scenario, rounds in taken.items()}
        for gateway, taken in results.items()
    }
    show(medians)
    verdicts = [latency(medians)] if told.latency else judged(medians)
    for each in verdicts:
        print(each)
    print(f"{told.rounds} rounds, {time.perf_counter() - started:.0f} s in all")
    if told.json:
        kept = {"medians": medians, "targets": [asdict(it) for it in verdicts], "rounds": results}
        told.json.write_text(json.dumps(kept, indent=1))
    return 0 if all(each.reached for each in verdicts) else 1


def _results(folder: Path, told: argparse.Namespace) -> Results:
    if told.latency:
        return alone(folder, told.rounds, told.litellm)
    results = compared(folder, told.rounds, told.litellm)
    results[ORAC][EMBEDDED] = [engine.measured(folder / "engine", told.answers)]
    return results


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="How fast ORAC is as a gateway.")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--litellm", default=shutil.which("litellm"), help="its command")
    parser.add_argument("--answers", type=int, default=24, help="of the embedded engine")
    parser.add_argument("--json", type=Path, help="write all figures to this file")
    parser.add_argument("--latency", action="store_true", help="only how long one client waits")
    return parser.parse_args()


def compared(folder: Path, rounds: int, litellm: str | None) -> Results:
    """Return the figures of every gateway in every round, after one that warms them."""
    load = programs.compiled(folder, "load")
    with programs.upstream(folder) as engine:
        starts = _starts(folder, engine.port, rounds)
        with _running(folder, engine, litellm) as gateways:
            results: Results = {it.name: {ONCE: [_idle(it)]} for it in gateways}
            for number in range(rounds + 1):
                for scenario in ROUND:
                    _round(load, scenario, gateways, results if number else None)
                print(f"round {number} of {rounds} is over", file=sys.stderr)
            _round(load, MANY, gateways, results)
    for name, times in starts.items():
        results[name][ONCE][0]["start s"] = median(times)
    return results


def alone(folder: Path, rounds: int, litellm: str | None) -> Results:
    """Return the figures of one client in every round, after one that warms the gateways."""
    load = programs.compiled(folder, "load")
    with (
        programs.upstream(folder) as engine,
        _running(folder, engine, litellm) as gateways,
    ):
        results: Results = {it.name: {} for it in gateways}
        for number in range(rounds + 1):
            _round(load, C1, gateways, results if number else None)
    return results


@contextmanager
def _running(folder: Path, engine: Gateway, litellm: str | None) -> Iterator[list[Gateway]]:
    with ExitStack() as stack:
        gateways = [engine, stack.enter_context(programs.bare(_new(folder), engine.port))]
        gateways.append(stack.enter_context(programs.orac(_new(folder), engine.port)))
        if shutil.which("nginx"):
            gateways.append(stack.enter_context(programs.nginx(_new(folder), engine.port)))
        if litellm:
            running = programs.litellm(_new(folder), engine.port, litellm)
            gateways.append(stack.enter_context(running))
        yield gateways


def _new(folder: Path) -> Path:
    return Path(tempfile.mkdtemp(dir=folder))


def _starts(folder: Path, engine: int, rounds: int) -> dict[str, list[float]]:
    """Return the seconds that starts took, after one that warms the page cache."""
    times: dict[str, list[float]] = {"ORAC": [], "bare proxy": []}
    for number in range(rounds + 1):
        for start in (programs.orac, programs.bare):
            with start(_new(folder), engine) as gateway:
                if number:
                    times[gateway.name].append(gateway.start_s)
    return times


def _idle(gateway: Gateway) -> Figures:
    """Return what a gateway takes that does nothing."""
    before = gateway.cpu_s()
    time.sleep(IDLE_S if gateway.name == "ORAC" else 0)
    percent = 100 * (gateway.cpu_s() - before) / IDLE_S
    return {"idle RSS MiB": gateway.rss_bytes() / MIB, "idle CPU %": percent}


def _round(
    load: Path, scenario: Scenario, gateways: Sequence[Gateway], results: Results | None
) -> None:
    for gateway in gateways:
        if scenario.only and gateway.name not in scenario.only:
            continue
        figures = measured(load, scenario, gateway)
        time.sleep(SETTLE_S)
        if results is not None:
            results[gateway.name].setdefault(scenario.name, []).append(figures)


def _medians(rounds: Sequence[Figures]) -> Figures:
    return {name: median(each[name] for each in rounds) for name in rounds[0]}


def show(medians: dict[str, dict[str, Figures]]) -> None:
    """Print a table, a row for each figure."""
    table = Table("scenario", "figure", *medians)
    scenarios = dict.fromkeys(name for taken in medians.values() for name in taken)
    for scenario in scenarios:
        taken = {gateway: medians[gateway].get(scenario, {}) for gateway in medians}
        for figure in dict.fromkeys(name for each in taken.values() for name in each):
            values = [f"{each[figure]:,.4g}" if figure in each else "" for each in taken.values()]
            table.add_row(scenario, figure, *values)
    Console(width=150).print(table)


if __name__ == "__main__":
    raise SystemExit(main())
