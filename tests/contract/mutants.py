"""Backends that are broken on purpose, each in one thing, with the promises that catch them."""

import asyncio
from contextlib import aclosing

from attrs import define, evolve, field

from orac_core import (
    BackendUnavailable,
    Chunk,
    InstanceHealth,
    InvalidRequest,
    LoadProgress,
    ModelInfo,
    Rates,
    Usage,
    hookimpl,
)
from orac_core.testing import FaultyBackend
from tests.contract.sound import Sound, breaks, sound


@breaks("hooks")
@define(eq=False)
class Misspells(Sound):
    @hookimpl
    async def embeddings(self, request):
        return None


@breaks("lists-models")
@define(eq=False)
class ListsATuple(Sound):
    @hookimpl
    async def models(self):
        return tuple(await FaultyBackend.models(self))


@breaks("lists-once")
@define(eq=False)
class ListsTwice(Sound):
    @hookimpl
    async def models(self):
        return 2 * await FaultyBackend.models(self)


@breaks("lists-its-own")
@define(eq=False)
class ListsWhatItHasNot(Sound):
    @hookimpl
    async def models(self):
        return [*await FaultyBackend.models(self), ModelInfo("orac-knows-no-such-model")]


@breaks("health")
@define(eq=False)
class IsNeverUsable(Sound):
    @hookimpl
    async def health(self):
        return InstanceHealth(usable=False, message="not well")


@breaks("health-plain")
@define(eq=False)
class TellsAnObject(Sound):
    @hookimpl
    async def health(self):
        return InstanceHealth(usable=True, details={"engine": self})


@breaks("health-down")
@define(eq=False)
class RaisesWhenDown(Sound):
    @hookimpl
    async def health(self):
        if self._down:
            raise BackendUnavailable("the engine has died")
        return InstanceHealth(usable=True)


@breaks("load")
@define(eq=False)
class SaysNothingOfALoad(Sound):
    @hookimpl
    async def models(self):
        return [ModelInfo(each.id) for each in await FaultyBackend.models(self)]


@breaks("load-announces")
@define(eq=False)
class LoadsUnannounced(Sound):
    @hookimpl
    async def load(self, request):
        async for _ in FaultyBackend.load(self, request):
            yield LoadProgress("validate")


@breaks("load-progress")
@define(eq=False)
class CountsTooFar(Sound):
    @hookimpl
    async def load(self, request):
        async for _ in FaultyBackend.load(self, request):
            yield LoadProgress("read", 200, 100)


@breaks("load-again")
@define(eq=False)
class RefusesToLoadAgain(Sound):
    @hookimpl
    async def load(self, request):
        if request.model in self.loaded:
            raise InvalidRequest("it is loaded already")
        async for progress in FaultyBackend.load(self, request):
            yield progress


@breaks("load-unknown", "errors")
@define(eq=False)
class RaisesWhatComes(Sound):
    @hookimpl
    async def load(self, request):
        self.sizes[request.model]
        async for progress in FaultyBackend.load(self, request):
            yield progress


@breaks("errors-speak")
@define(eq=False)
class SaysNotWhatIsWrong(Sound):
    @hookimpl
    async def load(self, request):
        if request.model not in self.sizes:
            raise InvalidRequest("")
        async for progress in FaultyBackend.load(self, request):
            yield progress


@breaks("load-closed")
@define(eq=False)
class IsLoadedTooEarly(Sound):
    @hookimpl
    async def load(self, request):
        async with aclosing(FaultyBackend.load(self, request)) as stages:
            told = [each async for each in stages]
        yield told[0]


@breaks("unload", "unload-memory")
@define(eq=False)
class NeverUnloads(Sound):
    @hookimpl
    async def unload(self, model):
        pass


@breaks("unload-again", "unload-unknown")
@define(eq=False)
class FailsToUnloadNothing(Sound):
    @hookimpl
    async def unload(self, model):
        del self.loaded[model]


@breaks("load-after-unload")
@define(eq=False)
class LoadsOnce(Sound):
    unloaded: bool = False

    @hookimpl
    async def unload(self, model):
        self.unloaded = True
        await FaultyBackend.unload(self, model)

    @hookimpl
    async def load(self, request):
        if self.unloaded:
            raise BackendUnavailable("the engine has gone")
        async for progress in FaultyBackend.load(self, request):
            yield progress


@breaks("generate")
@define(eq=False)
class NeverEnds(Sound):
    @hookimpl
    async def generate(self, request):
        async for chunk in sound(self, request):
            if not chunk.done:
                yield chunk


@breaks("generate-reason")
@define(eq=False)
class SaysNotWhy(Sound):
    @hookimpl
    async def generate(self, request):
        async for chunk in sound(self, request):
            yield evolve(chunk, finish_reason=None)


@breaks("generate-text")
@define(eq=False)
class SaysNothing(Sound):
    @hookimpl
    async def generate(self, request):
        async for chunk in sound(self, request):
            yield Chunk(done=chunk.done, finish_reason=chunk.finish_reason)


@breaks("generate-usage")
@define(eq=False)
class CountsAllTheTime(Sound):
    @hookimpl
    async def generate(self, request):
        async for chunk in sound(self, request):
            yield evolve(chunk, usage=Usage(2, 1))


@breaks("generate-rates")
@define(eq=False)
class MeasuresNothingAsZero(Sound):
    @hookimpl
    async def generate(self, request):
        async for chunk in sound(self, request):
            yield evolve(chunk, rates=Rates(0.0, 0.0)) if chunk.done else chunk


@breaks("generate-limit")
@define(eq=False)
class KnowsNoLimit(Sound):
    @hookimpl
    async def generate(self, request):
        free = evolve(request, options=evolve(request.options, max_tokens=None))
        async for chunk in sound(self, free):
            yield chunk


@breaks("generate-again")
@define(eq=False)
class AnswersOnce(Sound):
    answered: bool = False

    @hookimpl
    async def generate(self, request):
        if self.answered:
            raise BackendUnavailable("it is tired")
        self.answered = True
        async for chunk in sound(self, request):
            yield chunk


@breaks("generate-parallel", "closed-others")
@define(eq=False)
class AnswersOneAtATime(Sound):
    busy: bool = False

    @hookimpl
    async def generate(self, request):
        if self.busy:
            raise BackendUnavailable("it is busy")
        self.busy = True
        try:
            async for chunk in sound(self, request):
                await asyncio.sleep(0)
                yield chunk
        finally:
            self.busy = False


@breaks("generate-listens")
@define(eq=False)
class HoldsALock(Sound):
    lock: asyncio.Lock = field(factory=asyncio.Lock)

    @hookimpl
    async def models(self):
        async with self.lock:
            return await FaultyBackend.models(self)

    @hookimpl
    async def generate(self, request):
        async with self.lock:
            async for chunk in sound(self, request):
                yield chunk


@breaks("closed")
@define(eq=False)
class GoesOnWhenClosed(Sound):
    @hookimpl
    async def generate(self, request):
        try:
            async for chunk in sound(self, request):
                yield chunk
        finally:
            await asyncio.sleep(2.2)


@breaks("closed-next", "closed-unload")
@define(eq=False)
class KeepsItsTurn(Sound):
    answering: int = 0

    @hookimpl
    async def unload(self, model):
        if self.answering:
            raise BackendUnavailable("it is answering")
        await FaultyBackend.unload(self, model)

    @hookimpl
    async def generate(self, request):
        if self.answering:
            raise BackendUnavailable("it is answering")
        self.answering += 1
        async for chunk in sound(self, request):
            yield chunk
        self.answering -= 1


@breaks("cancelled")
@define(eq=False)
class SwallowsACancellation(Sound):
    @hookimpl
    async def generate(self, request):
        chunks = [chunk async for chunk in sound(self, request)]
        for chunk in chunks:
            yield chunk
            try:
                await asyncio.sleep(0.01)
            except asyncio.CancelledError:
                continue


@breaks("not-loaded")
@define(eq=False)
class LoadsInSilence(Sound):
    @hookimpl
    async def generate(self, request):
        self.loaded.setdefault(request.model, None)
        async for chunk in sound(self, request):
            yield chunk


@breaks("generate-unknown")
@define(eq=False)
class AnswersForOthers(Sound):
    @hookimpl
    async def generate(self, request):
        async for chunk in sound(self, evolve(request, model="small")):
            yield chunk


@breaks("nonsense")
@define(eq=False)
class FailsAtNonsense(Sound):
    def _check(self, request):
        if not request.messages:
            raise BackendUnavailable("the engine has died")
        self._alive(request.model)


@breaks("any-order")
@define(eq=False)
class RemembersWhoLeft(Sound):
    """Breaks only when an answer was closed early, and the model was unloaded and loaded since."""

    left: bool = False
    broken: bool = False

    @hookimpl
    async def unload(self, model):
        self.broken = self.left
        await FaultyBackend.unload(self, model)

    @hookimpl
    async def generate(self, request):
        self._check(request)
        if self.broken:
            raise BackendUnavailable("its connection is gone")
        try:
            async with aclosing(sound(self, request)) as chunks:
                async for chunk in chunks:
                    yield chunk
        except GeneratorExit:
            self.left = True
            raise
