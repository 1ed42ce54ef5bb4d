"""Whether ORAC is after a long mixed load what it was before.

Prompts, streams, clients that leave, loads and unloads, and clients that send nonsense or vanish
go on side by side before the fake engine. Prints what was answered, and the memory, tasks and
descriptors of the server after it was warm and at the end. Exits with 1 when any answer was a 500,
a good request failed for another reason than those that are documented, or something did not come
back.

    python benchmarks/gateway/mixed.py [--minutes 30]
"""

import argparse
import asyncio
import os
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import aiohttp
import orjson
import psutil
from attrs import define, field, frozen

from benchmarks.gateway import programs
from benchmarks.gateway.programs import MODEL, PROMPT, Gateway

WARM_RATIO, WARM_MOST_S = 0.25, 120.0
"""The server is warm after that share of the time, or after so long."""

QUIET_S, GROWTH_MIB, MORE_DESCRIPTORS, MORE_TASKS = 6.0, 8.0, 4, 2
MOST_POOLED = 32
"""Connections to the engine: the pool keeps as many as were needed at once, which is no more than
there are clients, and uses them in turn to ask how the engine is. They are counted apart."""

FINE = {200, 409, 429, 503}
"""What a good request may be answered: a model may be on its way out of memory."""

MIB = 1 << 20
NONSENSE = (
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(64),
    b"GET / HTTP/9.9\r\n\r\n",
    b"POST /v1/prompt HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 99999\r\n\r\n{",
    b"POST /v1/prompt HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    b"GET /v1/models HTTP/1.1\r\nHost: 127.0.0.1\r\nX: " + b"a" * 20_000 + b"\r\n\r\n",
    b"\r\n" * 100,
)
BROKEN: tuple[object, ...] = (
    {},
    [],
    {"model": MODEL},
    {"model": "no such model", "prompt": "x"},
    {"model": MODEL, "prompt": "x", "options": {"temperature": "hot"}},
    {"model": MODEL, "prompt": 5, "extra": None},
)
TASKS = """
import asyncio, os, signal
def told(*_):
    with open(os.environ["TASKS_FILE"] + ".new", "w") as file:
        file.write(str(len(asyncio.all_tasks())))
    os.replace(file.name, os.environ["TASKS_FILE"])
signal.signal(signal.SIGUSR2, told)
from orac_server.cli import main
main(prog_name="orac")
"""
"""Runs `orac`, which tells how many tasks it has when it is asked by a signal."""


@frozen
class Held:
    """What the server holds at one moment."""

    rss_bytes: int
    descriptors: int
    pooled: int
    tasks: int

    def __str__(self) -> str:
        mib = self.rss_bytes / MIB
        open_ = f"{self.descriptors} descriptors and {self.pooled} connections to the engine"
        return f"{mib:.1f} MiB, {open_}, {self.tasks} tasks"


@define(eq=False)
class Load:
    """The clients, and what they were answered."""

    url: str
    port: int
    http: aiohttp.ClientSession
    ends_at: float
    answers: Counter[str] = field(factory=Counter)
    faults: Counter[str] = field(factory=Counter)

    async def run(self) -> None:
        """Go on until the time is over."""
        work = [*[self.prompt] * 8, *[self.stream] * 8, *[self.leave] * 8, *[self.vanish] * 4]
        work += [self.nonsense, self.nonsense, self.broken, self.broken, self.turn]
        await asyncio.gather(*(self._again(each) for each in work))

    async def _again(self, work: Callable[[], Awaitable[None]]) -> None:
        while time.monotonic() < self.ends_at:
            try:
                async with asyncio.timeout(60):
                    await work()
            except (aiohttp.ClientError, OSError, asyncio.IncompleteReadError) as error:
                told = f"{work.__name__}: {type(error).__name__} {error}"
                self.faults[told[:100]] += work.__name__ in {"prompt", "stream", "turn"}

    async def prompt(self) -> None:
        """Ask for a whole answer."""
        tokens = random.randint(1, 50)
        async with self._asked("prompt", tokens, stream=False) as reply:
            told = await reply.read()
            if self._fine("prompt", reply.status) and told.count(b"~") != tokens:
                self.faults["prompt: tokens are lost"] += 1

    async def stream(self) -> None:
        """Ask for a stream, to its end."""
        tokens = random.randint(1, 100)
        async with self._asked("stream", tokens, stream=True) as reply:
            told = await reply.read()
            if self._fine("stream", reply.status):
                whole = told.count(b"event: done") == 1 and told.count(b"~") == 2 * tokens
                excused = told.count(b"event: error") == 1 and b"event: done" not in told
                self.faults["stream: not ended as it has to be"] += not whole and not excused

    async def leave(self) -> None:
        """Ask for a stream, and leave before or in it."""
        with suppress(TimeoutError):
            async with asyncio.timeout(random.uniform(0.01, 0.3)):
                async with self._asked("leave", 10_000, stream=True) as reply:
                    await reply.read()

    async def turn(self) -> None:
        """Unload the model, and load it again."""
        await asyncio.sleep(random.uniform(1, 3))
        body = {"model": MODEL, "force": random.random() < 0.3}  # noqa: PLR2004 - now and then
        for what in ("unload", "load"):
            async with self.http.post(f"{self.url}/v1/models/{what}", json=body) as reply:
                await reply.read()
                self._fine(what, reply.status)

    async def broken(self) -> None:
        """Send what is no good request."""
        async with self.http.post(self.url + PROMPT, json=random.choice(BROKEN)) as reply:
            await reply.read()
            self.answers[f"broken {reply.status}"] += 1
            self.faults[f"broken: {reply.status}"] += reply.status >= 500  # noqa: PLR2004
        await asyncio.sleep(0.02)

    async def nonsense(self) -> None:
        """Send what is no HTTP, or none to its end."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            writer.write(random.choice((*NONSENSE, os.urandom(200))))
            with suppress(TimeoutError):
                async with asyncio.timeout(0.2):
                    status = (await reader.read(12))[9:]
                    self.answers[f"nonsense {status.decode(errors='replace')}"] += 1
                    self.faults["nonsense: 500"] += status == b"500"
        finally:
            writer.close()

    async def vanish(self) -> None:
        """Ask, and be gone without a word."""
        _, writer = await asyncio.open_connection("127.0.0.1", self.port)
        body = orjson.dumps(self._body(100, stream=True))
        head = f"POST {PROMPT} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
        writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        await asyncio.sleep(random.uniform(0, 0.05))
        writer.transport.abort()

    def _asked(
        self, _who: str, tokens: int, *, stream: bool
    ) -> "aiohttp.client._RequestContextManager":
        return self.http.post(self.url + PROMPT, json=self._body(tokens, stream=stream))

    def _body(self, tokens: int, *, stream: bool) -> dict[str, object]:
        pace, first = random.choice((0, 1000, 5000)), random.choice((0, 0, 20_000))
        prompt = f"pace_us={pace} first_us={first}"
        options = {"max_tokens": tokens}
        return {"model": MODEL, "prompt": prompt, "stream": stream, "options": options}

    def _fine(self, what: str, status: int) -> bool:
        self.answers[f"{what} {status}"] += 1
        if status not in FINE:
            self.faults[f"{what}: {status}"] += 1
        return status == 200  # noqa: PLR2004 - the only one with an answer


def main() -> int:
    """Load the server, print what came of it, and return the exit code."""
    parser = argparse.ArgumentParser(description="Whether ORAC comes back after a mixed load.")
    parser.add_argument("--minutes", type=float, default=30.0)
    spans = parser.parse_args().minutes * 60
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        count = folder / "tasks"
        command = (sys.executable, "-c", TASKS)
        with (
            programs.upstream(folder) as engine,
            programs.orac(folder, engine.port, {"TASKS_FILE": str(count)}, command) as orac,
        ):
            warm_s = min(WARM_MOST_S, spans * WARM_RATIO)
            _loaded(orac, warm_s)
            warm = _held(orac, engine.port, count)
            print(f"warm after {warm_s:.0f} s: {warm}")
            faults = _loaded(orac, spans - warm_s)
            after = _held(orac, engine.port, count)
            print(f"after {spans:.0f} s: {after}")
    return _verdict(warm, after, faults)


def _loaded(orac: Gateway, span_s: float) -> Counter[str]:
    """Put the server under the load; return what went wrong."""

    async def run() -> Load:
        connector = aiohttp.TCPConnector(limit=0)
        async with aiohttp.ClientSession(connector=connector) as http:
            url = f"http://127.0.0.1:{orac.port}"
            load = Load(url, orac.port, http, time.monotonic() + span_s)
            await load.run()
            return load

    load = asyncio.run(run())
    print(", ".join(f"{name}: {count}" for name, count in sorted(load.answers.items())))
    return +load.faults


def _held(orac: Gateway, engine_port: int, count: Path) -> Held:
    """Return what the server holds once it is quiet, with its model loaded."""
    time.sleep(QUIET_S)
    orac.request("POST", "/v1/models/load", {"model": MODEL})
    pid = orac.pid or 0
    count.unlink(missing_ok=True)
    os.kill(pid, signal.SIGUSR2)
    while not count.exists():
        orac.request("GET", "/v1/health/live")
    descriptors = len(list(Path(f"/proc/{pid}/fd").iterdir()))
    links = psutil.Process(pid).net_connections()
    pooled = sum(bool(link.raddr) and link.raddr.port == engine_port for link in links)
    return Held(orac.rss_bytes(), descriptors - pooled, pooled, int(count.read_text()))


def _verdict(warm: Held, after: Held, faults: Counter[str]) -> int:
    grown = (after.rss_bytes - warm.rss_bytes) / MIB
    wrong = [f"{count} times {name}" for name, count in faults.items()]
    if grown > GROWTH_MIB:
        wrong.append(f"{grown:.1f} MiB more memory")
    if after.descriptors > warm.descriptors + MORE_DESCRIPTORS:
        wrong.append("more descriptors")
    if after.pooled > MOST_POOLED:
        wrong.append("more connections to the engine than there are clients")
    if after.tasks > warm.tasks + MORE_TASKS:
        wrong.append("more tasks")
    print("\n".join(wrong) or "good")
    return 1 if wrong else 0


if __name__ == "__main__":
    raise SystemExit(main())
