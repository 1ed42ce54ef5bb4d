"""What can be made to go wrong with a backend, and when."""

from collections.abc import Iterable
from random import Random
from typing import Literal

from attrs import field, frozen
from attrs.validators import ge, in_

FaultKind = Literal[
    "out of memory", "hang", "slow drift", "cut stream", "crash", "spill", "late memory"
]

OPERATIONS: dict[FaultKind, str] = {
    "out of memory": "load",
    "spill": "load",
    "hang": "generate",
    "slow drift": "generate",
    "cut stream": "generate",
    "crash": "generate",
    "late memory": "unload",
}
"""The operation that each kind of fault befalls."""

MEANINGS: dict[FaultKind, str] = {
    "out of memory": "it raises `InsufficientMemory`",
    "spill": "half of the model is on the CPU, and it writes at half its speed",
    "hang": "the answer stops after a word, until it is closed",
    "slow drift": "from here on each answer is a tenth slower than the one before",
    "cut stream": "the answer ends without a chunk that is done",
    "crash": "the engine dies with all its models, and comes back with the next load",
    "late memory": "the memory comes back `late_s` later",
}
"""What happens then."""


@frozen
class Fault:
    """Something that goes wrong once; a slow drift goes on.

    Attributes:
        kind: What goes wrong; `MEANINGS` says what each is.
        on: Which call of the operation that it befalls, from 1.
    """

    kind: FaultKind = field(validator=in_(OPERATIONS))
    on: int = field(default=1, validator=ge(1))

    @property
    def operation(self) -> str:
        """The operation that it befalls: ``load``, ``generate`` or ``unload``."""
        return OPERATIONS[self.kind]


def seeded_faults(seed: int, count: int, calls: int = 20) -> tuple[Fault, ...]:
    """Return *count* faults of any kind within the first *calls* of each operation.

    The same seed makes the same faults.
    """
    random = Random(seed)  # noqa: S311 - nothing is secret
    kinds = tuple(OPERATIONS)
    return tuple(Fault(random.choice(kinds), random.randint(1, calls)) for _ in range(count))


def befalling(faults: Iterable[Fault], operation: str, call: int) -> frozenset[FaultKind]:
    """Return what goes wrong in that *call* of *operation*, counted from 1."""
    return frozenset(it.kind for it in faults if it.operation == operation and it.on == call)
