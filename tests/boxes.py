"""Boxes of a fleet: ORACs in processes of their own, which can be killed and started again."""

import asyncio
import json
import os
import signal
import subprocess
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from attrs import define, field

from tests.outage import free_port
from tests.processes import ended, first_line, start

ROOT = Path(__file__).parents[1]
ADMIN, USER = "an-administrators-token", "a-token-of-some-user"
TOKENS = {"ORAC_ADMIN_TOKEN": ADMIN, "ORAC_USER_TOKEN": USER}


@define(eq=False)
class Box:
    """An ORAC that serves what a manifest says, on a port that stays the same.

    Attributes:
        folder: Has its manifest, and what it keeps.
        manifest: What it serves.
        environ: Its tokens.
        port: Where it listens.
    """

    folder: Path
    manifest: dict[str, Any] = field(factory=dict)
    environ: Mapping[str, str] = field(factory=dict)
    port: int = field(factory=free_port)
    _process: subprocess.Popen[str] | None = field(default=None, init=False)

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.port}"

    async def start(self) -> None:
        """Start it; it listens when this returns."""
        self.folder.mkdir(exist_ok=True)
        manifest = self.folder / "orac.json"
        manifest.write_text(json.dumps(self.manifest))
        environ = {"ORAC_STATE_DIR": str(self.folder / "state"), "PYTHONPATH": str(ROOT)}
        words = ("serve", "--port", self.port, "--json", "--manifest", manifest)
        self._process = start(*words, environ={**environ, **self.environ})
        await asyncio.to_thread(first_line, self._process)

    async def kill(self) -> None:
        """Kill it, with no time to say goodbye."""
        if self._process is not None:
            os.kill(self._process.pid, signal.SIGKILL)
            await asyncio.to_thread(self._process.communicate)
            self._process = None

    async def stop(self) -> None:
        """Tell it to stop, and wait for it."""
        if self._process is not None:
            await asyncio.to_thread(ended, self._process)
            self._process = None


@asynccontextmanager
async def running(*boxes: Box) -> AsyncIterator[None]:
    """Run some; they are gone when this ends."""
    try:
        await asyncio.gather(*(box.start() for box in boxes))
        yield
    finally:
        await asyncio.gather(*(box.stop() for box in boxes))


def python_models(**models: Mapping[str, Any]) -> dict[str, Any]:
    """Return a manifest of models that `tests.slow_words` makes."""
    made = {
        name: {"loader": "tests.slow_words:words", "parallel": 64, **said}
        for name, said in models.items()
    }
    return {"backends": {"mine": {"kind": "python", "models": made}}}


def front(*boxes: Box, **more: Any) -> dict[str, Any]:
    """Return a manifest whose backends are the *boxes*: ``box1``, ``box2`` …, *more* for each."""
    backends = {
        f"box{number}": {"kind": "openai", "url": box.url, **more}
        for number, box in enumerate(boxes, 1)
    }
    roles = {"talk": {"name": "words", "prefer": "warm"}}
    return {"backends": backends, "profiles": {"default": {"models": roles}}}
