"""How surely ORAC notices that a model has become slow, and says why: on made-up ones.

Models have 5 % of noise, 5 % of outliers of several kinds, and conversations of any length; the
expected cost of that length is right, half, twice or missing. A drop counts as found when the model
is told to be degraded. Machines are those of the doctor's tests, with seeds that these do not use.
Exits with 1 when, with outliers of 0.2 to 2 times the rate, more than 1 % of models raise a false
alarm in 10 000 answers or more than 1 % of drops are found too late, when fewer than 95 % of sick
models are diagnosed right, or when a healthy one of the first 1000 is called sick.

    python benchmarks/noticing.py [--models 1000] [--machines 1000] [--seed 10000]
"""

import argparse
import math
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from rich.console import Console
from rich.table import Table

from orac_core.doctor import diagnose
from tests.core.doctor.cases import KINDS, sick, well
from tests.core.doctor.test_degradation_cases import faults
from tests.core.test_pace import NOISE, Model, Outlier, noise

LATE, FALSE, RIGHT = 0.01, 0.01, 0.95
ANSWERS = 10_000
HALF, FIFTH = (0.5, 5), (0.2, 25)
"""Drops, and how many answers they may take to be found."""

OUTLIERS: dict[str, Outlier] = {
    "0.2 to 2": lambda chance: chance.uniform(0.2, 2.0),
    "0.2 to 1.8": lambda chance: chance.uniform(0.2, 1.8),
    "0.2 to 1": lambda chance: chance.uniform(0.2, 1.0),
    "0.2 to 5, evenly by factor": lambda chance: math.exp(
        chance.uniform(math.log(0.2), math.log(5))
    ),
}
"""As a share of the usual rate. The first has promises."""


def main() -> int:
    """Measure, print the figures, and return the exit code."""
    parser = argparse.ArgumentParser(description="How surely slow models are noticed.")
    parser.add_argument("--models", type=int, default=1000)
    parser.add_argument("--machines", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=10_000)
    asked = parser.parse_args()
    seeds = range(asked.seed, asked.seed + asked.models)
    table = Table("outliers", "false alarms", "a half, late", "a fifth, late")
    rows = {name: drift(outlier, seeds) for name, outlier in OUTLIERS.items()}
    for name, shares in rows.items():
        table.add_row(name, *(f"{share:.1%}" for share in shares))
    Console().print(table)
    right, called_sick = diagnosed(range(asked.seed, asked.seed + asked.machines))
    print(f"{right:.1%} of sick models are diagnosed right (at least {RIGHT:.0%})")
    print(f"{called_sick} of {asked.machines} healthy ones are called sick (allowed is none)")
    alarms, *late = rows["0.2 to 2"]
    good = alarms <= FALSE and max(late) <= LATE and right >= RIGHT and not called_sick
    print("good" if good else "a promise is missed")
    return 0 if good else 1


def drift(outlier: Outlier, seeds: range) -> tuple[float, float, float]:
    """Return the share of models with a false alarm, and of those whose drop is found late."""
    NOISE[outlier] = noise(outlier)
    alarms = sum(Model(seed, outlier).answer(ANSWERS) is not None for seed in seeds)
    late = [sum(is_late(outlier, seed, *drop) for seed in seeds) for drop in (HALF, FIFTH)]
    return alarms / len(seeds), late[0] / len(seeds), late[1] / len(seeds)


def is_late(outlier: Outlier, seed: int, drop: float, answers: int) -> bool:
    """Whether a model is not degraded so many answers after it has lost that share."""
    model = Model(seed, outlier)
    model.answer(model.chance.randint(30, 300))
    model.rate *= 1 - drop
    model.answer(answers)
    found = model.pace.slowdown
    return found is None or found.verdict != "degraded"


def diagnosed(seeds: range) -> tuple[float, int]:
    """Return the share of sick models that are diagnosed right, and how many healthy ones not."""
    right = sum(not faults(sick(seed, KINDS[seed % len(KINDS)])) for seed in seeds)
    called_sick = sum(not diagnose(well(seed).evidence).healthy for seed in seeds)
    return right / len(seeds), called_sick


if __name__ == "__main__":
    raise SystemExit(main())
