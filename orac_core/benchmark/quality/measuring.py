"""Asking a model every task, one after the other."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from attrs import define, field

from ...conversation import Message
from ...errors import OracError, ShuttingDown
from ..progress import Progress
from ..results import Quality
from .outcome import Outcome
from .parts import WEIGHTS
from .scoring import scored
from .tasks import Task, TaskSet

Ask = Callable[[tuple[Message, ...], Any, int], Awaitable[str]]
"""Given messages, format and the longest answer in tokens, it returns the answer. It samples at
temperature 0 and with the same seed each time, and raises an OracError when there is no answer."""


OnProgress = Callable[[Progress], None]


@define(eq=False)
class Measurement:
    """The tasks on their way to a Quality; what was answered stays when it is cancelled.

    Attributes:
        tasks: All that is to be asked.
        weights: What each part counts.
        outcomes: How each answer did, by id of its task.
    """

    tasks: TaskSet
    weights: Mapping[str, float] = field(factory=lambda: WEIGHTS)
    outcomes: dict[str, Outcome] = field(factory=dict, init=False)

    @property
    def quality(self) -> Quality:
        """What was answered so far comes to."""
        return scored(self.outcomes, self.tasks.label(len(self.outcomes)), self.weights)

    async def run(self, ask: Ask, on_progress: OnProgress | None = None) -> Quality:
        """Ask each task that has no outcome yet, in order, and return what all come to.

        A task that gets an error for an answer is wrong, and named with the error.

        Raises:
            ShuttingDown: ORAC is stopping, which is no fault of the model's.
        """
        total = len(self.tasks.tasks)
        for task in self.tasks.tasks[len(self.outcomes) :]:
            self.outcomes[task.id] = await _answered(ask, task)
            if on_progress is not None:
                on_progress(Progress("quality", "", len(self.outcomes), total, task.id))
        return self.quality


async def measure(ask: Ask, tasks: TaskSet, *, on_progress: OnProgress | None = None) -> Quality:
    """Ask all *tasks* and return what they come to, as ``Measurement.run`` does."""
    return await Measurement(tasks).run(ask, on_progress)


async def _answered(ask: Ask, task: Task) -> Outcome:
    question = task.question
    try:
        answer = await ask(task.conversation, question.format, question.max_tokens)
    except ShuttingDown:
        raise
    except (OracError, TimeoutError) as error:
        return task.missed(f"no answer: {str(error) or type(error).__name__}")
    return task.outcome(answer)
