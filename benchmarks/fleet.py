"""What a box of a fleet costs over asking it directly, and what a second box is worth.

Boxes are ORACs in processes of their own, and so is the front that has them for backends. Their
model sleeps where others compute, so two cores are enough. The same prompts go to a box directly
and through the front, in turns within one run: unary, and to the first piece of a stream; the
medians are compared. Then so many requests at once ask a role that prefers what is warm, of a front
with one box and of one with two; each box has the same bound on answers at once. Exits with 1 when
the front costs 5 ms or more at the median, or 6 ms to the first piece, or two boxes are worth less
than 1.8 times one.

    python benchmarks/fleet.py [--rounds 200] [--requests 96] [--json]
"""

import argparse
import asyncio
import json
import sys
import tempfile
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from statistics import median, quantiles
from time import perf_counter

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import aiohttp

from tests.boxes import Box, front, python_models, running

UNARY_MS, FIRST_MS, WORTH = 5.0, 6.0, 1.8
AT_ONCE = 8
WORDS, WORD_S = 10, 0.05
KINDS = ("unary", "first")

Ask = Callable[[aiohttp.ClientSession, str], Awaitable[float]]


def main() -> int:
    """Measure, print the figures, and return the exit code."""
    parser = argparse.ArgumentParser(description="What a box costs, and a second one is worth.")
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--requests", type=int, default=96)
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    found = asyncio.run(measured(asked.rounds, asked.requests))
    print(json.dumps(found, indent=2) if asked.json else "\n".join(told(found)))
    cheap = found["unary_added_ms"] < UNARY_MS and found["first_added_ms"] < FIRST_MS
    return 0 if cheap and found["worth"] >= WORTH else 1


async def measured(rounds: int, requests: int) -> dict[str, float]:
    """Return all figures."""
    with tempfile.TemporaryDirectory() as folder:
        boxes = [Box(Path(folder) / f"box{it}", box()) for it in (1, 2)]
        fronts = [
            Box(Path(folder) / f"front{it}", front(*boxes[:it]) | served(requests)) for it in (1, 2)
        ]
        async with running(*boxes), running(*fronts):
            return await costs(boxes[0], fronts[0], rounds) | await worth(fronts, requests)


def box() -> dict[str, object]:
    """Return what a box serves: a model that answers at once, and one that takes its time."""
    slow = {"kwargs": {"count": WORDS, "word_s": WORD_S}}
    models = python_models(quick={"kwargs": {"count": 1}}, words=slow)
    return models | {"server": {"max_concurrency": AT_ONCE}}


def served(requests: int) -> dict[str, object]:
    """Return the limits of a front."""
    return {"server": {"max_concurrency": AT_ONCE, "max_queue": requests, "max_streams": requests}}


async def costs(direct: Box, through: Box, rounds: int) -> dict[str, float]:
    """Return what the front adds, in milliseconds, as medians of as many rounds."""
    ways = {"direct": (direct, "mine/quick"), "through": (through, "box1/quick")}
    asks: Mapping[str, Ask] = {"unary": unary, "first": first}
    taken: dict[str, list[float]] = {f"{kind}_{way}": [] for kind in asks for way in ways}
    async with aiohttp.ClientSession() as session:
        for _ in range(rounds):
            for kind, ask in asks.items():
                for way, (target, model) in ways.items():
                    took_s = await ask(session, f"{target.url} {model}")
                    taken[f"{kind}_{way}"].append(took_s * 1000)
    found = {f"{name}_ms": round(median(it), 3) for name, it in taken.items()}
    tails = {f"{name}_p95_ms": round(quantiles(it, n=20)[-1], 3) for name, it in taken.items()}
    return found | tails | {f"{kind}_added_ms": added(found, kind) for kind in KINDS}


def added(found: Mapping[str, float], kind: str) -> float:
    """Return what the front adds."""
    return round(found[f"{kind}_through_ms"] - found[f"{kind}_direct_ms"], 3)


async def unary(session: aiohttp.ClientSession, where: str) -> float:
    """Return the seconds of a whole answer."""
    url, model = where.split()
    began = perf_counter()
    async with session.post(f"{url}/v1/prompt", json={"model": model, "prompt": "hello"}) as reply:
        await reply.read()
        reply.raise_for_status()
    return perf_counter() - began


async def first(session: aiohttp.ClientSession, where: str) -> float:
    """Return the seconds to the first piece of a stream."""
    url, model = where.split()
    body = {"model": model, "prompt": "hello", "stream": True}
    began = perf_counter()
    async with session.post(f"{url}/v1/prompt", json=body) as reply:
        await reply.content.readuntil(b"\n\n")
        took_s = perf_counter() - began
        await reply.read()
    return took_s


async def worth(fronts: list[Box], requests: int) -> dict[str, float]:
    """Return the answers in a second of one box and of two, and how they compare."""
    one, two = [await throughput(each, number, requests) for number, each in enumerate(fronts, 1)]
    found = {"one_box_per_s": one, "two_boxes_per_s": two}
    return {name: round(it, 2) for name, it in found.items()} | {"worth": round(two / one, 3)}


async def throughput(through: Box, boxes: int, requests: int) -> float:
    """Return the answers in a second, of so many asked for at once."""
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        for number in range(1, boxes + 1):
            await unary(session, f"{through.url} box{number}/words")
        began = perf_counter()
        await asyncio.gather(*(unary(session, f"{through.url} talk") for _ in range(requests)))
        return requests / (perf_counter() - began)


def told(found: Mapping[str, float]) -> list[str]:
    """Return the figures in words."""
    lines = [
        f"{kind}: {found[f'{kind}_direct_ms']:.2f} ms directly, {found[f'{kind}_through_ms']:.2f} "
        f"ms through the front, which adds {found[f'{kind}_added_ms']:.2f} ms (medians; p95 "
        f"{found[f'{kind}_direct_p95_ms']:.2f} and {found[f'{kind}_through_p95_ms']:.2f} ms)"
        for kind in KINDS
    ]
    rates = f"{found['one_box_per_s']:.1f} and {found['two_boxes_per_s']:.1f} answers/s"
    return [*lines, f"one box and two: {rates}, {found['worth']:.2f} times as many"]


if __name__ == "__main__":
    sys.exit(main())
