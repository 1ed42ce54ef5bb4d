"""One trial of a backend: asked through a relay of its own, with a witness inside it."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable
from contextlib import aclosing, asynccontextmanager
from random import Random
from time import monotonic
from typing import Any, TypeVar

from attrs import define, field

from ..conversation import Chunk, GenerateOptions, GenerateRequest, Message
from ..errors import OracError
from ..hookspecs import hookimpl
from ..plugins import Instance, Plugins
from ..types import LoadProgress, LoadRequest, ModelInfo
from .broken import expect
from .subject import MakeSubject, Subject

T = TypeVar("T")

STOPS_WITHIN_S = 2.0
"""Time for a stream that is closed, or a task that is cancelled, to end."""


@define(eq=False)
class Witness:
    """A plugin that sees what a backend raises before the relay makes an ORAC error of it.

    Attributes:
        foreign: What was raised that is no `OracError`, as ``operation: error``.
        raised: The operations that raised anything, one after another.
    """

    foreign: list[str] = field(factory=list)
    raised: list[str] = field(factory=list)

    def _note(self, operation: str, error: Exception) -> None:
        self.raised.append(operation)
        if not isinstance(error, OracError):
            self.foreign.append(f"{operation}: {type(error).__name__}: {error}")

    async def _awaited(self, operation: str, answer: Awaitable[T]) -> T:
        try:
            return await answer
        except Exception as error:
            self._note(operation, error)
            raise

    async def _streamed(
        self, operation: str, stream: AsyncGenerator[T, None]
    ) -> AsyncGenerator[T, None]:
        try:
            async with aclosing(stream):
                async for item in stream:
                    yield item
        except Exception as error:
            self._note(operation, error)
            raise

    def _seen(self, operation: str, answer: Any) -> Any:
        """Watch what a hook returned; what is neither awaitable nor stream, the relay refuses."""
        if isinstance(answer, AsyncGenerator):
            return self._streamed(operation, answer)
        if isinstance(answer, Awaitable):
            return self._awaited(operation, answer)
        return answer

    @hookimpl(wrapper=True)
    def models(self) -> Any:
        """Watch ``models``."""
        return self._seen("models", (yield))

    @hookimpl(wrapper=True)
    def load(self) -> Any:
        """Watch ``load``."""
        return self._seen("load", (yield))

    @hookimpl(wrapper=True)
    def unload(self) -> Any:
        """Watch ``unload``."""
        return self._seen("unload", (yield))

    @hookimpl(wrapper=True)
    def generate(self) -> Any:
        """Watch ``generate``."""
        return self._seen("generate", (yield))

    @hookimpl(wrapper=True)
    def health(self) -> Any:
        """Watch ``health``."""
        return self._seen("health", (yield))

    @hookimpl(wrapper=True)
    def embed(self) -> Any:
        """Watch ``embed``."""
        return self._seen("embed", (yield))


@define(eq=False)
class Trial:
    """A backend with its relay, and the questions that promises put to it.

    Attributes:
        subject: What is tried.
        instance: The typed face of its relay.
        witness: What saw its errors.
        random: What is left to chance, such as where a stream is closed.
    """

    subject: Subject
    instance: Instance
    witness: Witness
    random: Random

    @property
    def model(self) -> str:
        """The model that answers."""
        return self.subject.model

    async def info(self, model: str | None = None) -> ModelInfo:
        """Return what the backend says of *model*, by default the one that answers."""
        name = model or self.model
        found = [it for it in await self.instance.models() if name in (it.id, *it.names)]
        expect(found, f"models() does not list {name!r}")
        return found[0]

    def loading(self, model: str | None = None) -> LoadRequest:
        """Return what a load of *model* asks for."""
        return LoadRequest(model or self.model, context_length=self.subject.context_length)

    async def load(self, model: str | None = None) -> list[LoadProgress]:
        """Load *model* and return the progress that was told."""
        async with aclosing(self.instance.load(self.loading(model))) as stages:
            return [progress async for progress in stages]

    async def unload(self) -> None:
        """Unload the model that answers."""
        await self.instance.unload(self.model)

    def asking(self, text: str = "Say hello.", **changes: Any) -> GenerateRequest:
        """Return a question of few tokens; *changes* are fields of it."""
        few = GenerateOptions(temperature=0.0, seed=1, max_tokens=8)
        told = {"messages": (Message("user", text),), "options": few, **changes}
        return GenerateRequest(**{"model": self.model, **told})

    async def ask(self, request: GenerateRequest | None = None) -> list[Chunk]:
        """Return all pieces of an answer; the relay holds that the last, and only it, is done."""
        async with aclosing(self.instance.generate(request or self.asking())) as chunks:
            return [chunk async for chunk in chunks]


@asynccontextmanager
async def on_trial(make: MakeSubject, seed: int = 0) -> AsyncIterator[Trial]:
    """Open a subject behind a relay with a witness.

    Raises:
        PluginError: when the backend lacks a hook, misspells one, or can not be registered.
    """
    plugins, witness = Plugins(), Witness()
    plugins.register("witness", witness)
    async with make() as subject:
        instance = plugins.bind("tested", subject.backend)
        yield Trial(subject, instance, witness, Random(seed))  # noqa: S311 - nothing is secret


async def ends_soon(ending: Awaitable[object], what: str) -> None:
    """Wait for the end of what was closed or cancelled; more than 2 s break the promise."""
    began = monotonic()
    try:
        async with asyncio.timeout(10 * STOPS_WITHIN_S):
            await ending
    except TimeoutError:
        expect(None, f"{what} did not end within {10 * STOPS_WITHIN_S:g} s")
    took = monotonic() - began
    expect(took <= STOPS_WITHIN_S, f"{what} ended after {took:.1f} s, not {STOPS_WITHIN_S:g}")
