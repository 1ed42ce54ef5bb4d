"""Why replicas do not start, out of what Ray tells. Pure."""

import re

from orac_core import (
    BackendError,
    ConfigurationError,
    ModelFileInvalid,
    ModelNotFound,
    OracError,
    PluginError,
)

from .._ray.told import App
from .._ray.wire import Failure, unpacked

_MARKED = re.compile(r"<orac>([0-9a-f]+)</orac>")
_LASTING = (ModelNotFound, ModelFileInvalid, ConfigurationError, PluginError)
_LONGEST = 300


def failure(message: str) -> OracError:
    """Return the error that a replica failed to start with, or one with what Ray says."""
    said = f"Ray could not start its replicas: {_line(message)}"
    return _marked(message) or BackendError(said, operation="load")


def hopeless(message: str, homes: int) -> OracError | None:
    """Return what each further attempt of Ray's would fail with; None while one may succeed.

    Args:
        message: What Ray says after an attempt.
        homes: Nodes that could hold a replica; where there are several, another may have the file.
    """
    error = _marked(message) if homes == 1 else None
    return error if isinstance(error, _LASTING) else None


def short(app: App | None) -> str:
    """Return what Ray says of an application, to stand before something else."""
    return f"{_line(app.message)}; " if app and app.message else ""


def _marked(message: str) -> OracError | None:
    found = _MARKED.search(message)
    return unpacked(bytes.fromhex(found[1]), Failure).error() if found else None


def _line(text: str) -> str:
    line = " ".join(_MARKED.sub("", text).split())
    return line if len(line) <= _LONGEST else f"…{line[-_LONGEST:]}"
