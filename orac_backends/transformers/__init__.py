"""The plugin that offers the kind ``transformers``: checkpoints of Hugging Face's, by torch."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import PackageNotFoundError, version

from orac_core import BackendKind, Host, hookimpl

from .settings import TransformersSettings

__all__ = ["TransformersSettings", "backend_kinds", "orac_hooks"]

orac_hooks = "1.1"
"""The version of the hooks it is built for."""


@hookimpl
def backend_kinds() -> tuple[BackendKind, ...]:
    """Offer the kind ``transformers``."""
    return (BackendKind("transformers", TransformersSettings, _open, _engine_version),)


@asynccontextmanager
async def _open(settings: TransformersSettings, _: Host) -> AsyncIterator[object]:
    # The HTTP client costs 7 MiB and 0.1 s, which a plugin that is merely found need not.
    from .backend import open_backend  # noqa: PLC0415

    async with open_backend(settings) as backend:
        yield backend


def _engine_version() -> str | None:
    try:
        return f"transformers {version('transformers')}"
    except PackageNotFoundError:
        return None
