"""An engine that is killed while a role is asked for, and started again.

The engine is a stand-in for Ollama in a process of its own; a real llama.cpp answers in its place.
``python tests/outage.py PORT`` is that process.
"""

import asyncio
import os
import signal
import socket
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).parents[1])

import aiohttp
import orjson
from attrs import define, field, frozen

from tests.fake_ollama import FakeOllama

REQUESTS = 200
KILLED_AFTER = 40
"""Answers that are given before the engine is killed."""

MODEL = "tiny-qwen3-0.6b"
ASKED = {"model": "general", "prompt": "robot", "options": {"max_tokens": 4}}
WITHIN_S = 60


def manifest(port: int, folder: Path, pause: str = "5s") -> dict[str, Any]:
    """Return a manifest whose role is served by the engine, else by llama.cpp."""
    return {
        "server": {"max_queue": 2 * REQUESTS, "max_streams": REQUESTS, "breaker_pause": pause},
        "models": {"paths": [str(folder)]},
        "backends": {
            "first": {
                "kind": "ollama",
                "url": f"http://127.0.0.1:{port}",
                "import_files": False,
            },
            "second": {"kind": "llamacpp"},
        },
        "profiles": {
            "default": {
                "models": {"general": {"name": "tiny", "provider": "first"}},
                "fallbacks": {"general": [f"second/{MODEL}"]},
            }
        },
    }


def free_port() -> int:
    """Return a port on which nobody listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


@define(eq=False)
class Engine:
    """The engine, in a process that can be killed and started again."""

    port: int
    _process: asyncio.subprocess.Process | None = field(default=None, init=False)

    async def start(self) -> None:
        """Start it; it listens when this returns."""
        self._process = await asyncio.create_subprocess_exec(
            sys.executable, __file__, str(self.port), stdout=asyncio.subprocess.PIPE
        )
        assert self._process.stdout is not None
        assert await self._process.stdout.readline()

    async def kill(self) -> None:
        """Kill it, with no time to say goodbye."""
        if self._process is not None:
            os.kill(self._process.pid, signal.SIGKILL)
            await self._process.wait()
            self._process = None


@asynccontextmanager
async def engine(port: int) -> AsyncIterator[Engine]:
    """Run the engine; it is gone when this ends."""
    running = Engine(port)
    await running.start()
    try:
        yield running
    finally:
        await running.kill()


@frozen
class Outcome:
    """What one client saw.

    Attributes:
        pieces: Pieces of a stream that came.
        ends: Answers and errors that came; there may be one.
        fallback: Whether the answer was the fallback's; None when there was none.
        took_s: From the request to the end.
    """

    pieces: int
    ends: int
    fallback: bool | None
    took_s: float


@frozen
class Told:
    """What came of all requests.

    Attributes:
        outcomes: What each client saw.
        noticed_s: Seconds from the return of the engine to its first answer.
    """

    outcomes: list[Outcome]
    noticed_s: float

    @property
    def counts(self) -> Counter[str]:
        """How many were answered by whom, and how many failed."""
        names = {True: "second", False: "first", None: "failed"}
        return Counter(names[each.fallback] for each in self.outcomes)

    @property
    def slowest_s(self) -> float:
        """The longest that any took."""
        return max(each.took_s for each in self.outcomes)


async def run(session: aiohttp.ClientSession, running: Engine, requests: int = REQUESTS) -> Told:
    """Ask so often, half of it in streams, kill the engine in the middle, then let it come back."""
    ended: list[Outcome] = []
    asking = [
        asyncio.create_task(_ask(session, ended, stream=number % 2 == 0))
        for number in range(requests)
    ]
    while len(ended) < min(KILLED_AFTER, requests // 4):
        await asyncio.wait(asking, timeout=0.005, return_when=asyncio.FIRST_COMPLETED)
    await running.kill()
    await asyncio.gather(*asking)
    await running.start()
    return Told(ended, await _noticed(session))


async def _noticed(session: aiohttp.ClientSession) -> float:
    back = time.perf_counter()
    async with asyncio.timeout(WITHIN_S):
        while (await _whole(session)).fallback is not False:
            await asyncio.sleep(0.05)
    return time.perf_counter() - back


async def _ask(session: aiohttp.ClientSession, ended: list[Outcome], *, stream: bool) -> None:
    ended.append(await (_streamed(session) if stream else _whole(session)))


async def _whole(session: aiohttp.ClientSession) -> Outcome:
    began = time.perf_counter()
    async with session.post("/v1/prompt", json=ASKED) as response:
        body = await response.json()
    return Outcome(0, 1, body.get("served_by_fallback"), time.perf_counter() - began)


async def _streamed(session: aiohttp.ClientSession) -> Outcome:
    began = time.perf_counter()
    async with session.post("/v1/prompt", json={**ASKED, "stream": True}) as response:
        raw = await response.read()
        if not response.ok:
            return Outcome(0, 1, None, time.perf_counter() - began)
    blocks = [each.split(b"\n") for each in raw.split(b"\n\n") if each and each[:1] != b":"]
    names = [each[0].removeprefix(b"event: ") for each in blocks]
    pieces, last = names.count(b"chunk"), orjson.loads(blocks[-1][1].removeprefix(b"data: "))
    fallback = last.get("served_by_fallback")
    return Outcome(pieces, len(names) - pieces, fallback, time.perf_counter() - began)


async def _serve(port: int) -> None:
    fake = FakeOllama(port=port)
    fake.add_model("tiny:latest", size=500_000, context_length=8192)
    fake.faults.token_delay_s = 0.02
    fake.runners.parallel = 8
    await fake.start()
    sys.stdout.write("it listens\n")
    sys.stdout.flush()
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(_serve(int(sys.argv[1])))
