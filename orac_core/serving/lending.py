"""The part of a manager that takes in objects and hands them out."""

from abc import abstractmethod
from contextlib import AbstractAsyncContextManager
from typing import Any

from attrs import define, field

from ..registry import Registration, Registry
from .loans import Loans
from .registered import KIND
from .start import Start


@define(eq=False)
class Lending:
    """What is a manager beside that says what is wanted of models.

    Attributes:
        registry: Objects that the program which uses this has registered.
        start: Loads what is to be loaded from the start on.
    """

    registry: Registry = field(factory=Registry, kw_only=True)
    start: Start = field(init=False)
    _loans: Loans = field(init=False)

    async def get(self, name: str) -> Any:
        """Return the object behind a model of kind ``python``; see `Loans.get`."""
        return await self._loans.get(name)

    def lend(self, name: str) -> AbstractAsyncContextManager[Any]:
        """Have that object, which stays loaded as long as the context lasts; see `Loans.lend`."""
        return self._loans.lend(name)

    def register(self, name: str, **how: Any) -> None:
        """Serve an object that ``loader=`` makes under *name*; see `Registry.register`.

        Raises:
            ConfigurationError: also when there is no backend to serve it.
        """
        self._loans.fleet.backends.require(KIND)
        it = self.registry.register(name, **how)
        self._adopt(it)
        if it.load_at_start:
            self.start.begin([name])

    @abstractmethod
    def _adopt(self, it: Registration) -> None:
        """Want of an object what the program wants."""
