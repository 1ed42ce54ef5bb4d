"""How much memory it costs to download a model file, and how fast that is.

The file comes from a server in a process of its own. Exits with 1 when the memory of ORAC rises by
more than 16 MiB for a file of any of the sizes.

    python benchmarks/download.py [--mib 64 512 2048]
"""

import argparse
import asyncio
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import aclosing, contextmanager
from pathlib import Path

from aiohttp import web

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import orac_core
from benchmarks.models import MIB, written
from benchmarks.ollama_upload import highest
from orac_core.manifest import parse
from orac_core.provision import Provisioned

RISE_MIB = 16.0


def main() -> int:
    """Measure, print the figures, and return the exit code."""
    parser = argparse.ArgumentParser(description="What a download costs.")
    parser.add_argument("--mib", type=int, nargs="+", default=[64, 512, 2048])
    parser.add_argument("--serve", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.serve:
        asyncio.run(serve(given.serve))
        return 0
    with tempfile.TemporaryDirectory() as folder:
        sources = [written(Path(folder) / "there" / f"m{mib}.gguf", mib) for mib in given.mib]
        found = asyncio.run(downloads(Path(folder) / "here", sources))
    for mib, (rise, seconds) in zip(given.mib, found, strict=True):
        told = f"{rise:5.1f} MiB (allowed {RISE_MIB:g}), {mib / seconds:.0f} MiB/s"
        print(f"{mib:5} MiB   memory rises by {told}")
    good = max(rise for rise, _ in found) <= RISE_MIB
    print("good" if good else "a target is missed")
    return 0 if good else 1


async def downloads(folder: Path, sources: list[Path]) -> list[tuple[float, float]]:
    """Return by how much the memory rises during each download, in MiB, and its seconds."""
    with server(sources[0].parent) as url:
        files = {path.stem: {"source": f"{url}/{path.name}"} for path in sources}
        manifest = parse(
            {
                "backends": {"local": {"kind": "llamacpp"}},
                "models": {"downloads": str(folder), "files": files},
            },
            "a benchmark",
        )
        async with orac_core.open(manifest, environ={}) as manager:
            await manager.models()
            return [await download(manager, path.stem) for path in sources]


async def download(manager: orac_core.ModelManager, name: str) -> tuple[float, float]:
    """Download one model; return by how much the memory rose at most, in MiB, and the seconds."""
    started = time.perf_counter()
    with highest() as peak:
        before = peak[0]
        async with aclosing(manager.provisioning.pull([name])) as steps:
            async for step in steps:
                if isinstance(step, Provisioned) and step.action != "downloaded":
                    raise SystemExit(f"{name} was not downloaded: {step.reason}")
    return (peak[0] - before) / MIB, time.perf_counter() - started


@contextmanager
def server(folder: Path) -> Iterator[str]:
    """Serve the files of a folder from a process of its own; yield its address."""
    command = [sys.executable, __file__, "--serve", str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process.stdout.readline().strip() if process.stdout else ""
        finally:
            process.terminate()


async def serve(folder: Path) -> None:
    """Serve the files of a folder until the process is ended; print the address first."""
    app = web.Application()
    app.router.add_static("/", folder)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    print(f"http://127.0.0.1:{runner.addresses[0][1]}", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    sys.exit(main())
