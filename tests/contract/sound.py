"""A backend that keeps every promise, and the list of those made of it that break one."""

import asyncio
from contextlib import aclosing
from math import hypot

from attrs import define, field

from orac_core import (
    Embeddings,
    InvalidRequest,
    ModelNotFound,
    PullProgress,
    hookimpl,
)
from orac_core.testing import FaultyBackend

MUTANTS: dict[str, type] = {}
"""Class by promise that catches it."""


def breaks(*promises):
    def note(cls):
        MUTANTS.update(dict.fromkeys(promises, cls))
        return cls

    return note


@define(eq=False)
class Sound(FaultyBackend):
    """Keeps every promise, also those that not every backend makes."""

    sizes: dict[str, int] = field(factory=lambda: {"small": 1 << 30, "large": 2 << 30})

    @hookimpl
    async def embed(self, request):
        self._alive(request.model)
        if any(len(text) > 1000 for text in request.texts):
            raise InvalidRequest("a text is too long; split it")
        for _ in request.texts:
            await asyncio.sleep(0)
        return Embeddings(self.vectors(request))

    def vectors(self, request):
        return tuple(cut(self.vector(text), request.dimensions) for text in request.texts)

    def vector(self, text):
        return (0.6, 0.8) if "robot" in text else (0.8, 0.6)

    @hookimpl
    async def obtain(self, model):
        self._alive(model)
        return self

    @hookimpl
    async def pull(self, request):
        if request.source is not None:
            raise InvalidRequest(f"{request.source} can not be fetched from")
        if request.model in self.sizes:
            yield PullProgress("here", 3, 3, 0, "present")
            return
        if request.model != "fetched":
            raise ModelNotFound(request.model)
        for done in range(4):
            yield PullProgress("fetching", done, 3, done)
        self.sizes["fetched"] = 3
        yield PullProgress("here", 3, 3, 3, "pulled")


def cut(vector, dimensions):
    if dimensions is None:
        return vector
    if dimensions > len(vector):
        raise InvalidRequest(f"a vector has {len(vector)} numbers")
    kept = vector[:dimensions]
    return tuple(each / hypot(*kept) for each in kept)


async def sound(backend, request):
    async with aclosing(FaultyBackend.generate(backend, request)) as chunks:
        async for chunk in chunks:
            yield chunk
