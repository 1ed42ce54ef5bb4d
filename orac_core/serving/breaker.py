"""Sparing an instance that can not be reached: quick refusals in place of long waits.

The circuit breaker of the literature (M. Nygard, "Release It!"): after so many failures in a row no
call is let through; after a pause one is, or somebody asks how the instance is, and what comes of
that decides.
"""

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Literal

from attrs import define, field, frozen

from ..errors import BackendUnavailable
from ..outage import Outage

State = Literal["closed", "open", "half_open"]
"""All calls pass; none does; one finds out."""

FAILURES = 5
"""Failures in a row after which calls are refused."""

WINDOW_S = 30.0
"""Time within which they have to be."""

PAUSE_S = 5.0
"""Time until it is found out whether the instance is well again."""


@frozen
class Rule:
    """When to spare an instance: after so many failures within so many seconds, for how long."""

    failures: int = FAILURES
    window_s: float = WINDOW_S
    pause_s: float = PAUSE_S

    def weight(self, silent_s: float) -> int:
        """Return how many failures one is worth that came after so many seconds of silence."""
        if silent_s >= self.window_s:
            return self.failures
        return 1 + int(silent_s * self.failures / self.window_s)


@frozen
class Spell:
    """How a breaker stands.

    Attributes:
        state: What it lets through.
        since: When it last opened or closed, in seconds since 1970; None when it never did.
        failures: Failures in a row, as far as they count.
    """

    state: State = "closed"
    since: float | None = None
    failures: int = 0


@define(eq=False)
class Breaker:
    """The breaker of one instance. Only failures to reach the engine count.

    Calls that were under way together and fail together count once: a single crash is no row.

    Attributes:
        instance: Name of the instance.
        clock: Tells seconds that never go back.
        rule: When it opens, and for how long.
        turned: Told each time that it opens or closes.
        wall: Tells the time of day, in seconds since 1970.
        attended: Whether somebody asks how the instance is as long as it is open; then no call is
            let through to find out, as one that gets no answer may take very long.
    """

    instance: str
    clock: Callable[[], float] = time.monotonic
    rule: Rule = field(factory=Rule)
    turned: Callable[["Breaker"], None] = field(default=lambda _: None)
    wall: Callable[[], float] = time.time
    attended: bool = field(default=False, init=False)
    _since: float | None = field(default=None, init=False)
    _open: bool = field(default=False, init=False)
    _failed_at: list[float] = field(factory=list, init=False)
    _noted: int = field(default=0, init=False)
    _outage: Outage = field(init=False)
    _until: float = field(default=0.0, init=False)
    _why: str = field(default="", init=False)
    _probing: bool = field(default=False, init=False)

    def __attrs_post_init__(self) -> None:
        self._outage = Outage(self.clock)

    @property
    def open(self) -> bool:
        """Whether the instance is being spared, or it is being found out whether to go on so."""
        return self._open

    @property
    def spell(self) -> Spell:
        """How it stands."""
        state: State = "closed"
        if self._open:
            state = "half_open" if self._probing else "open"
        return Spell(state, self._since, len(self._failed_at))

    @property
    def spares(self) -> bool:
        """Whether a call would be refused now."""
        return self._open and (self.attended or self._probing or self.clock() < self._until)

    def refuse(self) -> None:
        """Refuse what would be refused later.

        Raises:
            BackendUnavailable: when the instance is being spared.
        """
        if self.spares:
            raise self._refusal(max(self._until - self.clock(), 1.0))

    @contextmanager
    def watching(self, *, brief: bool = False) -> Iterator[None]:
        """Let a call through and learn from its outcome.

        An error that does not know when to ask again is told by how long the engine is gone.

        Args:
            brief: Whether the call should take no time. Where it fails after a long silence, it
                counts as often as calls could have failed meanwhile to open the breaker.

        Raises:
            BackendUnavailable: at once, when the instance is being spared.
        """
        self.refuse()
        with self._learning(probe=self._open, brief=brief):
            yield

    @contextmanager
    def probing(self) -> Iterator[None]:
        """Let a call through whatever was before, which decides."""
        with self._learning(probe=self._open):
            yield

    def recovered(self) -> None:
        """Take note that the engine answers."""
        self._failed_at.clear()
        self._outage.over()
        self._turn(is_open=False)

    @contextmanager
    def _learning(self, *, probe: bool, brief: bool = False) -> Iterator[None]:
        noted, began = self._noted, self.clock()
        self._probing = self._probing or probe
        try:
            yield
        except BackendUnavailable as error:
            if probe or self._noted == noted:
                self._failed(error, self.clock() - began if brief else 0.0)
            if error.retry_after_s is None:
                error.retry_after_s = self._outage.goes_on()
            raise
        except Exception:
            self.recovered()  # it answered, with whatever
            raise
        else:
            self.recovered()
        finally:
            self._probing = self._probing and not probe

    def _failed(self, error: BackendUnavailable, silent_s: float) -> None:
        now = self.clock()
        recent = [at for at in self._failed_at if now - at < self.rule.window_s]
        self._failed_at = [*recent, *[now] * self.rule.weight(silent_s)][-self.rule.failures :]
        self._noted += 1
        self._why = str(error)
        self._until = now + self.rule.pause_s
        self._turn(is_open=self._open or len(self._failed_at) >= self.rule.failures)

    def _turn(self, *, is_open: bool) -> None:
        if is_open is not self._open:
            self._open, self._since = is_open, self.wall()
            self.turned(self)

    def _refusal(self, wait_s: float) -> BackendUnavailable:
        refusal = BackendUnavailable(
            f"{self.instance} failed {self.rule.failures} times in a row and is given a pause of "
            f"{math.ceil(wait_s)} s; the last time: {self._why}",
            instance=self.instance,
        )
        refusal.retry_after_s = math.ceil(wait_s)
        return refusal
