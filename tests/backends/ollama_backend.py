"""Opening the Ollama backend on a fake server, with a machine that a test makes up."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from attrs import define, evolve

from orac_backends.ollama import OllamaSettings
from orac_backends.ollama.backend import OllamaBackend, open_backend
from orac_core import Host, ModelFiles
from orac_core.files import Place


@define(eq=False)
class Memory:
    """The memory of the machine, as far as it is free."""

    available: int = 8 << 30

    def __call__(self) -> int:
        return self.available


def host_of(folder: Path | None, **checksums: str) -> Host:
    places = () if folder is None else (Place(folder, "a test"),)
    return Host(ModelFiles(places, checksums), {})


@asynccontextmanager
async def opened(
    url: str,
    folder: Path | None = None,
    *,
    store: Path | None = None,
    memory: Memory | None = None,
    host: Host | None = None,
    **settings: object,
) -> AsyncIterator[OllamaBackend]:
    """Open a backend; whatever the real machine has is none of its business."""
    chosen = OllamaSettings(url=url, **settings)
    async with open_backend(chosen, host or host_of(folder)) as backend:
        backend.around = evolve(backend.around, store=store, available=memory, shared_memory=True)
        yield backend
