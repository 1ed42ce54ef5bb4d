"""Short requests, always the same size, before and after a suite: has the machine changed?"""

from collections.abc import Sequence
from typing import Literal

from .progress import Progress
from .questions import Questions, random_text
from .results import Sample
from .session import Bench, Session

CANARIES = 5
CANARY_TOKENS = 32
CANARY_PROMPT_TOKENS = 32

Side = Literal["before", "after"]


def workload(side: Side) -> str:
    """Return the name of the workload that the canaries' samples have."""
    return f"canary {side}"


async def canaries(session: Session, benches: Sequence[Bench], side: Side) -> None:
    """Ask each model five short ones, models taking turns."""
    name = workload(side)
    for number in range(1, CANARIES + 1):
        session.tell(Progress("canary", completed=number - 1, total=CANARIES, message=side))
        for bench in benches:
            if bench.alive:
                words = bench.fit.words(CANARY_PROMPT_TOKENS)
                key = f"{bench.name}/{name}/{number}"
                asked = random_text(bench.name, words, CANARY_TOKENS, session.seed, key)
                await session.ask(bench, name, number, Questions((asked,)))


def of(samples: Sequence[Sample], side: Side) -> list[Sample]:
    """Return the canaries among *samples* (pure)."""
    return [it for it in samples if it.workload == workload(side)]
