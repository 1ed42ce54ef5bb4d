"""A function of the user's, asked: it may return a text or yield texts, at once or later."""

from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Callable, Iterable
from contextlib import aclosing, asynccontextmanager
from functools import partial
from inspect import isasyncgenfunction, isawaitable, iscoroutinefunction
from typing import Any

from attrs import frozen

from .crew import Crew
from .faults import told

Call = Callable[[], Any]
Hand = Callable[[Any], bool]


@frozen
class Asking:
    """Asks on behalf of one model.

    Attributes:
        model: What it is called.
        crew: Calls what is not asynchronous.
    """

    model: str
    crew: Crew

    async def pieces(self, call: "partial[Any]") -> AsyncGenerator[Any, None]:
        """Yield what *call* returns, yields, or yields later.

        Raises:
            BackendError: when it fails.
        """
        if isasyncgenfunction(call.func) or iscoroutinefunction(call.func):
            found: AsyncGenerator[Any, None] = self._later(call)
        else:
            found = self._from_thread(call)
        async with aclosing(found):
            async for piece in found:
                yield piece

    async def _from_thread(self, call: Call) -> AsyncGenerator[Any, None]:
        items: AsyncGenerator[Any, None] = self.crew.stream(partial(self._work, call))
        async with aclosing(items):
            async for item in items:
                if not _is_later(item):
                    yield item
                    continue
                async with aclosing(self._later(partial(_itself, item))) as pieces:
                    async for piece in pieces:
                        yield piece

    def _work(self, call: Call, hand: Hand) -> None:
        """Call it in a thread, and hand over what comes."""
        with told(self.model, "generate"):
            found = call()
            if isinstance(found, str) or _is_later(found) or not isinstance(found, Iterable):
                hand(found)
            else:
                _iterate(found, hand)

    async def _later(self, call: Call) -> AsyncGenerator[Any, None]:
        """Yield what an asynchronous function returns or yields."""
        async with self.crew.seat():
            with told(self.model, "generate"):
                found = call()
                while isawaitable(found):
                    found = await found
                if not isinstance(found, AsyncIterable):
                    yield found
                    return
                async with _closing(found) as pieces:
                    async for piece in pieces:
                        yield piece


def _is_later(found: object) -> bool:
    return isawaitable(found) or isinstance(found, AsyncIterable)


def _itself(found: Any) -> Any:
    return found


def _iterate(found: Iterable[Any], hand: Hand) -> None:
    """Hand over every piece; a generator that nobody reads any more is closed where it ran."""
    pieces = iter(found)
    try:
        for piece in pieces:
            if not hand(piece):
                return
    finally:
        if callable(close := getattr(pieces, "close", None)):
            close()


@asynccontextmanager
async def _closing(found: AsyncIterable[Any]) -> AsyncIterator[AsyncIterator[Any]]:
    """Close what can be closed; not every asynchronous iterator can."""
    pieces = aiter(found)
    try:
        yield pieces
    finally:
        if callable(close := getattr(pieces, "aclose", None)):
            await close()
