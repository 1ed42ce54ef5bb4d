"""How everything stands at one moment, as far as it is known without asking any engine."""

from attrs import field, frozen

from ..types import ModelState
from .breaker import Spell


@frozen
class ModelNow:
    """A model at this moment.

    Attributes:
        instance: The backend that serves it.
        model: Its id there.
        state: What it is doing.
        waiting: Requests that wait for their turn.
        active: Requests that have their turn.
        memory_bytes: What it takes of this machine's memory; None where it takes none or its
            engine does not say.
        evictions: How often it had to go for another.
        speed_ratio: Speed of its last answers as a share of the usual; None where it is not
            loaded or that is not known.
        degraded: Whether it is slower than it used to be; None as for the ratio.
    """

    instance: str
    model: str
    state: ModelState
    waiting: int
    active: int
    memory_bytes: int | None = None
    evictions: int = 0
    speed_ratio: float | None = None
    degraded: bool | None = None


@frozen
class BackendNow:
    """A backend at this moment.

    Attributes:
        instance: Its name.
        usable: Whether it was the last time that it was asked.
        breaker: Whether it is spared for a while, as it could not be reached.
    """

    instance: str
    usable: bool
    breaker: Spell = field(factory=Spell)

    @property
    def spared(self) -> bool:
        """Whether it is not asked for a while."""
        return self.breaker.state != "closed"


@frozen
class Census:
    """Every model and every backend at this moment, in no order."""

    models: tuple[ModelNow, ...]
    backends: tuple[BackendNow, ...]
