"""Starting the `orac` command as a process, as a person would, and stopping it again."""

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Thread, Timer

ORAC = Path(sys.executable).parent / "orac"
ADDRESS = re.compile(r"http://[\d.]+:\d+")


def free_port() -> int:
    """Return a port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def running_server(
    *arguments: str, environ: Mapping[str, str] | None = None, prefix: Sequence[str] = ()
) -> Iterator[str]:
    """Run `orac serve` with *arguments*, and yield its address once it says so.

    A *prefix* is a program and its arguments that starts it.
    """
    process = subprocess.Popen(
        [*prefix, ORAC, "serve", *arguments],
        env={**os.environ, **(environ or {})},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdout is not None
    with _killed_after(60, process):
        address = _address(process)
    drain = Thread(target=process.stdout.read, daemon=True)
    drain.start()
    try:
        yield address
    finally:
        process.send_signal(signal.SIGTERM)
        with _killed_after(60, process):
            process.wait()
        drain.join(10)
        process.stdout.close()


@contextmanager
def _killed_after(seconds: float, process: subprocess.Popen[str]) -> Iterator[None]:
    deadline = Timer(seconds, process.kill)
    deadline.start()
    try:
        yield
    finally:
        deadline.cancel()


def _address(process: subprocess.Popen[str]) -> str:
    said = []
    for line in process.stdout or ():
        said.append(line)
        if found := ADDRESS.search(line):
            return found[0]
    raise AssertionError(f"no address was printed:\n{''.join(said)}")
