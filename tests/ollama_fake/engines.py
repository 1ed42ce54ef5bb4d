"""What stands for the process of an engine: nothing in a test's own loop, a child in a program."""

import asyncio
import socket
import subprocess
import sys

import psutil
from attrs import define, field

_WAITS = "import signal; signal.pause()"
_NAME = "llama-server"


@define(eq=False)
class Engine:
    """An engine without a process; `kill` makes it as one whose process was killed."""

    weights: str
    killed: bool = False

    @property
    def dead(self) -> bool:
        return self.killed

    def kill(self) -> None:
        self.killed = True

    def stop(self) -> None:
        """End it in order."""

    async def ready(self) -> None:
        """Wait while it is frozen."""


@define(eq=False)
class ProcessEngine(Engine):
    """An engine with a child process that only waits, to be killed or frozen by a test.

    It is in the process group of the server, and lives on when the server is killed.
    """

    _process: subprocess.Popen = field(init=False)

    def __attrs_post_init__(self) -> None:
        words = [_NAME, "--model", self.weights, "--port", str(_free_port())]
        self._process = subprocess.Popen(
            [sys.executable, "-ISc", _WAITS, *words],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    @property
    def dead(self) -> bool:
        return self._process.poll() is not None

    def kill(self) -> None:
        self._process.kill()

    def stop(self) -> None:
        self._process.kill()
        self._process.wait()

    async def ready(self) -> None:
        process = psutil.Process(self._process.pid)
        while process.status() == psutil.STATUS_STOPPED:
            await asyncio.sleep(0.005)


def _free_port() -> int:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        return bound.getsockname()[1]
