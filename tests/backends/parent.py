"""A program that loads a model, says which process serves it, and waits to be killed."""

import asyncio
import sys
from contextlib import aclosing, asynccontextmanager
from pathlib import Path

from orac_backends.llamacpp import LlamaCppSettings
from orac_backends.llamacpp.backend import open_backend
from orac_core import Host, LoadRequest, ModelFiles
from orac_core.files import Place


@asynccontextmanager
async def serving(folder, model, binary=""):
    settings = LlamaCppSettings(server_binary=Path(binary) if binary else None)
    host = Host(ModelFiles((Place(Path(folder), "a test"),)))
    async with open_backend(settings, host) as backend:
        async with aclosing(backend.load(LoadRequest(model))) as stages:
            async for _ in stages:
                pass
        yield backend


async def served(folder, model):
    async with serving(folder, model):
        pass


async def main(folder, model, binary=""):
    async with serving(folder, model, binary) as backend:
        sys.stdout.write(f"{backend._workers[model]._process.pid} {backend.folder}\n")
        sys.stdout.flush()
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
