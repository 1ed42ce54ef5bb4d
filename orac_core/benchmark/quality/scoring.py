"""From marks to rates, and from rates to one score with its interval. Pure."""

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping

from ...statistics import wilson
from ..results import Quality, Rate
from .outcome import Outcome
from .parts import FAMILIES, PARTS, WEIGHTS

MOST_NAMED = 20
"""Tasks that went wrong are named up to so many."""

_MOST_SHOWN = 300  # characters of a reason


def scored(
    outcomes: Mapping[str, Outcome], tasks: str, weights: Mapping[str, float] = WEIGHTS
) -> Quality:
    """Return what the *outcomes*, by id of their tasks, come to; *tasks* is named in the report."""
    parts = rates(outcomes.values())
    wrong = [(name, each.problem) for name, each in outcomes.items() if each.problem is not None]
    return Quality(
        score=score(parts, weights),
        ci95=interval(parts, weights),
        parts=parts,
        weights={name: weights.get(name, 0.0) for name in parts},
        tasks=tasks,
        failed=tuple((name, why[:_MOST_SHOWN]) for name, why in wrong[:MOST_NAMED]),
    )


def rates(outcomes: Iterable[Outcome]) -> dict[str, Rate]:
    """Return the rate of each part that was counted at all, in the order of a report."""
    hits, counted = Counter[str](), Counter[str]()
    for mark in (mark for outcome in outcomes for mark in outcome.marks):
        hits[mark.part] += mark.hits
        counted[mark.part] += mark.n
    return {
        part.name: Rate(hits[part.name], n, wilson(hits[part.name], n))
        for part in PARTS
        if (n := counted[part.name])
    }


def score(parts: Mapping[str, Rate], weights: Mapping[str, float] = WEIGHTS) -> float:
    """Return the mean of the rates by their *weights*, 0 to 100; 0 when nothing was counted."""
    shares = _shares(parts, weights)
    return 100 * math.fsum(share * _rate(parts[name]) for name, share in shares.items())


def interval(
    parts: Mapping[str, Rate], weights: Mapping[str, float] = WEIGHTS
) -> tuple[float, float] | None:
    """Return the 95 % interval of the score, 0 to 100; None when nothing was counted.

    The distances from each rate to the ends of its Wilson interval are added within a family, whose
    parts are counted on the same answers, and combined by their squares between families, which are
    independent: the square-and-add method (Zou and Donner 2008, doi:10.1002/sim.3095).
    """
    shares = _shares(parts, weights)
    if not shares:
        return None
    below: dict[str, float] = defaultdict(float)
    above: dict[str, float] = defaultdict(float)
    for name, share in shares.items():
        low, high = parts[name].ci95 or (0.0, 1.0)
        below[FAMILIES[name]] += share * max(0.0, _rate(parts[name]) - low)
        above[FAMILIES[name]] += share * max(0.0, high - _rate(parts[name]))
    middle = score(parts, weights)
    low, high = (100 * math.hypot(*each.values()) for each in (below, above))
    return max(0.0, middle - low), min(100.0, middle + high)


def _shares(parts: Mapping[str, Rate], weights: Mapping[str, float]) -> dict[str, float]:
    """Return what each part counts; all together 1."""
    counting = {name: weights.get(name, 0.0) for name, rate in parts.items() if rate.n}
    whole = math.fsum(counting.values())
    return {name: weight / whole for name, weight in counting.items() if weight > 0}


def _rate(rate: Rate) -> float:
    return rate.hits / rate.n
