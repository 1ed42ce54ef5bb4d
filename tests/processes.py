"""The command `orac`, in this process or as a user starts it."""

import json
import os
import selectors
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
from attrs import define
from click.testing import CliRunner

from orac_server.cli import main

ORAC = str(Path(sys.executable).with_name("orac"))

WITHIN_S = 60


@define(eq=False)
class Serving:
    """A running `orac serve`."""

    process: subprocess.Popen[str]
    url: str
    announced: dict[str, Any]


def lives(process: psutil.Process) -> bool:
    """Whether it still has anything: one that has ended waits as a zombie for its next parent."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def orac(*arguments: object, given: str | None = None) -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
    return subprocess.run(
        [ORAC, *map(str, arguments)],
        input=given,
        capture_output=True,
        text=True,
        timeout=WITHIN_S,
        check=False,
    )


def orac_here(*arguments: object, given: str | None = None) -> subprocess.CompletedProcess[str]:
    """Run a command in this process, which spares the time that Python takes to start."""
    words = list(map(str, arguments))
    done = CliRunner().invoke(main, words, input=given)
    assert isinstance(done.exception, SystemExit | None), done.exception
    return subprocess.CompletedProcess(words, done.exit_code, done.stdout, done.stderr)


def start(
    *arguments: object, environ: Mapping[str, str] | None = None, prefix: Sequence[str] = ()
) -> subprocess.Popen[str]:
    """Start a command; a *prefix* is a program and its arguments that starts it."""
    return subprocess.Popen(
        [*prefix, ORAC, *map(str, arguments)],
        env={**os.environ, **(environ or {})},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@contextmanager
def serving(
    *options: object, environ: Mapping[str, str] | None = None, prefix: Sequence[str] = ()
) -> Iterator[Serving]:
    """Run `orac serve` on a free port; it listens when this yields and has ended afterwards."""
    words = ("serve", "--port", 0, "--json", *options)
    process = start(*words, environ=environ, prefix=prefix)
    try:
        line = first_line(process)
        announced = json.loads(line)
        yield Serving(process, announced["url"].rstrip("/"), announced)
    finally:
        ended(process)


def first_line(process: subprocess.Popen[str]) -> str:
    """Return the first line on stdout; an error with what stands on stderr when there is none."""
    assert process.stdout is not None
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        came = selector.select(WITHIN_S)
    line = process.stdout.readline() if came else ""
    if not line:
        process.kill()
        raise AssertionError(process.communicate()[1])
    return line


def ended(process: subprocess.Popen[str], within_s: float = WITHIN_S) -> tuple[str, str]:
    """Tell a process to stop, when it has not; return what it wrote since."""
    process.terminate()
    try:
        return process.communicate(timeout=within_s)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        raise


def children(pid: int) -> set[int]:
    """Return the processes that a process has started and that still run."""
    listed = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii")
    return set(map(int, listed.split()))
