"""The server as a program, with the arguments, variables and exit codes of the real one."""

import asyncio
import os
import shlex
import signal
import sys
import urllib.error
import urllib.request
from pathlib import Path
from urllib.parse import urlsplit

from .engines import ProcessEngine
from .server import FakeOllama
from .when import keep_alive

_DEFAULT_VERSION = "0.32.15"
_ROOT = Path(__file__).parents[2]


def main(arguments: list[str]) -> None:
    """Do what the command line says, and exit."""
    match arguments:
        case ["serve"]:
            sys.exit(asyncio.run(_serve()))
        case ["--version" | "-v"]:
            _tell_version()
        case _:
            sys.stderr.write(f'Error: unknown command "{" ".join(arguments)}" for "ollama"\n')
            sys.exit(1)


def write_program(folder: Path, version: str = _DEFAULT_VERSION) -> Path:
    """Write a command ``ollama`` that is this program; return its path."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "ollama"
    command = shlex.join([sys.executable, "-m", "tests.fake_ollama"])
    path.write_text(
        "#!/bin/sh\n"
        f"PYTHONPATH={shlex.quote(str(_ROOT))} FAKE_OLLAMA_VERSION={version} "
        f'exec {command} "$@"\n',
        encoding="utf-8",
    )
    path.chmod(0o755)
    return path


async def _serve() -> int:
    host, port = _address()
    store = Path(os.environ.get("OLLAMA_MODELS") or Path.home() / ".ollama" / "models")
    fake = FakeOllama(_version(), store, engine=ProcessEngine, host=host, port=port)
    _configure(fake)
    try:
        await fake.start()
    except OSError:
        text = f"Error: listen tcp {host}:{port}: bind: address already in use\n"
        sys.stderr.write(text)
        return 1
    return await _until_told(fake)


def _configure(fake: FakeOllama) -> None:
    """Obey the variables that say how many at once and how long."""
    said = os.environ.get
    fake.runners.most = int(said("OLLAMA_MAX_LOADED_MODELS") or 0) or None
    fake.runners.parallel = int(said("OLLAMA_NUM_PARALLEL") or 0) or 1
    fake.runners.keeps = keep_alive(said("OLLAMA_KEEP_ALIVE")) or fake.runners.keeps
    fake.answers.max_queue = int(said("OLLAMA_MAX_QUEUE") or 0) or None


async def _until_told(fake: FakeOllama) -> int:
    told = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, told.set)
    sys.stderr.write(f'msg="Listening on {fake.host}:{fake.port} (version {fake.version})"\n')
    sys.stderr.flush()
    while not told.is_set() and not fake.died.is_set():
        await asyncio.sleep(0.02)
        fake.runners.sweep()
    if fake.died.is_set():
        sys.stderr.write("panic: runtime error: makeslice: len out of range\n")
        return 2
    await fake.stop()
    return 0


def _version() -> str:
    return os.environ.get("FAKE_OLLAMA_VERSION") or _DEFAULT_VERSION


def _address() -> tuple[str, int]:
    given = os.environ.get("OLLAMA_HOST") or "127.0.0.1"
    parts = urlsplit(given if "://" in given else f"http://{given}")
    return parts.hostname or "127.0.0.1", parts.port or 11434


def _tell_version() -> None:
    host, port = _address()
    try:
        with urllib.request.urlopen(f"http://{host}:{port}/api/version", timeout=5):
            sys.stdout.write(f"ollama version is {_version()}\n")
    except (urllib.error.URLError, OSError):
        sys.stdout.write(
            "Warning: could not connect to a running Ollama instance\n"
            f"Warning: client version is {_version()}\n"
        )
