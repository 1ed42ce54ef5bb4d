"""Turning the end of a command's work into an exit code."""

import asyncio
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from orac_core import OracError

from .output import note

T = TypeVar("T")

FAILED = 1


@contextmanager
def failures_told() -> Iterator[None]:
    """Say on stderr why the work within failed, and end the process with 1."""
    try:
        yield
    except OracError as error:
        note(str(error))
        raise SystemExit(FAILED) from None


def run(work: Coroutine[Any, Any, T]) -> T:
    """Return the result of *work*.

    Raises:
        SystemExit: 1 when it failed, after saying why.
    """
    with failures_told():
        return asyncio.run(work)
