"""Models for the kind ``python`` that do nothing but take their time.

Ray's processes and `orac serve` import it by its own name, so it must not need any other module.
"""

import asyncio
from collections.abc import AsyncIterator

from attrs import frozen


@frozen
class Fast:
    """Writes as many pieces as the prompt says, as fast as it can."""

    async def generate(self, prompt: str, **_: object) -> AsyncIterator[str]:
        """Yield them."""
        for _each in range(pieces(prompt)):
            yield "tok"


@frozen
class Paced:
    """Writes as many pieces as the prompt says, each after a pause."""

    pause_s: float

    async def generate(self, prompt: str, **_: object) -> AsyncIterator[str]:
        """Yield them."""
        for _each in range(pieces(prompt)):
            await asyncio.sleep(self.pause_s)
            yield "tok"


def pieces(prompt: str) -> int:
    """Return how many a prompt asks for; one, for what a load asks."""
    return int(prompt) if prompt.isdigit() else 1


def fast() -> Fast:
    """Make a model that is as fast as it can be."""
    return Fast()


def paced(pause_s: float) -> Paced:
    """Make a model that writes a piece after each pause."""
    return Paced(pause_s)
