"""One object that was made, and how it is asked."""

from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import aclosing, contextmanager
from functools import partial
from inspect import isawaitable
from typing import Any

from attrs import define, field

from orac_core import (
    BackendError,
    Chunk,
    Embeddings,
    EmbedRequest,
    GenerateRequest,
    InvalidRequest,
    Registration,
)

from .._request import check_embed
from .asking import Asking
from .calling import Calling
from .crew import Crew
from .cut import Cut
from .faults import told
from .vectors import vectors

_LEAVES = ("close", "aclose", "unload")
"""What is called of an object that has it, the first of them, before it is dropped."""


@define(eq=False)
class Held:
    """An object in memory.

    Attributes:
        recipe: How it was made.
        crew: Calls it.
        it: The object.
        memory_bytes: By how much ORAC's process grew while it was made.
        print: What the file that it needs was like.
        leaving: Whether it is on its way out of memory.
    """

    recipe: Registration
    crew: Crew
    it: Any
    memory_bytes: int = 0
    print: int = 0
    leaving: bool = False
    calling: Calling | None = field(init=False)
    embedder: Callable[..., Any] | None = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.calling = _calling(self.recipe, self.it)
        embed = getattr(self.it, "embed", None)
        self.embedder = embed if callable(embed) and _may(self.recipe, "embedding") else None
        self._require_what_was_said()

    @property
    def capabilities(self) -> tuple[str, ...]:
        """What it can do."""
        turns = self.calling is not None and self.calling.takes_turns
        found = {
            "completion": self.calling is not None,
            "chat": turns or (self.recipe.capabilities is not None and self.calling is not None),
            "embedding": self.embedder is not None,
        }
        return tuple(name for name, can in found.items() if can and _may(self.recipe, name))

    async def answer(self, request: GenerateRequest) -> AsyncGenerator[Chunk, None]:
        """Ask it.

        Raises:
            InvalidRequest: when it can not be asked that.
            BackendError: when it fails, or answers with something else than text.
        """
        calling = self.calling
        if calling is None:
            raise InvalidRequest(f"{self.recipe.name} writes no text", {"model": "writes no text"})
        calling.refuse(request)
        most = None if calling.takes("max_tokens") else request.options.max_tokens
        cut = Cut(tuple(request.options.stop), most)
        asking = Asking(self.recipe.name, self.crew)
        with self._hinted():
            async with aclosing(asking.pieces(calling.bound(request))) as pieces:
                async for piece in pieces:
                    if text := cut.add(self._text(piece)):
                        yield Chunk(text)
                    if cut.over:
                        break
        if rest := cut.rest():
            yield Chunk(rest)
        yield Chunk(done=True, finish_reason=cut.reason)

    async def embed(self, request: EmbedRequest) -> Embeddings:
        """Ask it for vectors.

        Raises:
            InvalidRequest: when it makes none, or not so.
            BackendError: when it fails.
        """
        if (embedder := self.embedder) is None:
            raise InvalidRequest(f"{self.recipe.name} makes no vectors", {"model": "makes none"})
        check_embed(request)
        texts, size = list(request.texts), request.dimensions

        def work() -> Any:
            with told(self.recipe.name, "embed"):
                found = embedder(texts)
                return found if isawaitable(found) else vectors(found, len(texts), size)

        found = await self.crew.run(work)
        if isawaitable(found):
            async with self.crew.seat():
                with told(self.recipe.name, "embed"):
                    found = vectors(await found, len(texts), size)
        return Embeddings(found)

    async def check(self) -> None:
        """Return when it is as good as the user's own check wants it.

        Raises:
            BackendError: when it is not.
        """
        if (wanted := self.recipe.check) is None:
            return
        if await self._called("load", lambda: wanted(self.it)) is False:
            raise BackendError(f"{self.recipe.name}: its check says that it is no good")

    async def close(self) -> None:
        """Let it tidy up, and send its threads home; no call of it may be running."""
        leave = next((it for name in _LEAVES if callable(it := getattr(self.it, name, None))), None)
        try:
            if leave is not None:
                await self._called("unload", leave)
        finally:
            self.it = self.calling = self.embedder = None
            self.crew.dismiss()

    async def _called(self, operation: str, call: Callable[[], Any]) -> Any:
        """Return what *call* does, in a thread or, where it is asynchronous, on the loop."""
        found = await self.crew.run(partial(_guarded, self.recipe.name, operation, call))
        if isawaitable(found):
            with told(self.recipe.name, operation):
                return await found
        return found

    def _text(self, piece: object) -> str:
        if isinstance(piece, str):
            return piece
        raise BackendError(
            f"{self.recipe.name}: it answered {type(piece).__name__}; it must return a text, or "
            "yield texts"
        )

    @contextmanager
    def _hinted(self) -> Iterator[None]:
        """Say what to do where something was asked that may not be meant to write text."""
        try:
            yield
        except BackendError as error:
            if self.recipe.capabilities is None and not hasattr(self.it, "generate"):
                error.args = (f"{error}; where it writes no text give it `capabilities = []`",)
            raise

    def _require_what_was_said(self) -> None:
        said = set(self.recipe.capabilities or ())
        if lacking := sorted(said - {*self.capabilities}):
            raise BackendError(
                f"{self.recipe.name}: it can not do what its capabilities say: "
                f"{', '.join(lacking)}; `generate` writes text, `embed` makes vectors"
            )


def _may(recipe: Registration, capability: str) -> bool:
    return recipe.capabilities is None or capability in recipe.capabilities


def _calling(recipe: Registration, it: Any) -> Calling | None:
    """Return how to ask for text; None when the object writes none.

    Raises:
        BackendError: when it should, and can not be called so.
    """
    if not (_may(recipe, "completion") or _may(recipe, "chat")):
        return None
    generate = getattr(it, "generate", None)
    function = generate if callable(generate) else it
    if not callable(function):
        return None
    try:
        return Calling.of(function)
    except TypeError as error:
        if recipe.capabilities is None and function is it:
            return None  # it may be called for something else
        raise BackendError(f"{recipe.name}: it can not be asked for text: {error}") from error


def _guarded(name: str, operation: str, call: Callable[[], Any]) -> Any:
    with told(name, operation):
        return call()
