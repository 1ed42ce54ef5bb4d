"""What ORAC measures, against what the engine itself measured of the same requests.

Runs the benchmark's own code on the demo model: by the client's clock a decode rate is 1 / TPOT,
and the time to the first token has the time in which the engine read the prompt in it. Prints the
medians and exits with 1 when the decode rate is off by more than 3 %, or the time to the first
token by more than 1 ms + 5 %.

    python benchmarks/accuracy.py [--rounds N] [--models-dir FOLDER --model NAME]
"""

import argparse
import asyncio
import sys
from collections.abc import Sequence
from contextlib import aclosing
from pathlib import Path
from statistics import median

import uvloop
from attrs import frozen
from rich.console import Console
from rich.table import Table

import orac_core
from orac_core import Manifest
from orac_core.benchmark.request import BenchmarkRequest
from orac_core.benchmark.results import Report, Sample
from orac_core.benchmark.run import Runner

DEMO = Path(__file__).resolve().parents[1] / "orac_server" / "demo"
PRESETS = ("pp320+tg128", "pp384+tg64")
"""Prompts that the demo model reads in some 30 ms: what lies between client and engine is 1 to 3 ms
whatever is read, the most of it in the kernel and in the engine before its clock starts."""
RATE_RATIO = 0.03
TTFT_RATIO, TTFT_S = 0.05, 0.001
MS = 1000


@frozen
class Row:
    """Medians of one workload: by the client, and by the engine."""

    workload: str
    client_rate: float
    engine_rate: float
    ttft_s: float
    prompt_s: float
    between_s: float

    @property
    def rate_off(self) -> float:
        """How far the client's rate is off, as a share of the engine's."""
        return self.client_rate / self.engine_rate - 1

    @property
    def good(self) -> bool:
        """Whether both promises are kept."""
        near = abs(self.between_s) <= TTFT_S + TTFT_RATIO * self.prompt_s
        return near and abs(self.rate_off) <= RATE_RATIO


def main() -> int:
    """Measure, print the table, and return the exit code."""
    parser = argparse.ArgumentParser(description="What ORAC measures, against the engine.")
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--models-dir", type=Path, default=DEMO)
    parser.add_argument("--model", default="orac-robot")
    given = parser.parse_args()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:  # as `orac serve` does
        report = runner.run(measured(given.models_dir, given.model, given.rounds))
    rows = [row(report.samples, name) for name in sorted({*names(report)})]
    Console(width=110).print(table(rows))
    good = bool(rows) and all(each.good for each in rows)
    print("good" if good else "a promise is missed")
    return 0 if good else 1


async def measured(folder: Path, model: str, rounds: int) -> Report:
    """Return the report of a benchmark of that model."""
    request = BenchmarkRequest((model,), presets=PRESETS, rounds=rounds, seed=1)
    async with (
        orac_core.open(Manifest(), models_dir=folder, environ={}) as manager,
        aclosing(Runner(manager).run(request)) as news,
    ):
        async for each in news:
            if isinstance(each, Report):
                return each
    raise RuntimeError("a benchmark ends with its report")


def names(report: Report) -> list[str]:
    """Return the names of the workloads that were measured."""
    return [each.workload.name for result in report.results for each in result.measured]


def row(samples: Sequence[Sample], workload: str) -> Row:
    """Return the medians of one workload."""
    mine = [it for it in samples if it.workload == workload and it.round > 0 and not it.error]
    return Row(
        workload,
        median(1 / (it.tpot_s or 1) for it in mine),
        median(it.decode_tokens_per_second or 0 for it in mine),
        median(it.ttft_s or 0 for it in mine),
        median(prompt_s(it) for it in mine),
        median((it.ttft_s or 0) - prompt_s(it) for it in mine),
    )


def prompt_s(sample: Sample) -> float:
    """Return the time in which the engine read what it had not cached."""
    fresh = (sample.prompt_tokens or 0) - (sample.cached_tokens or 0)
    return fresh / (sample.prefill_tokens_per_second or 1)


def table(rows: Sequence[Row]) -> Table:
    """Return the figures as a table."""
    heads = ("client tokens/s", "engine tokens/s", "off", "TTFT ms", "prompt ms", "off ms")
    shown = Table("workload", *heads, title="medians")
    for each in rows:
        shown.add_row(
            each.workload,
            f"{each.client_rate:.1f}",
            f"{each.engine_rate:.1f}",
            f"{each.rate_off:+.2%}",
            f"{each.ttft_s * MS:.2f}",
            f"{each.prompt_s * MS:.2f}",
            f"{each.between_s * MS:+.2f}",
            style="" if each.good else "red",
        )
    return shown


if __name__ == "__main__":
    sys.exit(main())
