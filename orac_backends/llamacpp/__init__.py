"""The plugin that offers the kind ``llamacpp``: GGUF files, served by llama.cpp."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import PackageNotFoundError, version

from orac_core import BackendKind, Host, hookimpl

from .settings import LlamaCppSettings

__all__ = ["LlamaCppSettings", "backend_kinds", "orac_hooks"]

orac_hooks = "1.1"
"""The version of the hooks it is built for."""


@hookimpl
def backend_kinds() -> tuple[BackendKind, ...]:
    """Offer the kind ``llamacpp``."""
    return (BackendKind("llamacpp", LlamaCppSettings, _open, _engine_version, adapters=True),)


@asynccontextmanager
async def _open(settings: LlamaCppSettings, host: Host) -> AsyncIterator[object]:
    # The HTTP client costs 7 MiB and 0.1 s, which a plugin that is merely found need not.
    from .backend import open_backend  # noqa: PLC0415

    async with open_backend(settings, host) as backend:
        yield backend


def _engine_version() -> str | None:
    try:
        return f"xllamacpp {version('xllamacpp')}"
    except PackageNotFoundError:
        return None
