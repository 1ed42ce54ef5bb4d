"""A server of ORAC's in a process of its own, for the benchmarks."""

import http.client
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from attrs import define

ORAC = (sys.executable, "-c", "from orac_server.cli import main; main(prog_name='orac')")
"""What the console script runs."""

STOPS_IN_S = 30
ANSWERS_IN_S = 120


@define(eq=False)
class Running:
    """A server that listens."""

    pid: int
    place: str

    def request(self, method: str, path: str, body: object = None) -> dict[str, Any]:
        """Return the decoded answer; an error when it is none of the good ones."""
        connection = http.client.HTTPConnection(self.place, timeout=ANSWERS_IN_S)
        try:
            headers = {"Content-Type": "application/json"}
            connection.request(method, path, None if body is None else json.dumps(body), headers)
            response = connection.getresponse()
            answer: dict[str, Any] = json.loads(response.read())
            if response.status != http.HTTPStatus.OK:
                raise SystemExit(f"{method} {path}: {response.status} {answer}")
            return answer
        finally:
            connection.close()


def environment(folder: Path) -> dict[str, str]:
    """Return the environment without anything that leads ORAC to models or a manifest.

    Python keeps its bytecode there, as it does where ORAC is installed.
    """
    kept = {
        name: value
        for name, value in os.environ.items()
        if "ORAC" not in name and name != "PYTHONDONTWRITEBYTECODE"
    }
    return {**kept, "HOME": str(folder)}


@contextmanager
def serving(folder: Path, *options: str) -> Iterator[Running]:
    """Run `orac serve` in *folder*; it listens when this yields, and has ended when this ends."""
    command = [*ORAC, "serve", "--port", "0", "--json", *options]
    process = subprocess.Popen(
        command,
        cwd=folder,
        env=environment(folder),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        line = process.stdout.readline() if process.stdout else ""
        if not line:
            raise SystemExit(f"it does not start: {' '.join(command)}")
        yield Running(process.pid, urlsplit(json.loads(line)["url"]).netloc)
    finally:
        process.terminate()
        process.communicate(timeout=STOPS_IN_S)
