"""A function that the manifest names."""

from importlib import import_module
from operator import attrgetter
from types import ModuleType
from typing import Any

from attrs import frozen


@frozen
class Reference:
    """``package.module:function``, imported only when it is called. That blocks."""

    place: str

    def __call__(self, *args: object, **kwargs: object) -> Any:
        """Call the function.

        Raises:
            ModuleNotFoundError: when the module is nowhere.
            TypeError: when there is something else at that place.
            Exception: whatever the import or the function raises.
        """
        module, _, name = self.place.partition(":")
        found = attrgetter(name)(_imported(module))
        if not callable(found):
            raise TypeError(f"{self.place} is no function but {type(found).__name__}")
        return found(*args, **kwargs)


def _imported(name: str) -> ModuleType:
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        if error.name and f"{name}.".startswith(f"{error.name}."):  # not one that it imports itself
            error.msg += "; install it beside ORAC, or put its folder into PYTHONPATH"
        raise
