"""What goes wrong in the user's own code, as errors of ORAC."""

import asyncio
import logging
import traceback
from collections.abc import Iterator
from contextlib import contextmanager

from orac_core import BackendError, OracError

logger = logging.getLogger("orac.python")

_LONGEST = 500


@contextmanager
def told(model: str, operation: str) -> Iterator[None]:
    """Make a `BackendError` of whatever the user's code raises within, also of ``SystemExit``.

    Where it went wrong is logged, without what was said: that may quote a prompt.

    Raises:
        BackendError: with the class and the message of the error.
        OracError: what the user's code raised that is one.
    """
    try:
        yield
    except (OracError, GeneratorExit):
        raise
    except asyncio.CancelledError as error:
        if _is_cancelled():
            raise
        raise fault(model, operation, error) from error
    except BaseException as error:
        raise fault(model, operation, error) from error


def fault(model: str, operation: str, error: BaseException) -> BackendError:
    """Return the error to tell, and log where it came from."""
    stack = "".join(traceback.format_tb(error.__traceback__))
    kind = type(error).__name__
    logger.error("%s: %s raised %s\n%s", model, operation, kind, stack)
    text = str(error).strip()
    shown = text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
    return BackendError(
        f"{model}: {kind}: {shown}" if shown else f"{model}: {kind}", operation=operation
    )


def _is_cancelled() -> bool:
    """Whether it is ORAC that cancels what runs."""
    try:
        task = asyncio.current_task()
    except RuntimeError:  # in a thread nobody can
        return False
    return task is not None and task.cancelling() > 0
