"""What is told of models while they are served: states, loads, answers, slowdowns.

No prompt and no answer is told. Errors of answers are told by their class, as an engine may quote
in its message what it was asked; of other texts what stands in quotation marks is left out.
"""

import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from attrs import define, field, fields

from ..conversation import Rates, Usage
from ..events import Events
from ..types import LoadProgress, LoadStage, ModelState
from .draft import Draft
from .flight import Report

PACE_S = 0.2
"""Between two reports of the same stage of a load passes at least so much."""

LONGEST_TEXT = 300
"""Characters of a text that are told."""

USAGE, RATES = ([each.name for each in fields(cls)] for cls in (Usage, Rates))

LOST = "its engine lost it while it was ready"

QUOTED = re.compile(
    r'"(?:\\.|[^"\\])*(?:"|\\?$)'
    r"|(?<!\w)'(?:\\.|[^'\\]|'(?=\w))*(?:'|\\?$)"
    r"|“[^”]*(?:”|$)",
    re.DOTALL,
)


@define(eq=False)
class News:
    """What is told of one model.

    Attributes:
        events: Where it is told.
        instance: The backend that serves the model.
        model: Its id there.
    """

    events: Events = field(factory=Events)
    instance: str = ""
    model: str = ""
    clock: Callable[[], float] = time.monotonic
    _begun: set[LoadStage] = field(factory=set, init=False)
    _told_at: float = field(default=0.0, init=False)

    def turned(self, before: ModelState, now: ModelState, reason: str | None) -> None:
        """Tell that the model went over from one state to another."""
        if now is ModelState.STARTING:
            self._begun.clear()
        if now is before or not self.events.hears("model"):
            return
        self.events.publish(
            "model",
            instance=self.instance,
            model=self.model,
            state=now.value,
            previous=before.value,
            reason=unquoted(reason),
        )

    def with_news(self, report: Report) -> Report:
        """Return what reports the progress of a load to *report*, and tells it."""

        def both(progress: LoadProgress) -> None:
            report(progress)
            if self.events.heard:
                self._progress(progress)

        return both

    def _progress(self, progress: LoadProgress) -> None:
        now, fresh = self.clock(), progress.stage not in self._begun
        if not fresh and now - self._told_at < PACE_S:
            return
        self._begun.add(progress.stage)
        self._told_at = now
        self.events.publish(
            "progress",
            instance=self.instance,
            model=self.model,
            stage=progress.stage,
            completed=progress.completed,
            total=progress.total,
            message=unquoted(progress.message),
        )


@contextmanager
def telling(events: Events, draft: Draft) -> Iterator[None]:
    """Tell how an answer went, once the work on it has ended."""
    error: str | None = None
    try:
        yield
    except Exception as failure:
        error = type(failure).__name__
        raise
    except BaseException:
        error = "cancelled"
        raise
    finally:
        if events.hears("answer"):
            events.publish("answer", **account(draft, error))


def account(draft: Draft, error: str | None) -> dict[str, Any]:
    """Return how an answer went, without a word of it.

    Args:
        draft: The answer.
        error: What ended the work on it; that counts for nothing when the answer was complete.
    """
    answer, spans, ttft_s = draft.answer, draft.course.spans(), draft.ttft_s
    usage, rates = (answer.usage, answer.rates) if answer else (Usage(), Rates())
    return {
        "instance": draft.target.instance,
        "model": draft.target.model,
        "role": draft.target.role,
        "served_by_fallback": draft.target.fallback,
        "finish_reason": answer.finish_reason if answer else None,
        "error": None if answer else error,
        **{name: getattr(usage, name) for name in USAGE},
        "queue_ms": _ms(spans.queue_s),
        "load_ms": _ms(spans.load_s),
        "ttft_ms": None if ttft_s is None else _ms(ttft_s),
        "elapsed_ms": _ms(answer.elapsed_s if answer else spans.elapsed_s),
        **{name: getattr(rates, name) for name in RATES},
    }


def unquoted(text: str | None) -> str | None:
    """Return *text* with … for what stands in quotation marks, and not too long."""
    if not text:
        return text
    short = QUOTED.sub("…", text)
    return short if len(short) <= LONGEST_TEXT else f"{short[:LONGEST_TEXT]}…"


def _ms(seconds: float) -> float:
    return round(seconds * 1000, 3)
