"""The plugin that offers the kind ``python``: objects that the user's own functions make."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from orac_core import BackendKind, Host, hookimpl

from .settings import PythonModel, PythonSettings

__all__ = ["PythonModel", "PythonSettings", "backend_kinds", "orac_hooks"]

orac_hooks = "1.1"
"""The version of the hooks it is built for."""


@hookimpl
def backend_kinds() -> tuple[BackendKind, ...]:
    """Offer the kind ``python``."""
    return (BackendKind("python", PythonSettings, _open),)


@asynccontextmanager
async def _open(settings: PythonSettings, host: Host) -> AsyncIterator[object]:
    from .backend import open_backend  # noqa: PLC0415 - a plugin that is merely found needs none

    async with open_backend(settings, host) as backend:
        yield backend
