"""More than one node: two replicas against one, and nodes that are killed while they answer."""

import asyncio
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from statistics import median
from typing import Any

from attrs import define

from orac_core import Instance

from .asking import Answer, ask, asked, importable, load, middle_ms, on_nodes, opened

STREAMS, REPLICAS = 24, 2
PIECES, PAUSE_S = 40, 0.1
LOAD_S, SETTLE_S = 1.5, 2.0
SLEEPS_S, QUESTIONS, AT_ONCE = 0.2, 48, 4
BOARD = {"num_cpus": 2, "resources": {"board": 1.0}}
Figures = dict[str, Any]


@define(eq=False)
class Boards:
    """A cluster with a head and two boards, all on this machine."""

    cluster: Any
    boards: list[Any]

    @property
    def address(self) -> str:
        """Where its head listens."""
        return str(self.cluster.address)

    def kill(self) -> None:
        """Kill the board that has been there longest, with all that runs on it."""
        self.cluster.remove_node(self.boards.pop(0), allow_graceful=False)

    def add(self) -> None:
        """Add a board."""
        self.boards.append(self.cluster.add_node(**BOARD))


@contextmanager
def boards() -> Iterator[Boards]:
    """Start the cluster; it has ended when this ends."""
    from ray.cluster_utils import Cluster  # noqa: PLC0415 - its import takes seconds

    head = {"num_cpus": 2, "include_dashboard": False}
    cluster: Any = Cluster(initialize_head=True, head_node_args=head)
    try:
        found = Boards(cluster, [])
        for _ in range(REPLICAS):
            found.add()
        yield found
    finally:
        cluster.shutdown()


async def measured(kills: int) -> Figures:
    """Return all figures of a cluster with two boards."""
    importable()
    sleeping, writing = {"pause_s": SLEEPS_S}, {"pause_s": PAUSE_S}
    models = {
        "fast": at_board("fast", {}),
        "paced-1": at_board("paced-1", sleeping, parallel=AT_ONCE),
        "paced-2": at_board("paced-2", sleeping, parallel=AT_ONCE, replicas=2),
        "paced": at_board("paced", writing, replicas=REPLICAS),
    }
    with boards() as there:
        async with opened("ray", {"address": there.address, "models": models}) as ray:
            return {
                "first ms": await first_ms(ray),
                "sleeping": await compared(ray),
                "killed": await killed(there, ray, kills),
            }


async def first_ms(ray: Instance) -> float:
    """Return the time to the first piece from a replica on a board, the median."""
    await load(ray, "fast")
    answers = [await asked(ray, "fast", "5") for _ in range(120)][20:]
    await ray.unload("fast")
    return middle_ms([each.first_s or each.whole_s for each in answers])


async def compared(ray: Instance) -> Figures:
    """Return answers in a second of one replica and of two, and how they compare."""
    rates: dict[str, list[float]] = {"paced-1": [], "paced-2": []}
    for _ in range(3):
        for model, found in rates.items():
            await load(ray, model)
            found.append(await rate(ray, model))
            await ray.unload(model)
    one, two = map(median, rates.values())
    return {"one/s": one, "two/s": two, "ratio": two / one}


async def rate(ray: Instance, model: str) -> float:
    """Return how many answers of one piece come in a second when many are asked for at once."""
    await asked(ray, model, "1")
    started = time.perf_counter()
    await asyncio.gather(*(asked(ray, model, "1") for _ in range(QUESTIONS)))
    return QUESTIONS / (time.perf_counter() - started)


async def killed(there: Boards, ray: Instance, times: int) -> list[Figures]:
    """Kill boards one after another under load, and return what came of each."""
    await load(ray, "paced")
    return [await once(there, ray) for _ in range(times)]


async def once(there: Boards, ray: Instance) -> Figures:
    """Kill a board while it answers; another comes in its place."""
    await asyncio.sleep(SETTLE_S)
    asking = [asyncio.create_task(ask(ray, "paced", str(PIECES))) for _ in range(STREAMS)]
    await asyncio.sleep(LOAD_S)
    started = time.perf_counter()
    killing = asyncio.create_task(asyncio.to_thread(there.kill))
    asking += [asyncio.create_task(ask(ray, "paced", str(PIECES))) for _ in range(STREAMS)]
    await killing
    answers = await asyncio.gather(*asking)
    there.add()  # in the thread that Ray's signals are for; nothing else goes on meanwhile
    placed = time.perf_counter()
    await both_run(ray)
    now = time.perf_counter()
    return told(answers) | {"recovered s": now - started, "after the new board s": now - placed}


async def both_run(ray: Instance) -> None:
    """Wait until both replicas run again."""
    while True:
        health = await ray.health()
        replicas = health.details.get("replicas", {})
        running = replicas.get("orac-paced", {}) if isinstance(replicas, Mapping) else {}
        if health.usable and not health.warnings and running.get("RUNNING") == REPLICAS:
            return
        await asyncio.sleep(0.1)


def told(answers: list[Answer]) -> Figures:
    """Count what came of the answers."""
    whole = [each for each in answers if each.ended and each.pieces == PIECES]
    cut = [each for each in answers if each.error]
    return {
        "whole": len(whole),
        "ended in an error": len(cut),
        "lost": len(answers) - len(whole) - len(cut),
        "longest wait for a first piece s": max(each.first_s or 0.0 for each in whole),
    }


def at_board(name: str, kwargs: Mapping[str, Any], **settings: Any) -> dict[str, Any]:
    """Return the table of a workload, each replica of which takes a board of its own."""
    return on_nodes(name, kwargs, resources={"board": 0.6}, **settings)
