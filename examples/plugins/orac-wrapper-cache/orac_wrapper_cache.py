"""Replays answers: the same request at temperature 0, to the same loaded model, is answered once.

A replayed answer comes in the pieces that it came in, with the tokens that it has. It tells no
speed, as nobody computed it, and counts the whole prompt as cached: so it can be told from others.
"""

import os
from collections import OrderedDict
from collections.abc import AsyncGenerator, Awaitable, Generator
from contextlib import aclosing
from hashlib import sha256
from typing import ClassVar

from attrs import define, evolve, field

from orac_core import Chunk, GenerateRequest, LoadProgress, LoadRequest, ModelInfo, Rates, hookimpl

ANSWERS = "ORAC_CACHE_ANSWERS"
"""The variable that says how many answers are kept; 0 keeps none."""

USUAL_ANSWERS = 256
"""How many where the variable says nothing."""

LONGEST = 65536
"""Characters of the longest answer that is kept: with the usual number, that is 16 MiB of text."""

PIECES = 4096
"""Pieces of the longest answer that is kept: each takes memory, however short it is."""

Key = tuple[str, str, int, bytes]


def repeatable(request: GenerateRequest) -> bool:
    """Whether the same request gets the same answer, and whoever asks wants just that.

    One token is what ORAC proves with that a model answers, and an answer that ignores its end is
    measured: these are never replayed. Calls of tools have ids, each its own.
    """
    options = request.options
    return (
        options.temperature == 0
        and options.max_tokens != 1
        and not options.ignore_eos
        and request.toolbox is None
        and request.top_logprobs is None
    )


def whole(chunks: list[Chunk]) -> bool:
    """Whether they are an answer to the whole prompt that ended by itself and is not too long."""
    last = chunks[-1]
    return (
        last.done
        and last.finish_reason == "stop"
        and not any(chunk.truncated_prompt for chunk in chunks)
        and len(chunks) <= PIECES
        and sum(len(chunk.text) for chunk in chunks) <= LONGEST
    )


def replayed(chunks: list[Chunk]) -> list[Chunk]:
    """Return the pieces as they are told when nobody computes them."""
    *pieces, last = chunks
    usage = evolve(last.usage, cached_tokens=last.usage.prompt_tokens)
    return [*pieces, evolve(last, usage=usage, rates=Rates())]


def answers_wanted(text: str | None) -> int:
    """Return how many answers to keep; what is no number above 0 keeps none."""
    if text is None:
        return USUAL_ANSWERS
    return int(text) if text.isascii() and text.isdigit() else 0


@define(eq=False)
class Cache:
    """The wrapper, and the answers that it keeps: those asked for lately.

    Every load of a model, and a digest that is not the one before, begin a new age of it. An answer
    of an age that is over is never found again, and goes when the others need its place.

    Attributes:
        room: How many answers to keep at most.
    """

    orac_hooks: ClassVar[str] = "1.0"
    room: int = USUAL_ANSWERS
    _answers: OrderedDict[Key, list[Chunk]] = field(factory=OrderedDict)
    _ages: dict[tuple[str, str], int] = field(factory=dict)
    _digests: dict[tuple[str, str], str] = field(factory=dict)

    @hookimpl(wrapper=True, trylast=True)
    def generate(
        self, instance: str, request: GenerateRequest
    ) -> Generator[None, AsyncGenerator[Chunk, None], AsyncGenerator[Chunk, None]]:
        """Replay an answer, or keep the one that comes."""
        stream = yield
        if not self.room or not repeatable(request):
            return stream
        key = self._key(instance, request)
        kept = self._answers.get(key)
        return self._keeping(key, stream) if kept is None else self._replaying(key, kept, stream)

    @hookimpl(wrapper=True, trylast=True)
    def load(
        self, instance: str, request: LoadRequest
    ) -> Generator[None, AsyncGenerator[LoadProgress, None], AsyncGenerator[LoadProgress, None]]:
        """Forget the model's answers: a load may bring another file, context or adapter."""
        stream = yield
        self._forget((instance, request.model))
        return stream

    @hookimpl(wrapper=True, trylast=True)
    def models(
        self, instance: str
    ) -> Generator[None, Awaitable[list[ModelInfo]], Awaitable[list[ModelInfo]]]:
        """Notice a model that became another one under the same name."""
        listing = yield
        return self._compared(instance, listing)

    async def _compared(
        self, instance: str, listing: Awaitable[list[ModelInfo]]
    ) -> list[ModelInfo]:
        models = await listing
        for model in models:
            if model.digest and self._is_another((instance, model.id), model.digest):
                self._forget((instance, model.id))
        return models

    def _is_another(self, place: tuple[str, str], digest: str) -> bool:
        before = self._digests.get(place, digest)
        self._digests[place] = digest
        return before != digest

    async def _replaying(
        self, key: Key, kept: list[Chunk], stream: AsyncGenerator[Chunk, None]
    ) -> AsyncGenerator[Chunk, None]:
        await stream.aclose()
        self._keep(key, kept)
        for chunk in kept:
            yield chunk

    async def _keeping(
        self, key: Key, stream: AsyncGenerator[Chunk, None]
    ) -> AsyncGenerator[Chunk, None]:
        chunks: list[Chunk] = []
        async with aclosing(stream):
            async for chunk in stream:
                if len(chunks) <= PIECES:
                    chunks.append(chunk)
                if chunk.done and whole(chunks):  # nobody has to read on after that
                    self._keep(key, replayed(chunks))
                yield chunk

    def _keep(self, key: Key, chunks: list[Chunk]) -> None:
        self._answers[key] = chunks
        self._answers.move_to_end(key)
        while len(self._answers) > self.room:
            self._answers.popitem(last=False)

    def _forget(self, place: tuple[str, str]) -> None:
        self._ages[place] = self._ages.get(place, 0) + 1

    def _key(self, instance: str, request: GenerateRequest) -> Key:
        """Return what tells the request from others: all of it but how long the model stays."""
        asked = repr(evolve(request, keep_alive_s=None)).encode(errors="surrogatepass")
        age = self._ages.get((instance, request.model), 0)
        return instance, request.model, age, sha256(asked).digest()


plugin = Cache(answers_wanted(os.environ.get(ANSWERS)))
"""What the entry point names."""
