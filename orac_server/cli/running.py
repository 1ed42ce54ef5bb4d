"""Running the asynchronous work of a command, and turning its end into an exit code."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from orac_core import OracError

from .output import note

T = TypeVar("T")

FAILED = 1


def run(work: Coroutine[Any, Any, T]) -> T:
    """Return the result of *work*.

    Raises:
        SystemExit: 1 when it failed, after saying why.
    """
    try:
        return asyncio.run(work)
    except OracError as error:
        note(str(error))
        raise SystemExit(FAILED) from None
