"""Waiting for a condition, with a deadline, in place of sleeping and hoping."""

import asyncio
from collections.abc import Callable


async def until(condition: Callable[[], bool], within_s: float = 10) -> None:
    """Let the loop go on until *condition* holds; TimeoutError when it does not in time."""
    async with asyncio.timeout(within_s):
        while not condition():
            await asyncio.sleep(0.001)
