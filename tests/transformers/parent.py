"""A program that loads a checkpoint, says which process serves it, and waits to be killed."""

import asyncio
import sys
from contextlib import aclosing
from pathlib import Path

from orac_backends.transformers import TransformersSettings
from orac_backends.transformers.backend import open_backend
from orac_core import LoadRequest


async def main(folder, model):
    settings = TransformersSettings((Path(folder),), device="cpu", threads=1)
    async with open_backend(settings) as backend:
        async with aclosing(backend.load(LoadRequest(model))) as stages:
            async for _ in stages:
                pass
        sys.stdout.write(f"{backend._workers[model]._process.pid}\n")
        sys.stdout.flush()
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
