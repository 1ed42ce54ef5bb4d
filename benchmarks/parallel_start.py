"""What it gains to check models side by side when ORAC starts.

Three models of 683 MiB each, 2 GiB together, are to be loaded at the start, each with a checksum
in the manifest, by real workers of llama.cpp. Measures the time until all three answer, checked
side by side and one after another, in interleaved rounds. Exits with 1 when side by side is less
than 1.7 times as fast. Nothing is remembered from one round to the next.

    python benchmarks/parallel_start.py [--rounds 5]
"""

import argparse
import asyncio
import hashlib
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import orac_core
from orac_core.manifest import parse
from orac_core.state_directory import StateDirectory
from tests.tiny_models import write

MODELS = ("first", "second", "third")
MODEL_BYTES = (2 << 30) // len(MODELS)
LEAST = 1.7


def main() -> int:
    """Measure, print the figures, and return the exit code."""
    parser = argparse.ArgumentParser(description="How fast several models are there at the start.")
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory() as folder:
        data = {"backends": {"local": {"kind": "llamacpp"}}, "models": models(Path(folder))}
        together, alone = [], []
        for _ in range(rounds):
            together.append(asyncio.run(started(data, len(MODELS))))
            alone.append(asyncio.run(one_by_one(data)))
    gain = statistics.median(alone) / statistics.median(together)
    print(f"side by side       median {told(together)}")
    print(f"one after another  median {told(alone)}")
    print(f"side by side is {gain:.2f} x as fast; demanded are {LEAST:g}")
    print("good" if gain >= LEAST else "a target is missed")
    return 0 if gain >= LEAST else 1


def models(folder: Path) -> dict[str, Any]:
    """Write the models and return the table of the manifest; behind its weights each has zeros."""
    files = {}
    for seed, name in enumerate(MODELS):
        path = write(folder, "tiny-qwen3-0.6b", stem=name, seed=seed)
        os.truncate(path, MODEL_BYTES)
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        files[name] = {"checksum": f"sha256:{digest}", "load_at_start": True}
    return {"paths": [str(folder)], "files": files, "retries": 0}


async def started(data: dict[str, Any], workers: int) -> float:
    """Return the seconds until all models of the start are loaded."""
    limits = orac_core.Limits(max_workers=workers)
    begun = time.perf_counter()
    async with opened(data, limits=limits) as manager:
        await manager.start.ended()
        took = time.perf_counter() - begun
        require_loaded(await manager.models())
    return took


async def one_by_one(data: dict[str, Any]) -> float:
    """Return the seconds until all models are loaded, each after the one before."""
    begun = time.perf_counter()
    async with opened(data, load_at_start=False) as manager:
        for name in MODELS:
            await manager.load(orac_core.LoadRequest(name))
        took = time.perf_counter() - begun
        require_loaded(await manager.models())
    return took


def opened(data: dict[str, Any], **options: Any) -> Any:
    """Return a manager to enter, which remembers nothing of earlier ones."""
    state = StateDirectory(None)
    return orac_core.open(parse(data, "benchmark"), environ={}, state=state, **options)


def require_loaded(found: list[orac_core.ServedModel]) -> None:
    """Exit when a model is missing: then the time means nothing."""
    ready = {each.info.id for each in found if each.info.state is orac_core.ModelState.READY}
    if ready != {*MODELS}:
        raise SystemExit(f"only {sorted(ready)} are loaded")


def told(times: list[float]) -> str:
    """Return the median and the range of *times*."""
    return f"{statistics.median(times):.2f} s, {min(times):.2f} to {max(times):.2f}"


if __name__ == "__main__":
    raise SystemExit(main())
