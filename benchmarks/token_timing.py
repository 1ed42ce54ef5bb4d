"""Whether the time of a refusal tells how much of a token is right.

Asks a guard with wrong tokens that differ from the right one in their first byte or in their last,
taking turns at random, and then the service over a real socket. Prints medians, and the p-value of
Mann and Whitney's test of whether one kind takes longer. Exits with 1 when it does with p < 0.001.

    python benchmarks/token_timing.py [--tokens 2000] [--seed 1]
"""

import argparse
import asyncio
import random
import statistics
import sys
import time
from bisect import bisect_left, bisect_right
from collections.abc import Callable
from math import erfc, sqrt

import aiohttp
from aiohttp import web

import orac_core
from orac_core.manifest import Manifest, ServerSettings
from orac_server import create_app
from orac_server.access.arranged import arranged
from orac_server.access.tokens import Token, Tokens
from orac_server.service import bound, listening, url

RIGHT = "an-administrators-token-of-43-characters-xx"
FIRST, LAST = f"b{RIGHT[1:]}", f"{RIGHT[:-1]}y"
SURE = 0.001


def main() -> int:
    """Measure, print the figures, and return the exit code."""
    parser = argparse.ArgumentParser(description="Whether a refusal tells of the token.")
    parser.add_argument("--tokens", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    turns = [FIRST, LAST] * (asked.tokens // 2)
    random.Random(asked.seed).shuffle(turns)
    found = [
        told("in the process", compared(turns)),
        told("over a socket", asyncio.run(served(turns))),
    ]
    return 0 if all(found) else 1


def compared(turns: list[str]) -> dict[str, list[float]]:
    """Return the seconds that each comparison takes."""
    tokens = Tokens(Token.of(RIGHT, "here"))
    return timed(turns, tokens.right)


def timed(turns: list[str], ask: Callable[[str], object]) -> dict[str, list[float]]:
    """Return the seconds that asking takes, by the token."""
    taken: dict[str, list[float]] = {FIRST: [], LAST: []}
    for token in turns:
        started = time.perf_counter()
        ask(token)
        taken[token].append(time.perf_counter() - started)
    return taken


async def served(turns: list[str]) -> dict[str, list[float]]:
    """Return the seconds that each refusal takes over one connection."""
    guard = arranged("127.0.0.1", "", ServerSettings(), {"ORAC_ADMIN_TOKEN": RIGHT})
    async with orac_core.open(Manifest(), environ={}) as manager:
        app: web.Application = create_app(manager, guard=guard)
        with bound("127.0.0.1", 0) as listener:
            async with listening(app, listener), aiohttp.ClientSession(url(listener)) as session:
                return await refused(session, turns)


async def refused(session: aiohttp.ClientSession, turns: list[str]) -> dict[str, list[float]]:
    """Return the seconds that each refusal takes."""
    taken: dict[str, list[float]] = {FIRST: [], LAST: []}
    for token in turns:
        started = time.perf_counter()
        headers = {"Authorization": f"Bearer {token}"}
        async with session.get("/v1/models", headers=headers) as response:
            await response.read()
        taken[token].append(time.perf_counter() - started)
        assert response.status == web.HTTPUnauthorized.status_code
    return taken


def told(where: str, taken: dict[str, list[float]]) -> bool:
    """Print what was measured; return whether no difference is seen."""
    first, last = taken[FIRST], taken[LAST]
    p = probability(first, last)
    medians = [f"{statistics.median(each) * 1e6:.2f} µs" for each in (first, last)]
    print(f"{where}: first byte wrong {medians[0]}, last byte wrong {medians[1]}, p = {p:.3f}")
    return p >= SURE


def probability(one: list[float], other: list[float]) -> float:
    """Return how likely ranks like these are by chance (Mann and Whitney 1947, two-sided)."""
    n, m = len(one), len(other)
    ordered = sorted(other)
    # Of equal ones, which a clock of whole nanoseconds has many of, half count.
    u = sum(bisect_left(ordered, each) + bisect_right(ordered, each) for each in one) / 2
    deviation = abs(u - n * m / 2) / sqrt(n * m * (n + m + 1) / 12)
    return erfc(deviation / sqrt(2))


if __name__ == "__main__":
    sys.exit(main())
