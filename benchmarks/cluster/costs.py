"""The CPU time of each process for each request and each token, through `orac serve`.

A model that pauses between its pieces is asked over HTTP, streamed: through the kind ``ray``, and
through another ORAC, of a fleet. What a token costs is the slope between short answers and long
ones, a request what is left; what the processes do anyhow is taken off.
"""

import asyncio
import json
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from http import HTTPStatus
from pathlib import Path
from typing import Any

import aiohttp
import psutil
from attrs import define

from benchmarks.serving import Running, serving

from .asking import importable, on_nodes, python_table
from .processes import below, cpu_s, difference, used_s

AT_ONCE, ROUNDS = 32, 4
FEW, MANY, FAST = 1, 101, 20_000
PAUSE_S, IDLE_S = 0.02, 3.0
PASSED = ("bridge", "replica")
MODELS: dict[str, dict[str, Any]] = {"paced": {"pause_s": PAUSE_S}, "fast": {}}
Figures = dict[str, Any]


@define(eq=False)
class Setup:
    """Processes that answer together.

    Attributes:
        front: The one that is asked.
        parts: What each of them has used of CPU time, in seconds.
        prefix: What the names of its models begin with.
    """

    front: Running
    parts: Callable[[], dict[str, float]]
    prefix: str


def measured() -> Figures:
    """Return the microseconds of each process for a request, a token, and one of many together."""
    importable()
    figures: Figures = {}
    with tempfile.TemporaryDirectory() as name:
        for title, made in (("ray", with_ray), ("fleet", with_fleet)):
            folder = Path(name) / title
            folder.mkdir()
            with made(folder) as setup:
                figures[title] = asyncio.run(costs(setup))
    return figures


@contextmanager
def with_ray(folder: Path) -> Iterator[Setup]:
    """Run an ORAC whose models are on a cluster of this machine alone."""
    models = {name: on_nodes(name, kwargs) for name, kwargs in MODELS.items()}
    with served(folder, {"kind": "ray", "models": models}) as front:
        load(front, "backend")
        found = below(front.pid)
        table = {"ORAC": [psutil.Process(front.pid)]} | {name: found[name] for name in PASSED}
        yield Setup(front, lambda: used_s(table), "backend/")


@contextmanager
def with_fleet(folder: Path) -> Iterator[Setup]:
    """Run an ORAC in front of another that has the models."""
    with ExitStack() as stack:
        table = {"kind": "python"} | python_table(**MODELS)
        box = stack.enter_context(served(folder / "box", table))
        load(box, "backend")
        front = stack.enter_context(
            served(folder / "front", {"kind": "openai", "url": f"http://{box.place}"})
        )
        both = {"ORAC": psutil.Process(front.pid), "box": psutil.Process(box.pid)}
        yield Setup(front, lambda: {name: cpu_s(it) for name, it in both.items()}, "backend/")


@contextmanager
def served(folder: Path, backend: Mapping[str, Any]) -> Iterator[Running]:
    """Run `orac serve` with one backend."""
    folder.mkdir(exist_ok=True)
    server = {"max_concurrency": 64, "max_queue": 1024, "max_streams": 1024}
    manifest = folder / "orac.json"
    manifest.write_text(json.dumps({"server": server, "backends": {"backend": dict(backend)}}))
    with serving(folder, "--manifest", str(manifest), "--no-auth") as running:
        yield running


def load(running: Running, backend: str) -> None:
    """Load all models of a backend."""
    for name in MODELS:
        running.request("POST", f"/v1/models/{backend}/{name}/load", {})


async def costs(setup: Setup) -> Figures:
    """Return the microseconds of each process."""
    async with aiohttp.ClientSession(f"http://{setup.front.place}") as session:
        ask = Asked(session, setup)
        await ask.many("paced", FEW)
        idle = await used(setup, lambda: asyncio.sleep(IDLE_S))
        few, many = [await taken(setup, ask, idle, pieces) for pieces in (FEW, MANY)]
        fast = await flowing(setup, ask, idle)
    answers = AT_ONCE * ROUNDS
    token = {name: (many[name] - few[name]) / answers / (MANY - FEW) for name in few}
    request = {name: few[name] / answers - token[name] * FEW for name in few}
    return {
        "request µs": micro(request),
        "token µs": micro(token),
        "token of many together µs": micro(fast),
        "idle %": {name: round(100 * it, 2) for name, it in idle.items()},
    }


@define(eq=False)
class Asked:
    """Questions over HTTP."""

    session: aiohttp.ClientSession
    setup: Setup

    async def many(self, model: str, pieces: int, at_once: int = AT_ONCE) -> None:
        """Ask so many at once, and read all answers to their ends."""
        await asyncio.gather(*(self.one(model, pieces) for _ in range(at_once)))

    async def one(self, model: str, pieces: int) -> None:
        """Ask once.

        Raises:
            SystemExit: when the answer is not whole.
        """
        body = {"model": f"{self.setup.prefix}{model}", "prompt": str(pieces), "stream": True}
        async with self.session.post("/v1/prompt", json=body) as response:
            text = await response.text()
        if response.status != HTTPStatus.OK or whole(pieces) not in text:
            raise SystemExit(f"no whole answer: {response.status} {text[:300]}")


def whole(pieces: int) -> str:
    """Return what stands in the last event of a stream of so many pieces."""
    return json.dumps({"response": "tok" * pieces}, separators=(",", ":"))[1:-1]


async def taken(
    setup: Setup, ask: Asked, idle: Mapping[str, float], pieces: int
) -> dict[str, float]:
    """Return the seconds of CPU that answers of so many pieces took."""

    async def rounds() -> None:
        for _ in range(ROUNDS):
            await ask.many("paced", pieces)

    return await net(setup, rounds, idle)


async def flowing(setup: Setup, ask: Asked, idle: Mapping[str, float]) -> dict[str, float]:
    """Return the seconds of CPU for each token of a model that does not pause."""

    async def rounds() -> None:
        for _ in range(3):
            await ask.many("fast", FAST, 1)

    return {name: it / 3 / FAST for name, it in (await net(setup, rounds, idle)).items()}


async def net(
    setup: Setup, work: Callable[[], Awaitable[None]], idle: Mapping[str, float]
) -> dict[str, float]:
    """Return the seconds of CPU that some work takes of each process."""
    started, before = time.perf_counter(), setup.parts()
    await work()
    took, gross = time.perf_counter() - started, difference(before, setup.parts())
    return {name: max(0.0, it - idle[name] * took) for name, it in gross.items()}


async def used(setup: Setup, work: Callable[[], Awaitable[None]]) -> dict[str, float]:
    """Return the share of a core that each process takes meanwhile."""
    started, before = time.perf_counter(), setup.parts()
    await work()
    took = time.perf_counter() - started
    return {name: it / took for name, it in difference(before, setup.parts()).items()}


def micro(seconds: Mapping[str, float]) -> dict[str, float]:
    """Return them in microseconds."""
    return {name: round(it * 1e6, 2) for name, it in seconds.items()}
