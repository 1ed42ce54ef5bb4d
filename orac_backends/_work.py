"""A long work that says how far it is while it goes on."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")

_EVERY_S = 0.2


async def followed(
    work: Coroutine[Any, Any, object], told: Callable[[], T]
) -> AsyncGenerator[T, None]:
    """Do *work* and yield what *told* says: at once, a few times a second, and at the end.

    Closing this cancels the work and waits until it has ended.
    """
    task = asyncio.ensure_future(work)
    try:
        while not task.done():
            yield told()
            await asyncio.wait([task], timeout=_EVERY_S)
        task.result()
        yield told()
    finally:
        task.cancel()
        await asyncio.wait([task])
        if not task.cancelled():
            task.exception()  # it was raised above, or nobody waits for it any more
