"""One trial of a backend: asked through a relay of its own, with a witness inside it."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from random import Random
from time import monotonic
from typing import Any, TypeVar

from attrs import define, field

from ..conversation import Chunk, GenerateOptions, GenerateRequest, Message
from ..errors import OracError
from ..hookspecs import hookimpl
from ..plugins import Instance, Plugins
from ..types import LoadProgress, LoadRequest, ModelInfo, PullProgress, PullRequest
from .broken import expect
from .subject import MakeSubject, Subject

T = TypeVar("T")

PATIENCE = 10
"""How much longer than it may take is waited for what should end soon."""


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

    @hookimpl(wrapper=True)
    def pull(self) -> Any:
        """Watch ``pull``."""
        return self._seen("pull", (yield))


@define(eq=False)
class Trial:
    """A backend with its relay, and the questions that promises put to it.

    Attributes:
        subject: What is tried.
        instance: The typed face of its relay.
        witness: What saw its errors.
        make: Opens the like of it; `close` this one first.
        close: Closes the backend before the trial is over.
        seed: Where chance begins.
        within_s: Longest time for the promise that is tried.
        random: What is left to chance, such as where a stream is closed.
    """

    subject: Subject
    instance: Instance
    witness: Witness
    make: MakeSubject
    close: Callable[[], Awaitable[None]]
    seed: int
    within_s: float = field(init=False)
    random: Random = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.within_s = self.subject.within_s
        self.random = Random(self.seed)  # noqa: S311 - nothing is secret

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

    async def end_engine(self) -> None:
        """End the engine behind the backend's back; nothing where nobody can."""
        if self.subject.end_engine is not None:
            await self.subject.end_engine()

    async def start_engine(self) -> None:
        """Start the engine again; nothing where a load does."""
        if self.subject.start_engine is not None:
            await self.subject.start_engine()

    def asking(self, text: str = "Say hello.", **changes: Any) -> GenerateRequest:
        """Return a question of few tokens; *changes* are fields of it."""
        few = GenerateOptions(temperature=0.0, seed=1, max_tokens=8)
        told = {"messages": (Message("user", text),), "options": few, **changes}
        return GenerateRequest(**{"model": self.model, **told})

    async def pull(self, request: PullRequest) -> list[PullProgress]:
        """Fetch a model and return the progress that was told."""
        async with aclosing(self.instance.pull(request)) as steps:
            return [progress async for progress in steps]

    async def ask(self, request: GenerateRequest | None = None) -> list[Chunk]:
        """Return all pieces of an answer; the relay holds that the last, and only it, is done."""
        async with aclosing(self.instance.generate(request or self.asking())) as chunks:
            return [chunk async for chunk in chunks]

    async def ends_soon(self, ending: Awaitable[object], what: str) -> None:
        """Wait for the end of what was closed or cancelled; one that comes late breaks a promise.

        Raises:
            PromiseBroken: after more than `Subject.stops_within_s`.
        """
        most, began = self.subject.stops_within_s, monotonic()
        try:
            async with asyncio.timeout(PATIENCE * most):
                await ending
        except TimeoutError:
            expect(None, f"{what} did not end within {PATIENCE * most:g} s")
        took = monotonic() - began
        expect(took <= most, f"{what} ended after {took:.1f} s, not {most:g}")


@asynccontextmanager
async def on_trial(make: MakeSubject, seed: int = 0) -> AsyncIterator[Trial]:
    """Open a subject behind a relay with a witness.

    Raises:
        PluginError: when the backend lacks a hook, misspells one, or can not be registered.
    """
    plugins, witness = Plugins(), Witness()
    plugins.register("witness", witness)
    async with AsyncExitStack() as stack:
        subject = await stack.enter_async_context(make())
        instance = plugins.bind("tested", subject.backend)
        yield Trial(subject, instance, witness, make, stack.aclose, seed)
