"""What a role with fallbacks costs, and what it is worth when its engine dies.

The cost is that of finding who is to answer: a role with three fallbacks, five backends of 50
models each, parameters of all models, of the role and of the request; and the same for a role that
prefers whichever of the five has its model loaded. Then 200 requests ask a role
at once, half of them for streams; its engine, a stand-in for Ollama in a process of its own, is
killed in the middle of it and started again, and a real llama.cpp answers in its place. Exits with
1 when finding takes 20 µs or more, when anybody is answered twice or not at all, or when the return
of the engine is not noticed within 10 s.

    python benchmarks/fallback.py [--requests 200] [--rounds 3]
"""

import argparse
import asyncio
import sys
import tempfile
import time
import timeit
from collections.abc import Coroutine
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from rich.console import Console
from rich.table import Table

import orac_core
from orac_core import GenerateOptions, LoadRequest, ModelState
from orac_core.events import Events
from orac_core.manifest import parse
from orac_core.serving.names import Attempt, Known, Names
from orac_core.serving.parameters import merged
from orac_core.serving.tries import Tries
from orac_core.serving.warm import Warm
from tests.outage import MODEL, Told, engine, free_port, manifest, run
from tests.server.serving import service
from tests.tiny_models import write

MOST_US = 20.0
MOST_S = 10.0
TIMES = 20_000

NAMES = Names(
    {"general": ("e/gone-1", "model-3-17", "d/model-3-49", "model-4-49.gguf")},
    parameters={"general": GenerateOptions(top_p=0.9, max_tokens=512)},
)
AVAILABLE: dict[str, Known] = {
    instance: {f"model-{number}-{each}": f"model-{number}-{each}" for each in range(50)}
    for number, instance in enumerate("abcde")
}
GENERAL, ASKED = GenerateOptions(temperature=0.7), GenerateOptions(max_tokens=64)


def main() -> int:
    """Measure, print the figures, and return the exit code."""
    parser = argparse.ArgumentParser(description="What a fallback costs and is worth.")
    parser.add_argument("--requests", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args()
    took_us = resolving_us()
    warm_us = asyncio.run(warming_us())
    print(f"finding who answers takes {took_us:.1f} µs (below {MOST_US:g} µs)")
    print(f"finding who has it loaded takes {warm_us:.1f} µs (below {MOST_US:g} µs)")
    told = [asyncio.run(outage(asked.requests)) for _ in range(asked.rounds)]
    Console().print(table(told))
    good = all(holds(each, asked.requests) for each in told)
    return 0 if good and max(took_us, warm_us) < MOST_US else 1


def resolving_us() -> float:
    """Return the microseconds of processor time that a role and its parameters take."""

    def resolve() -> None:
        tries = Tries(NAMES.attempts("general"), events)
        for attempt in tries.attempts:
            with tries.trying(attempt):
                NAMES.target(attempt, AVAILABLE)
        merged(GENERAL, NAMES.parameters["general"], ASKED)

    events = Events()
    return min(timeit.repeat(resolve, timer=time.process_time, number=TIMES)) / TIMES * 1e6


async def warming_us() -> float:
    """Return the same of a role that prefers what is loaded, on all five backends."""
    backends = {name: {"kind": "openai", "url": "http://127.0.0.1:9"} for name in "abcde"}
    roles = {"general": {"name": "model", "prefer": "warm"}}
    data = {"backends": backends, "profiles": {"default": {"models": roles}}}
    async with orac_core.open(parse(data, "a benchmark"), environ={}) as manager:
        fleet = manager._fleet  # noqa: SLF001 - its models are made up, as no box is there
        fleet.available = {name: {"model": "model"} for name in backends}
        for name in backends:
            fleet._slot((name, "model")).state = ModelState.READY  # noqa: SLF001 - the same
        warm = Warm(fleet, every_s=3600.0)

        def resolve() -> None:
            tries = Tries(finished(warm.attempts("general")), manager.events)
            with tries.trying(tries.attempts[0]):
                fleet.names.target(tries.attempts[0], fleet.available)

        resolve()
        took_s = min(timeit.repeat(resolve, timer=time.process_time, number=TIMES)) / TIMES
        await warm.close()
        return took_s * 1e6


def finished(work: Coroutine[Any, Any, tuple[Attempt, ...]]) -> tuple[Attempt, ...]:
    """Return what a coroutine comes to that waits for nothing."""
    try:
        work.send(None)
    except StopIteration as end:
        found: tuple[Attempt, ...] = end.value
        return found
    raise AssertionError("it waits for something")


async def outage(requests: int) -> Told:
    """Have the engine of a role die under so many requests."""
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        write(folder, MODEL)
        port = free_port()
        first = await stack.enter_async_context(engine(port))
        known = parse(manifest(port, folder), "a benchmark")
        opening = orac_core.open(known, environ={})
        manager = await stack.enter_async_context(opening)
        served = await stack.enter_async_context(service(manager, known.server))
        for name in ("first/tiny", f"second/{MODEL}"):
            await manager.load(LoadRequest(name))
        return await run(served.session, first, requests)


def holds(told: Told, requests: int) -> bool:
    """Whether each request ended once, in an answer or after its first piece, and soon enough."""
    once = all(each.ends == 1 for each in told.outcomes)
    return once and len(told.outcomes) == requests and told.noticed_s < MOST_S


def table(told: list[Told]) -> Table:
    """Return the figures of each outage."""
    found = Table("by the first", "by the fallback", "cut after a piece", "slowest", "back after")
    for each in told:
        counts = (str(each.counts[name]) for name in ("first", "second", "failed"))
        found.add_row(*counts, f"{each.slowest_s:.2f} s", f"{each.noticed_s:.2f} s")
    return found


if __name__ == "__main__":
    sys.exit(main())
