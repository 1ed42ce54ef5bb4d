"""The fake Ollama as a program of its own, for pages whose commands need one."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from tests.docs.test_docs import ROOT


@contextmanager
def fake_ollama(model: str, *pulled: str) -> Iterator[str]:
    """Run it with one *model* and those that can be *pulled*, and yield its address."""
    registry = {name: {"size": 600_000_000} for name in pulled}
    code = (
        "import asyncio\n"
        "from tests.fake_ollama import FakeOllama\n"
        "async def main():\n"
        f"    async with FakeOllama(registry={registry!r}).serving() as fake:\n"
        f"        fake.add_model({model!r}, size=600_000_000, context_length=2048)\n"
        "        print(fake.url, flush=True)\n"
        "        await asyncio.Event().wait()\n"
        "asyncio.run(main())\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    try:
        yield process.stdout.readline().strip()
    finally:
        process.terminate()
        process.communicate(timeout=30)
