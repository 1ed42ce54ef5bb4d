"""A promise of the hook contract, and how it is found kept or broken."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from time import monotonic
from typing import Literal

from attrs import frozen

from .broken import NotOffered, PromiseBroken
from .subject import MakeSubject
from .trial import Trial, on_trial

Outcome = Literal["kept", "broken", "not offered"]

OPENS_WITHIN_S = 60.0
"""Longest time for a backend to open, where no other is given."""


@frozen
class Promise:
    """What a backend promises, as a sentence, and how to mend one that breaks it.

    Attributes:
        id: Short name of it.
        text: What is promised.
        hint: What to change in a backend that breaks it.
        check: Finds out; it raises `PromiseBroken` or `NotOffered`.
    """

    id: str
    text: str
    hint: str
    check: Callable[[Trial], Awaitable[None]]


@frozen
class Verdict:
    """How a backend did with one promise.

    Attributes:
        promise: The promise.
        outcome: Whether it was kept.
        seen: What was seen instead, or what is not offered; empty when it was kept.
        took_s: Time that it took to find out.
        steps: What was done before that was seen, one step after another, where the order of it
            matters; the shortest that was found.
    """

    promise: Promise
    outcome: Outcome
    seen: str
    took_s: float
    steps: tuple[str, ...] = ()

    def __str__(self) -> str:
        if self.outcome != "broken":
            return f"{self.promise.id}: {self.outcome}"
        steps = f"  steps: {'; '.join(self.steps)}\n" if self.steps else ""
        return (
            f"{self.promise.id}: {self.promise.text}\n"
            f"{steps}  seen: {self.seen}\n  to mend it: {self.promise.hint}"
        )


async def judge(
    promise: Promise, make: MakeSubject, *, seed: int = 0, within_s: float | None = None
) -> Verdict:
    """Return whether the backend that *make* opens keeps *promise*; it is opened for this only.

    Args:
        promise: The promise.
        make: Opens what is tried.
        seed: Decides what is left to chance.
        within_s: Longest time for it, opening the backend included; None for the
            `Subject.within_s` of what was opened.
    """
    began = monotonic()
    outcome, seen, steps = await _outcome(promise, make, seed, within_s)
    return Verdict(promise, outcome, seen, monotonic() - began, steps)


async def judge_all(
    promises: Iterable[Promise], make: MakeSubject, *, seed: int = 0, within_s: float | None = None
) -> list[Verdict]:
    """Return the verdict on each of *promises*, found out one after another; see `judge`."""
    return [await judge(each, make, seed=seed, within_s=within_s) for each in promises]


async def _outcome(
    promise: Promise, make: MakeSubject, seed: int, within_s: float | None
) -> tuple[Outcome, str, tuple[str, ...]]:
    most = within_s or OPENS_WITHIN_S
    try:
        async with asyncio.timeout(most) as limit, on_trial(make, seed) as trial:
            if within_s is None:
                most = trial.subject.within_s
                limit.reschedule(asyncio.get_running_loop().time() + most)
            trial.within_s = most
            await promise.check(trial)
    except NotOffered as error:
        return "not offered", str(error), ()
    except PromiseBroken as error:
        return "broken", str(error), error.steps
    except TimeoutError:
        return "broken", f"no end within {most:g} s", ()
    except Exception as error:  # noqa: BLE001 - a stranger's backend may raise anything
        return "broken", f"{type(error).__name__}: {error}", ()
    return "kept", "", ()
