"""What the kind ``ray`` is to reach, and whether it does."""

from collections.abc import Mapping
from typing import Any

from benchmarks.gateway.targets import Result

UNARY_MS, FIRST_MS = 5.0, 6.0
TOKENS_PER_S, RATIO, RECOVERY_S = 10_000, 1.8, 30.0
Figures = Mapping[str, Any]


def judged(figures: Figures) -> list[Result]:
    """Return the verdict on every target that was measured."""
    results: list[Result] = []
    if speed := figures.get("speed"):
        results += _speed(speed)
    if nodes := figures.get("nodes"):
        results += _nodes(nodes)
    return results


def _speed(speed: Figures) -> list[Result]:
    results = []
    for inner in ("llama.cpp", "python"):
        figures = speed[inner]
        whole = figures["ray whole ms"] - figures["direct whole ms"]
        first = figures["ray first ms"] - figures["direct first ms"]
        results += [
            Result(f"ms added to a short answer, {inner} inside", whole, UNARY_MS),
            Result(f"ms added to the first token, {inner} inside", first, FIRST_MS),
        ]
    rate = speed["tokens/s"]["ray"]
    return [*results, Result("tokens/s of one stream", rate, TOKENS_PER_S, at_most=False)]


def _nodes(nodes: Figures) -> list[Result]:
    lost = sum(each["lost"] for each in nodes["killed"])
    recovered = max(each["recovered s"] for each in nodes["killed"])
    ratio = nodes["sleeping"]["ratio"]
    return [
        Result("two replicas against one that sleeps", ratio, RATIO, at_most=False),
        Result("answers lost without an error when a node dies", lost, 0),
        Result("s until all replicas run again, the longest", recovered, RECOVERY_S),
    ]
