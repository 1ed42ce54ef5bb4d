"""The state of a model: what ORAC made of it, and what its engine says."""

from typing import Final

from attrs import define, field

from ..errors import OracError
from ..states import follow
from ..types import LoadedInfo, LoadRequest, ModelInfo, ModelState
from .news import LOST, News

IN_FLIGHT: Final = (ModelState.STARTING, ModelState.STOPPING)
"""States that ORAC knows better than the engine."""

HOLDING: Final = (ModelState.READY, ModelState.STOPPING, ModelState.FAILED)
"""States in which it has the memory that its engine says; an unload may have failed."""

NOT_SEEN: Final = ModelInfo("")
"""What is known of a model before its engine has said anything."""


@define(eq=False)
class Standing:
    """How one model stands.

    Attributes:
        state: The last state that was reached or is being reached.
        reason: Why it is ``failed``.
        changes: Number of changes of state so far; tells an old report from a fresh one.
        asked: What ORAC last loaded it for; None where ORAC did not load what is in memory.
        info: What the engine last said of the model.
        news: Tells of each change of state.
    """

    state: ModelState = field(default=ModelState.STOPPED, init=False)
    reason: str | None = field(default=None, init=False)
    changes: int = field(default=0, init=False)
    asked: LoadRequest | None = field(default=None, init=False)
    info: ModelInfo = field(default=NOT_SEEN, init=False)
    news: News = field(factory=News, init=False)

    @property
    def taken(self) -> LoadedInfo | None:
        """What the model takes of this machine's memory; None when it is not there."""
        return self.info.loaded if self.state in HOLDING and not self.info.remote else None

    @property
    def metered(self) -> bool:
        """Whether it is to be asked nothing but what somebody wants to know."""
        return self.info.metered

    @property
    def leaving(self) -> bool:
        """Whether it is on its way out of the memory."""
        return self.state is ModelState.STOPPING

    def become(self, state: ModelState, reason: str | None = None) -> None:
        """Go over to *state*, for that *reason* where it needs one.

        Raises:
            StateConflict: when it may not follow the present one.
        """
        before, self.state = self.state, follow(self.state, state)
        self.reason = reason
        self.changes += 1
        if state in {ModelState.STARTING, ModelState.STOPPED}:
            self.asked = None
        # An answer may have failed, with an error that quotes what was asked.
        lost = before is ModelState.READY and state is ModelState.FAILED
        self.news.turned(before, state, LOST if lost else reason)

    def fail(self, error: OracError) -> None:
        """Go over to ``failed``, for that reason."""
        self.become(ModelState.FAILED, str(error))

    def learn(self, info: ModelInfo, as_of: int) -> bool:
        """Take over what the engine says, and return whether that holds.

        The engine is the truth about what is loaded. A load or unload in flight, and the reason of
        a failure, only ORAC knows. A report that was asked for before the last change teaches
        nothing.

        Args:
            info: The report.
            as_of: What ``changes`` was when the engine was asked.
        """
        self.info = info
        fresh = as_of == self.changes
        gone = info.state is ModelState.STOPPED
        if fresh and gone and self.state is ModelState.FAILED:
            self.asked = None  # who has it loaded next may be another program
            return False
        if not fresh or self.state in IN_FLIGHT:
            return False
        if info.state not in IN_FLIGHT:
            before, self.state, self.reason = self.state, info.state, info.state_reason
            self.news.turned(before, self.state, self.reason)
            self.asked = self.asked if info.state is ModelState.READY else None
        return True
