"""How much memory it costs to hand a GGUF file over to an Ollama.

A stand-in for Ollama runs in a process of its own; what is measured is ORAC. Exits with 1 when the
memory of ORAC rises by more than 16 MiB for a file of any of the sizes.

    python benchmarks/ollama_upload.py [--mib 64 1024]
"""

import argparse
import asyncio
import os
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import aclosing, contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import orac_core
from benchmarks.models import MIB, written
from orac_core import LoadRequest
from orac_core.manifest import parse
from tests.fake_ollama import write_program

RISE_MIB = 16.0


def main() -> int:
    """Measure, print the figures, and return the exit code."""
    parser = argparse.ArgumentParser(description="What an upload to Ollama costs.")
    parser.add_argument("--mib", type=int, nargs="+", default=[64, 512, 2048])
    sizes = parser.parse_args().mib
    with tempfile.TemporaryDirectory() as folder:
        files = [written(Path(folder) / "gguf" / f"m{size}.gguf", size) for size in sizes]
        rises = asyncio.run(uploads(Path(folder), files))
    for size, rise in zip(sizes, rises, strict=True):
        print(f"upload of {size:5} MiB   memory rises by {rise:5.1f} MiB (allowed {RISE_MIB:g})")
    good = max(rises) <= RISE_MIB
    print("good" if good else "a target is missed")
    return 0 if good else 1


async def uploads(folder: Path, files: list[Path]) -> list[float]:
    """Return how much the memory rises while each file is handed over, in MiB."""
    with stand_in(folder) as url:
        manifest = parse({"backends": {"o": {"kind": "ollama", "url": url}}}, "a benchmark")
        async with orac_core.open(manifest, models_dir=files[0].parent, environ={}) as manager:
            await reachable(manager)
            return [await upload(manager, path) for path in files]


async def upload(manager: orac_core.ModelManager, path: Path) -> float:
    """Load one model and return by how much the memory rose at most, in MiB."""
    await manager.models()
    with highest() as peak:
        before = peak[0]
        async with aclosing(manager.load_progress(LoadRequest(path.stem))) as stages:
            async for _ in stages:
                pass
    await manager.unload(path.stem)
    return (peak[0] - before) / MIB


async def reachable(manager: orac_core.ModelManager) -> None:
    """Return when the stand-in answers."""
    for _ in range(100):
        if (await manager.health()).status != "unhealthy":
            return
        await asyncio.sleep(0.1)
    raise SystemExit("the stand-in for Ollama does not answer")


@contextmanager
def highest() -> Iterator[list[int]]:
    """Yield a list whose one item is the highest resident memory since then, in bytes."""
    peak, done = [resident()], threading.Event()

    def watch() -> None:
        while not done.wait(0.002):
            peak[0] = max(peak[0], resident())

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield peak
    finally:
        done.set()
        watcher.join()


def resident() -> int:
    """Return the resident memory of this process in bytes."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


@contextmanager
def stand_in(folder: Path) -> Iterator[str]:
    """Run the stand-in for Ollama; yield its address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        place = f"127.0.0.1:{free.getsockname()[1]}"
    environ = {**os.environ, "OLLAMA_HOST": place, "OLLAMA_MODELS": str(folder / "store")}
    program = write_program(folder)
    process = subprocess.Popen([str(program), "serve"], env=environ)
    try:
        yield f"http://{place}"
    finally:
        process.terminate()
        process.wait()


if __name__ == "__main__":
    raise SystemExit(main())
