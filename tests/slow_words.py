"""Models that take their time, for boxes of a fleet: they sleep where others would compute."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable

Words = Callable[..., AsyncIterator[str]]


async def words(count: int = 5, word_s: float = 0.0, gate: str = "", path: str = "") -> Words:
    """Return a model that says numbers; its load waits as long as there is a file *gate*."""
    while gate and os.path.exists(gate):  # noqa: ASYNC240, PTH110 - a test's own small file
        await asyncio.sleep(0.01)

    async def generate(prompt: str, max_tokens: int = count) -> AsyncIterator[str]:
        for number in range(max_tokens):
            await asyncio.sleep(word_s)
            yield f"{number} "

    return generate


class Vectors:
    """A model that makes vectors and no text."""

    def embed(self, texts: list[str]) -> list[list[float]]:
        """Return a vector for each text."""
        return [[float(len(text)), 1.0] for text in texts]
