"""What it costs to read a model file for its checksum: speed, and what others notice of it.

Hashes a file as ORAC does and with a bare `hashlib.file_digest`, in turns. Then serves the demo's
model, loaded, and asks for health again and again while another model is validated by its checksum
over and over. Exits with 1 when ORAC hashes slower than 90 % of the bare one, or when the 99th
percentile of the delay of its event loop, or that of health, is over 50 ms.

    python benchmarks/hashing.py [--mib 1024] [--requests 500]
"""

import argparse
import asyncio
import hashlib
import http.client
import json
import os
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Awaitable, Iterator
from contextlib import contextmanager
from pathlib import Path

from attrs import define, field

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.models import written
from benchmarks.serving import ANSWERS_IN_S, Running, serving
from orac_core import ModelFiles

ROUNDS = 7
HASH_SHARE, LAG_MS, HEALTH_MS = 0.9, 50.0, 50.0
DEMO, LARGE = "orac-robot", "large"
WRONG = "sha256:" + "0" * 64
"""So that the load ends with the reading: the engine could not use what was made up."""


def main() -> int:
    """Measure, print the figures, and return the exit code."""
    parser = argparse.ArgumentParser(description="What hashing a model file costs.")
    parser.add_argument("--mib", type=int, default=1024)
    parser.add_argument("--requests", type=int, default=500)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        path = written(folder / "models" / f"{LARGE}.gguf", asked.mib)
        share, speed, lag = asyncio.run(hashing(path, asked.mib))
        idle, busy, times = health(folder, path, asked.requests)
    p99 = percentile(busy, 99)
    alone = percentile(idle, 99)
    print(f"hashing                {share:6.1%} of hashlib.file_digest (at least {HASH_SHARE:.0%})")
    print(f"                       {speed:6.0f} MiB/s")
    print(f"delay of the loop, p99 {lag:6.1f} ms (allowed {LAG_MS:g})")
    print(f"health, alone, p99     {alone:6.1f} ms, median {percentile(idle, 50):.1f} ms")
    print(f"health, beside, p99    {p99:6.1f} ms, median {percentile(busy, 50):.1f} ms", end="")
    print(f" (allowed {HEALTH_MS:g} ms)")
    print(f"                       {len(busy)} requests, {asked.mib} MiB hashed {times} times")
    good = share >= HASH_SHARE and lag <= LAG_MS and p99 <= HEALTH_MS and times > 0
    print("good" if good else "a target is missed")
    return 0 if good else 1


async def hashing(path: Path, mib: int) -> tuple[float, float, float]:
    """Return the speed as a share of the bare one and in MiB/s, and the loop's delay in ms."""
    bare: list[float] = []
    ours: list[float] = []
    delays: list[float] = []
    for _ in range(ROUNDS):
        bare.append(await timed(asyncio.to_thread(digest, path)))
        watch = asyncio.create_task(lag(delays))
        ours.append(await timed(ModelFiles(()).digest([path])))
        watch.cancel()
    shares = [theirs / mine for theirs, mine in zip(bare, ours, strict=True)]
    return statistics.median(shares), mib / statistics.median(ours), percentile(delays, 99) * 1000


async def timed(work: Awaitable[object]) -> float:
    """Return how long *work* takes, in seconds."""
    started = time.perf_counter()
    await work
    return time.perf_counter() - started


def digest(path: Path) -> str:
    """Hash a file as the standard library does."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


async def lag(delays: list[float]) -> None:
    """Note how late the loop wakes a task that sleeps for 5 ms."""
    while True:
        started = time.perf_counter()
        await asyncio.sleep(0.005)
        delays.append(time.perf_counter() - started - 0.005)


def health(folder: Path, path: Path, count: int) -> tuple[list[float], list[float], int]:
    """Return how long health takes in ms, alone and beside hashing, and how often that ended."""
    manifest = folder / "orac.toml"
    manifest.write_text(
        f'[models]\npaths = ["{path.parent}"]\n[models.files.{LARGE}]\nchecksum = "{WRONG}"\n'
        '[backends.local]\nkind = "llamacpp"\n'
    )
    with serving(folder, "--demo", "--manifest", str(manifest)) as server:
        server.request("POST", "/v1/models/load", {"model": DEMO})
        idle = asked_for_health(server, count)
        with validated(server, path) as validating:
            busy = asked_for_health(server, count)
    return idle, busy, validating.times


def asked_for_health(server: Running, count: int) -> list[float]:
    """Ask for health so often, one after the other; return how long each took in ms."""
    connection = http.client.HTTPConnection(server.place, timeout=ANSWERS_IN_S)
    took = []
    for _ in range(count):
        started = time.perf_counter()
        connection.request("GET", "/v1/health")
        connection.getresponse().read()
        took.append((time.perf_counter() - started) * 1000)
    connection.close()
    return took


@define(eq=False)
class Validating:
    """A model that is validated over and over."""

    server: Running
    path: Path
    times: int = 0
    problem: str | None = None
    done: threading.Event = field(factory=threading.Event)

    def run(self) -> None:
        """Load the model and make its file look new, until it is done."""
        while not self.done.is_set():
            os.utime(self.path)
            self.load()
            self.times += 1

    def load(self) -> None:
        """Load the model, which has to be refused for its checksum."""
        connection = http.client.HTTPConnection(self.server.place, timeout=ANSWERS_IN_S)
        headers = {"Content-Type": "application/json"}
        connection.request("POST", "/v1/models/load", json.dumps({"model": LARGE}), headers)
        answer = connection.getresponse().read().decode()
        connection.close()
        if "checksum sha256" not in answer:
            self.problem = answer


@contextmanager
def validated(server: Running, path: Path) -> Iterator[Validating]:
    """Validate the model over and over for as long as the context lasts."""
    validating = Validating(server, path)
    thread = threading.Thread(target=validating.run)
    thread.start()
    try:
        yield validating
    finally:
        validating.done.set()
        thread.join()
    if validating.problem:
        raise SystemExit(f"the model is not refused for its checksum: {validating.problem}")


def percentile(values: list[float], share: int) -> float:
    """Return the value that *share* per cent of all are not above."""
    return statistics.quantiles(values, n=100)[share - 1]


if __name__ == "__main__":
    raise SystemExit(main())
