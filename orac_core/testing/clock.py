"""Time that passes when a test says so."""

import asyncio

from attrs import define


@define(eq=False)
class FakeClock:
    """A clock to hand to what takes ``clock`` and ``sleep``: call it, and call its `sleep`.

    Attributes:
        now_s: Seconds that it tells.
    """

    now_s: float = 0.0

    def __call__(self) -> float:
        """Return the time in seconds."""
        return self.now_s

    def advance(self, seconds: float) -> None:
        """Let *seconds* pass.

        Raises:
            ValueError: when they are below 0.
        """
        if seconds < 0:
            raise ValueError(f"time does not go back: {seconds} s; give 0 or more")
        self.now_s += seconds

    async def sleep(self, seconds: float) -> None:
        """Let *seconds* pass at once, and others have their turn."""
        self.advance(max(0.0, seconds))
        await asyncio.sleep(0)
