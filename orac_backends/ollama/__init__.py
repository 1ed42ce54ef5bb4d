"""The plugin that offers the kind ``ollama``: models served by an Ollama, here or elsewhere."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from orac_core import BackendKind, Host, hookimpl

from .settings import OllamaSettings

__all__ = ["OllamaSettings", "backend_kinds", "orac_hooks"]

orac_hooks = "1.1"
"""The version of the hooks it is built for."""


@hookimpl
def backend_kinds() -> tuple[BackendKind, ...]:
    """Offer the kind ``ollama``."""
    return (BackendKind("ollama", OllamaSettings, _open, adapters=True),)


@asynccontextmanager
async def _open(settings: OllamaSettings, host: Host) -> AsyncIterator[object]:
    # The HTTP client costs 7 MiB and 0.1 s, which a plugin that is merely found need not.
    from .backend import open_backend  # noqa: PLC0415

    async with open_backend(settings, host) as backend:
        yield backend
