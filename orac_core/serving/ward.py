"""The model that is being examined: one at a time, and for nobody else meanwhile."""

from collections.abc import Iterator
from contextlib import contextmanager

from attrs import define, field

from ..errors import StateConflict
from ..outage import Outage
from .pool import Key


@define(eq=False)
class Ward:
    """Where one model at a time is examined.

    Whoever else asks for it is refused and not made to wait: for minutes it is unloaded, loaded in
    other ways and measured, and an answer in between would be slow and spoil the measure. It is a
    conflict (409) and no failure (503), as ORAC is well and serves all other models.

    Attributes:
        patient: The model that is being examined; None when none is.
    """

    patient: Key | None = field(default=None, init=False)
    _outage: Outage = field(factory=Outage)

    @contextmanager
    def taken(self, key: Key) -> Iterator[None]:
        """Have a model examined.

        Raises:
            StateConflict: when one is already, naming it.
        """
        if self.patient is not None:
            raise StateConflict(
                f"{'/'.join(self.patient)} is being examined, and one model at a time can be; "
                "wait for the end of that, or end it first",
                self._outage.goes_on(),
            )
        self.patient = key
        self._outage.goes_on()
        try:
            yield
        finally:
            self.patient = None
            self._outage.over()

    def refuse(self, key: Key) -> None:
        """Refuse what is asked of a model that is being examined.

        Raises:
            StateConflict: when it is.
        """
        if key == self.patient:
            raise StateConflict(
                f"{'/'.join(key)} is being examined, which takes some minutes and nobody else may "
                "disturb; ask again later, or ask another model",
                self._outage.goes_on(),
            )
