"""The plugin that offers the kind ``openai``: any server that speaks OpenAI's API."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from orac_core import BackendKind, Host, hookimpl

from .settings import OpenAISettings

__all__ = ["OpenAISettings", "backend_kinds", "orac_hooks"]

orac_hooks = "1.1"
"""The version of the hooks it is built for."""


@hookimpl
def backend_kinds() -> tuple[BackendKind, ...]:
    """Offer the kind ``openai``."""
    return (BackendKind("openai", OpenAISettings, _open),)


@asynccontextmanager
async def _open(settings: OpenAISettings, host: Host) -> AsyncIterator[object]:
    # The HTTP client costs 7 MiB and 0.1 s, which a plugin that is merely found need not.
    from .backend import open_backend  # noqa: PLC0415

    async with open_backend(settings, host) as backend:
        yield backend
