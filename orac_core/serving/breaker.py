"""Sparing an instance that can not be reached: quick refusals in place of long waits.

The circuit breaker of the literature (M. Nygard, "Release It!"): after so many failures in a row no
call is let through; after a pause one is, and its outcome decides.
"""

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from attrs import define, field

from ..errors import BackendUnavailable
from ..outage import Outage

FAILURES = 5
"""Failures in a row after which calls are refused."""

PAUSE_S = 5.0
"""Time until one call is let through again."""


@define(eq=False)
class Breaker:
    """The breaker of one instance. Only failures to reach the engine count.

    Calls that were under way together and fail together count once: a single crash is no row.

    Attributes:
        instance: Name of the instance.
        clock: Tells seconds that never go back.
    """

    instance: str
    clock: Callable[[], float] = time.monotonic
    _failures: int = field(default=0, init=False)
    _outage: Outage = field(init=False)
    _until: float = field(default=0.0, init=False)
    _why: str = field(default="", init=False)
    _probing: bool = field(default=False, init=False)

    def __attrs_post_init__(self) -> None:
        self._outage = Outage(self.clock)

    @property
    def open(self) -> bool:
        """Whether the instance is being spared."""
        return self._failures >= FAILURES

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Let a call through and learn from its outcome.

        An error that does not know when to ask again is told by how long the engine is gone.

        Raises:
            BackendUnavailable: at once, when the instance is being spared.
        """
        probe = self._admit()
        before = self._failures
        try:
            yield
        except BackendUnavailable as error:
            if probe or self._failures == before:
                self._failed(error)
            if error.retry_after_s is None:
                error.retry_after_s = self._outage.goes_on()
            raise
        except Exception:
            self.recovered()  # it answered, with whatever
            raise
        else:
            self.recovered()
        finally:
            if probe:
                self._probing = False

    def recovered(self) -> None:
        """Take note that the engine answers."""
        self._failures = 0
        self._outage.over()

    def _admit(self) -> bool:
        """Return whether the call is the probe; refuse it when it may not pass."""
        if self._failures < FAILURES:
            return False
        wait = self._until - self.clock()
        if wait > 0 or self._probing:
            raise self._refusal(max(wait, 1.0))
        self._probing = True
        return True

    def _failed(self, error: BackendUnavailable) -> None:
        self._failures += 1
        self._why = str(error)
        self._until = self.clock() + PAUSE_S

    def _refusal(self, wait_s: float) -> BackendUnavailable:
        refusal = BackendUnavailable(
            f"{self.instance} failed {self._failures} times in a row and is given a pause of "
            f"{math.ceil(wait_s)} s; the last time: {self._why}",
            instance=self.instance,
        )
        refusal.retry_after_s = math.ceil(wait_s)
        return refusal
