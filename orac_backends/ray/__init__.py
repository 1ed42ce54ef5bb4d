"""The plugin that offers the kind ``ray``: models on the nodes of a Ray cluster."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import PackageNotFoundError, version

from orac_core import BackendKind, Host, hookimpl

from .settings import RayModel, RaySettings

__all__ = ["RayModel", "RaySettings", "backend_kinds", "orac_hooks"]

orac_hooks = "1.1"
"""The version of the hooks it is built for."""


@hookimpl
def backend_kinds() -> tuple[BackendKind, ...]:
    """Offer the kind ``ray``."""
    return (BackendKind("ray", RaySettings, _open, _engine_version, adapters=True, changes=True),)


@asynccontextmanager
async def _open(settings: RaySettings, host: Host) -> AsyncIterator[object]:
    from .backend import open_backend  # noqa: PLC0415 - a plugin that is merely found needs none

    async with open_backend(settings, host) as backend:
        yield backend


def _engine_version() -> str | None:
    try:
        return f"ray {version('ray')}"
    except PackageNotFoundError:
        return None
