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


@frozen
class Fault:
    """Something that goes wrong once; a slow drift goes on.

    Attributes:
        kind: What goes wrong. ``out of memory``: a load raises `InsufficientMemory`. ``spill``: a
            model is loaded, half of it on the CPU, and writes at half its speed. ``hang``: an
            answer stops after a word, until it is closed. ``slow drift``: from here on each answer
            is a tenth slower than the one before. ``cut stream``: an answer ends without a chunk
            that is done. ``crash``: the engine dies within an answer, with all its models, and
            comes back with the next load. ``late memory``: the memory of a model that was unloaded
            comes back only `FaultyBackend.late_s` later.
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
