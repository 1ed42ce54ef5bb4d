"""Backends whose optional hooks are broken on purpose, with the promises that catch them."""

import asyncio

from attrs import define, evolve

from orac_core import (
    BackendUnavailable,
    Embeddings,
    PullProgress,
    hookimpl,
)
from orac_core.testing import FaultyBackend
from tests.contract.sound import Sound, breaks


@breaks("embed")
@define(eq=False)
class MakesLongVectors(Sound):
    def vector(self, text):
        return (3.0, 4.0)


@breaks("embed-order")
@define(eq=False)
class MixesVectors(Sound):
    @hookimpl
    async def embed(self, request):
        self._alive(request.model)
        return Embeddings(tuple(self.vector(text) for text in sorted(request.texts)))


@breaks("embed-alone")
@define(eq=False)
class PadsTexts(Sound):
    def vectors(self, request):
        made = Sound.vectors(self, request)
        return made if len(made) > 1 else tuple(each[::-1] for each in made)


@breaks("embed-dimensions")
@define(eq=False)
class KnowsNoDimensions(Sound):
    def vectors(self, request):
        return Sound.vectors(self, evolve(request, dimensions=None))


@breaks("embed-long")
@define(eq=False)
class DiesOfLongTexts(Sound):
    @hookimpl
    async def embed(self, request):
        if any(len(text) > 1000 for text in request.texts):
            self.crash()
        return await Sound.embed(self, request)


@breaks("embed-unknown")
@define(eq=False)
class EmbedsForOthers(Sound):
    @hookimpl
    async def embed(self, request):
        return await Sound.embed(self, evolve(request, model="small"))


@breaks("embed-not-loaded")
@define(eq=False)
class EmbedsInSilence(Sound):
    @hookimpl
    async def embed(self, request):
        self.loaded.setdefault(request.model, None)
        return await Sound.embed(self, request)


@breaks("embed-cancelled")
@define(eq=False)
class EmbedsOnWhenCancelled(Sound):
    @hookimpl
    async def embed(self, request):
        try:
            return await Sound.embed(self, request)
        except asyncio.CancelledError:
            return Embeddings(self.vectors(request))


@breaks("obtain")
@define(eq=False)
class HandsOutNothing(Sound):
    @hookimpl
    async def obtain(self, model):
        self._alive(model)


@breaks("obtain-loaded")
@define(eq=False)
class HandsOutAlways(Sound):
    @hookimpl
    async def obtain(self, model):
        return self


@breaks("pull-source")
@define(eq=False)
class FetchesAnything(Sound):
    @hookimpl
    async def pull(self, request):
        return
        yield


@breaks("pull")
@define(eq=False)
class FetchesIntoTheVoid(Sound):
    @hookimpl
    async def pull(self, request):
        async for progress in Sound.pull(self, request):
            yield progress
        self.sizes.pop("fetched", None)


@breaks("pull-progress")
@define(eq=False)
class CountsBack(Sound):
    @hookimpl
    async def pull(self, request):
        async for progress in Sound.pull(self, request):
            yield evolve(progress, completed=3 - progress.completed)


@breaks("pull-again")
@define(eq=False)
class FetchesAgain(Sound):
    @hookimpl
    async def pull(self, request):
        self.sizes.pop("fetched", None)
        async for progress in Sound.pull(self, request):
            yield progress


@breaks("pull-closed")
@define(eq=False)
class ListsHalfAModel(Sound):
    half: bool = False

    @hookimpl
    async def load(self, request):
        if self.half:
            raise BackendUnavailable("the file ends too early")
        async for progress in FaultyBackend.load(self, request):
            yield progress

    @hookimpl
    async def pull(self, request):
        self.half = True
        self.sizes[request.model] = 3
        yield PullProgress("fetching", 2, 3, 2)
        self.half = False
        yield PullProgress("here", 3, 3, 3)


@breaks("pull-unknown")
@define(eq=False)
class FindsAnything(Sound):
    @hookimpl
    async def pull(self, request):
        async for progress in Sound.pull(self, evolve(request, model="fetched")):
            yield progress
