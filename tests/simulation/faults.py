"""What goes wrong, drawn from a seed: the same seed brings the same misfortunes."""

from collections.abc import Mapping
from random import Random

from attrs import define, field

RATES = {
    "load fails": 0.06,
    "load hangs": 0.03,
    "crash in mid-answer": 0.01,
    "answer stalls": 0.01,
    "answer fails": 0.01,
    "answer breaks off": 0.01,
    "answer is slow to stop": 0.1,
    "call gets lost": 0.01,
    "unload fails": 0.05,
    "unload is slow": 0.05,
    "memory comes back late": 0.2,
    "models hangs": 0.02,
    "models fails": 0.02,
    "health hangs": 0.05,
    "health fails": 0.05,
}
"""How probable each fault is, wherever it can strike."""


@define(eq=False)
class Faults:
    """Decides when a fault strikes, and how long things take.

    Attributes:
        random: Where all chance comes from.
        rates: Probability of each fault.
        on: Whether any strikes.
        struck: How often each did.
    """

    random: Random
    rates: Mapping[str, float] = field(factory=lambda: dict(RATES))
    on: bool = True
    struck: dict[str, int] = field(factory=dict)

    def strikes(self, fault: str) -> bool:
        if not self.on or self.random.random() >= self.rates[fault]:
            return False
        self.struck[fault] = self.struck.get(fault, 0) + 1
        return True

    def seconds(self, least: float, most: float) -> float:
        return self.random.uniform(least, most)
