"""What a process that has much to import, and then runs for long, can be spared."""

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module

YOUNG = 5_000
"""New objects after which Python looks for garbage among them; of its own accord it does so after
700, which an answer needs by itself."""


def import_without(missing: str, module: str) -> None:
    """Import *module* as where *missing* is not installed; that can still be imported later."""
    if missing in sys.modules:
        import_module(module)
        return
    sys.modules[missing] = None  # type: ignore[assignment]
    try:
        import_module(module)
    finally:
        del sys.modules[missing]


@contextmanager
def uncollected() -> Iterator[None]:
    """Look for no garbage within: what is imported stays."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def settle() -> None:
    """Leave alone what is there now, and look for garbage less often.

    A service has a hundred thousand objects that it never lets go of. Looking at them again and
    again was a tenth of the work for a request. For a program's own process, not for a library.
    """
    gc.freeze()
    gc.set_threshold(YOUNG, *gc.get_threshold()[1:])
