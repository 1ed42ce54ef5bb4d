"""Asking a model until it is warm, and how long its words are."""

from collections.abc import Sequence
from statistics import fmean

from .progress import Progress
from .questions import Questions, random_text
from .results import Sample, Workload
from .session import Bench, Session
from .summarise import rates

AGREE_RATIO = 0.05
"""Two rates that differ by less are the same: a model that is warm."""

MOST = 5
"""Requests for warming up with one workload; a model that is not warm by then is measured so."""

PROBE = "probe"
PROBE_WORDS = 16
PROBE_TOKENS = 8


def settled(found: Sequence[float]) -> bool | None:
    """Return whether the last two of the rates *found* agree; None when there are not two (pure).

    They differ by at most 5 % of the larger.
    """
    if len(found) < 2:  # noqa: PLR2004 - a pair
        return None
    return abs(found[-1] - found[-2]) <= AGREE_RATIO * max(found[-2:])


async def warm_up(session: Session, benches: Sequence[Bench]) -> None:
    """Ask each model with each workload until two rates in a row agree; at most five times.

    All of it is kept as samples of round 0. The first request is a short one that tells how many
    tokens a word has; a user's own prompts are asked as they are at first.
    """
    for bench in benches:
        if not bench.alive:
            continue
        if any(it.prompt_tokens for it in bench.workloads):
            probe = random_text(bench.name, PROBE_WORDS, PROBE_TOKENS, session.seed, PROBE)
            await session.ask(bench, PROBE, 0, Questions((probe,), words=PROBE_WORDS))
        for workload in bench.workloads:
            session.tell(Progress("warm-up", bench.name, message=workload.name))
            bench.settled[workload.name] = await _warm(session, bench, workload)


async def _warm(session: Session, bench: Bench, workload: Workload) -> bool | None:
    found: list[float] = []
    for number in range(MOST):
        as_it_is = number == 0 and workload.prompts
        key = None if as_it_is else f"{bench.name}/{workload.name}/warm-up/{number}"
        samples = await session.ask_all(bench, workload, 0, key)
        found += _mean(samples)
        if not bench.alive or (number > 0 and settled(found) is not False):
            break
    return settled(found)


def _mean(samples: Sequence[Sample]) -> list[float]:
    known = rates(samples)
    return [fmean(known)] if known else []
