"""How long something is out already, and when to ask for it again. The clock never goes back."""

import time
from collections.abc import Callable

from attrs import define, field

LEAST_S = 1.0
"""Nobody is asked to come back sooner."""

MOST_S = 60.0
"""Nobody is asked to stay away longer."""


def again_s(lasted_s: float) -> float:
    """Return after how many seconds to ask again for what has lasted so long.

    As long again is the median of what is to come when nothing is known but the age (J. R. Gott,
    "Implications of the Copernican principle for our future prospects", Nature 363, 1993).
    """
    return min(max(lasted_s, LEAST_S), MOST_S)


@define(eq=False)
class Outage:
    """Whether something is out, and since when.

    Attributes:
        clock: Tells seconds that never go back.
    """

    clock: Callable[[], float] = time.monotonic
    _since: float | None = field(default=None, init=False)

    def goes_on(self) -> float:
        """Take note that it is out; return the seconds after which to ask again."""
        now = self.clock()
        if self._since is None:
            self._since = now
        return again_s(now - self._since)

    def over(self) -> None:
        """Take note that it is back."""
        self._since = None
