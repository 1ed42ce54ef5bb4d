"""What earlier loads really took, and what that says of the next one. Pure."""

from collections.abc import Sequence
from typing import Any

from attrs import asdict, evolve, frozen

from .estimate import Setup

MOST_LOADS = 8
"""So many are remembered of one model, the newest."""


@frozen
class Measured:
    """One kind of load of a model, and what it took.

    Attributes:
        size_bytes: Size of the model on the disk: another size is another model.
        context_length: As it was loaded.
        parallel: As it was loaded.
        gpu_layers: As it was asked for; None when the engine chose.
        estimated_bytes: What was expected.
        measured_bytes: The most it took.
        cache_type_bytes: Bytes of one number in its cache.
    """

    size_bytes: int
    context_length: int
    parallel: int
    gpu_layers: int | None
    estimated_bytes: int
    measured_bytes: int
    cache_type_bytes: float = 2.0

    @classmethod
    def of(cls, size_bytes: int, setup: Setup, estimated: int, measured: int) -> "Measured":
        """Return what a load took that was made like *setup*."""
        layers = setup.gpu_layers
        each = setup.context_length, setup.parallel, layers
        return cls(size_bytes, *each, estimated, measured, setup.cache_type_bytes)

    def is_like(self, other: "Measured") -> bool:
        """Whether both are loads of the same kind."""
        return evolve(self, estimated_bytes=0, measured_bytes=0) == evolve(
            other, estimated_bytes=0, measured_bytes=0
        )


def added(known: Sequence[Measured], new: Measured) -> tuple[Measured, ...]:
    """Return *known* with *new* in it, as the newest; of one kind the most counts."""
    same_model = [each for each in known if each.size_bytes == new.size_bytes]
    alike = [each.measured_bytes for each in same_model if each.is_like(new)]
    others = [each for each in same_model if not each.is_like(new)]
    most = evolve(new, measured_bytes=max(new.measured_bytes, *alike, 0))
    return (*others, most)[-MOST_LOADS:]


def exactly(known: Sequence[Measured], size_bytes: int | None, setup: Setup) -> int | None:
    """Return what the same kind of load took; None when there was none."""
    wanted = Measured.of(size_bytes or 0, setup, 0, 0)
    return next((each.measured_bytes for each in known if each.is_like(wanted)), None)


def correction(known: Sequence[Measured], size_bytes: int | None) -> int:
    """Return what the newest load of the same model took beyond its estimate; 0 for none."""
    same = [each for each in known if each.size_bytes == size_bytes]
    return same[-1].measured_bytes - same[-1].estimated_bytes if same else 0


def as_data(known: Sequence[Measured]) -> list[dict[str, Any]]:
    """Return *known* as plain data."""
    return [asdict(each) for each in known]


def from_data(data: object) -> tuple[Measured, ...]:
    """Return what `as_data` made; what is none of that is left out."""
    rows = data if isinstance(data, list) else []
    return tuple(Measured(**row) for row in rows[-MOST_LOADS:] if _is_whole(row))


def _is_whole(row: object) -> bool:
    if not isinstance(row, dict) or row.keys() != {*Measured.__annotations__}:
        return False
    numbers = {name: it for name, it in row.items() if name != "gpu_layers" or it is not None}
    cached = numbers.pop("cache_type_bytes")
    whole = all(type(value) is int and value >= 0 for value in numbers.values())
    return whole and type(cached) is float and cached > 0
