"""Why replicas do not start, out of what Ray tells. Pure."""

import re

from orac_core import BackendError, OracError

from .._ray.told import App
from .._ray.wire import Failure, unpacked

_MARKED = re.compile(r"<orac>([0-9a-f]+)</orac>")
_LONGEST = 300


def failure(message: str) -> OracError:
    """Return the error that a replica failed to start with, or one with what Ray says."""
    if found := _MARKED.search(message):
        return unpacked(bytes.fromhex(found[1]), Failure).error()
    return BackendError(f"Ray could not start its replicas: {_line(message)}", operation="load")


def short(app: App | None) -> str:
    """Return what Ray says of an application, to stand before something else."""
    return f"{_line(app.message)}; " if app and app.message else ""


def _line(text: str) -> str:
    line = " ".join(_MARKED.sub("", text).split())
    return line if len(line) <= _LONGEST else f"…{line[-_LONGEST:]}"
