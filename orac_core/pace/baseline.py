"""How fast a model was, and under which conditions."""

import math
from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

from attrs import asdict, astuple, evolve, fields, frozen

BASELINE_ANSWERS = 5
"""A baseline is the median of so many: two that were slow by chance do not count. At a noise of
5 % it is itself off by 2.7 % (standard deviation), one in a hundred by more than 6.5 %."""

_UNKNOWABLE = frozenset({"model_sha256", "engine", "engine_version", "power_mode"})


@frozen
class Conditions:
    """Under what a model answers; only rates under the same conditions are compared.

    Attributes:
        model_sha256: Checksum of the model's file; None where it is not known.
        engine: Kind of the engine; None where it is not known.
        engine_version: Its version; None where it is not known.
        power_mode: The board's power mode; None where it is not known or there is none.
        context_length: As asked for at the load; None where that was left to the engine.
        gpu_layers: As asked for at the load; None where that was left to the engine.
    """

    model_sha256: str | None = None
    engine: str | None = None
    engine_version: str | None = None
    power_mode: str | None = None
    context_length: int | None = None
    gpu_layers: int | None = None

    def joined(self, other: "Conditions") -> "Conditions | None":
        """Return what is known of both together; None when they differ.

        A version that is not known is no other version.
        """
        pairs = list(zip(_NAMES, astuple(self), astuple(other), strict=True))
        for name, mine, theirs in pairs:
            if mine != theirs and not (name in _UNKNOWABLE and None in {mine, theirs}):
                return None
        return Conditions(*(theirs if mine is None else mine for _, mine, theirs in pairs))

    def changed(self, name: str, other: "Conditions") -> bool:
        """Whether *other* differs in the condition *name*, known of both, and in no more."""
        mine, theirs = getattr(self, name), getattr(other, name)
        if mine == theirs or None in {mine, theirs}:
            return False
        return self.joined(evolve(other, **{name: mine})) is not None


_NAMES = tuple(each.name for each in fields(Conditions))


@frozen
class Baseline:
    """How fast a model answered, as if with nothing before it, when it was taken to be well.

    Attributes:
        conditions: Under which.
        tokens_per_second: Median decode rate.
        n: Of how many answers.
        spread_ratio: From the slowest to the fastest of them, as a share of the median.
        provisional: Whether it is of the first answers that came along, and not of canaries.
        measured_at: Seconds since 1970; None where that was not told.
    """

    conditions: Conditions
    tokens_per_second: float
    n: int
    spread_ratio: float
    provisional: bool = False
    measured_at: float | None = None

    @classmethod
    def of(
        cls,
        conditions: Conditions,
        rates: Sequence[float],
        *,
        provisional: bool,
        measured_at: float | None,
    ) -> "Baseline":
        """Return the baseline that *rates*, in tokens a second, come to."""
        usual = median(rates)
        spread = (max(rates) - min(rates)) / usual
        return cls(conditions, usual, len(rates), spread, provisional, measured_at)


def as_data(baseline: Baseline) -> dict[str, Any]:
    """Return it as plain data."""
    return asdict(baseline)


def from_data(data: Mapping[str, Any]) -> Baseline | None:
    """Return what `as_data` made; None for what is none of that."""
    match data:
        case {
            "conditions": dict(told),
            "tokens_per_second": float(rate),
            "n": int(n),
            "spread_ratio": float(spread),
            "provisional": bool(provisional),
            "measured_at": float() | None as at,
        } if 0 < rate < math.inf and (conditions := _conditions(told)):
            return Baseline(conditions, rate, n, spread, provisional, at)
    return None


def _conditions(told: Mapping[str, Any]) -> Conditions | None:
    kinds = {name: str if name in _UNKNOWABLE else int for name in told}
    right = all(value is None or type(value) is kinds[name] for name, value in told.items())
    return Conditions(**told) if right and told.keys() <= {*_NAMES} else None
