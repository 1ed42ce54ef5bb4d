"""The programs that are compared: compiled and started in a folder, found again by their port."""

import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
from attrs import define, frozen

from benchmarks.serving import ORAC, environment

HERE = Path(__file__).resolve().parent
STARTS_IN_S = 120
STOPS_IN_S = 40
LOOK_S = 0.002
MODEL = "fast:latest"
WITHOUT_KEY = "LITELLM_DANGEROUSLY_PERMIT_WEAK_OR_UNSET_MASTER_KEY"
CHAT = "/v1/chat/completions"
PROMPT = "/v1/prompt"

MANIFEST = """
[server]
max_concurrency = 1024
max_queue = 4096
max_streams = 4096
[models]
canaries = false
[models.files."fast:latest"]
load_at_start = true
[backends.engine]
kind = "ollama"
url = "http://127.0.0.1:{port}"
import_files = false
local_memory = false
"""


@frozen
class Ask:
    """What a gateway is asked.

    Attributes:
        tokens: Of the answer.
        stream: Whether it is streamed.
        pace_us: Between two tokens; 0 for as fast as they are taken.
        first_us: Before the first one.
    """

    tokens: int = 1
    stream: bool = False
    pace_us: int = 0
    first_us: int = 0

    @property
    def text(self) -> str:
        """The prompt, which tells the fake engine how fast it is."""
        return f"pace_us={self.pace_us} first_us={self.first_us}"


def openai_body(ask: Ask) -> dict[str, Any]:
    """Return the body of a request for the OpenAI route."""
    messages = [{"role": "user", "content": ask.text}]
    return {"model": "fast", "messages": messages, "stream": ask.stream, "max_tokens": ask.tokens}


def orac_body(ask: Ask) -> dict[str, Any]:
    """Return the body of a request for ``POST /v1/prompt``."""
    options = {"max_tokens": ask.tokens}
    return {"model": MODEL, "prompt": ask.text, "stream": ask.stream, "options": options}


@define(eq=False)
class Gateway:
    """A program that listens.

    Attributes:
        name: What it is called in the tables.
        port: Where it listens.
        pid: Its process; None for the engine itself, whose cost is nobody's.
        path: The route that is asked.
        body: Makes the body for it.
        start_s: From its start to its first answer.
    """

    name: str
    port: int
    pid: int | None
    path: str = CHAT
    body: Callable[[Ask], dict[str, Any]] = openai_body
    start_s: float = 0.0

    def request(self, method: str, path: str, body: object = None) -> tuple[int, Any]:
        """Return status and decoded body of an answer."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=STARTS_IN_S)
        try:
            headers = {"Content-Type": "application/json", "Authorization": "Bearer none"}
            connection.request(method, path, json.dumps(body) if body else None, headers)
            response = connection.getresponse()
            return response.status, json.loads(response.read() or b"null")
        finally:
            connection.close()

    def cpu_s(self) -> float:
        """Return the CPU time of its process and its children, user's and system's."""
        return sum(sum(each.cpu_times()[:2]) for each in self._processes())

    def rss_bytes(self) -> int:
        """Return what its process and its children have in memory."""
        return sum(each.memory_info().rss for each in self._processes())

    def peak_rss_bytes(self) -> int:
        """Return the most that its process has had in memory."""
        lines = Path(f"/proc/{self.pid}/status").read_text().splitlines()
        told = dict(line.split(":", 1) for line in lines)
        return int(told["VmHWM"].split()[0]) * 1024

    def _processes(self) -> list[psutil.Process]:
        if self.pid is None:
            return []
        process = psutil.Process(self.pid)
        return [process, *process.children(recursive=True)]


def compiled(folder: Path, name: str) -> Path:
    """Return the program that ``NAME.c`` is compiled to."""
    program = folder / name
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        raise SystemExit("a C compiler is needed: apt-get install gcc")
    subprocess.run([compiler, "-O2", "-o", program, HERE / f"{name}.c"], check=True)
    return program


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        return int(bound.getsockname()[1])


@contextmanager
def upstream(folder: Path, *options: str) -> Iterator[Gateway]:
    """Run the fake engine."""
    command = [str(compiled(folder, "upstream")), *options]
    with _child(command, folder, {}, subprocess.PIPE) as process:
        line = process.stdout.readline() if process.stdout else b""
        yield Gateway("direct", int(line), None)


@contextmanager
def orac(
    folder: Path,
    engine: int,
    environ: Mapping[str, str] | None = None,
    program: Sequence[str] = ORAC,
) -> Iterator[Gateway]:
    """Run `orac serve` in front of the fake engine, with its model loaded."""
    (folder / "orac.toml").write_text(MANIFEST.format(port=engine))
    port = free_port()
    command = [*program, "serve", "--port", str(port), "--manifest", str(folder / "orac.toml")]
    with _gateway("ORAC", command, folder, port, "/v1/health/live", environ) as gateway:
        gateway.path, gateway.body = PROMPT, orac_body
        status, told = gateway.request("POST", "/v1/models/load", {"model": MODEL})
        if status != http.HTTPStatus.OK:
            raise SystemExit(f"ORAC does not load the model: {told}")
        yield gateway


@contextmanager
def bare(folder: Path, engine: int) -> Iterator[Gateway]:
    """Run the bare proxy."""
    port = free_port()
    to = ["--port", str(port), "--upstream", f"http://127.0.0.1:{engine}"]
    command = [sys.executable, str(HERE / "bare.py"), *to]
    with _gateway("bare proxy", command, folder, port, "/") as gateway:
        yield gateway


@contextmanager
def nginx(folder: Path, engine: int) -> Iterator[Gateway]:
    """Run nginx."""
    port, config = free_port(), folder / "nginx.conf"
    words = {"FOLDER": folder, "UPSTREAM": engine, "PORT": port}
    config.write_text(_filled("nginx.conf", words))
    command = ["nginx", "-p", str(folder), "-c", str(config), "-e", str(folder / "nginx.log")]
    with _gateway("nginx", command, folder, port, "/api/version") as gateway:
        yield gateway


@contextmanager
def litellm(folder: Path, engine: int, program: str) -> Iterator[Gateway]:
    """Run LiteLLM's proxy; *program* is its command."""
    port, config = free_port(), folder / "litellm.yaml"
    config.write_text(_filled("litellm.yaml", {"UPSTREAM": engine}))
    command = [program, "--config", str(config), "--port", str(port), "--host", "127.0.0.1"]
    own = {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_LOG": "ERROR", WITHOUT_KEY: "true"}
    with _gateway("LiteLLM", command, folder, port, "/health/liveliness", own) as gateway:
        yield gateway


@contextmanager
def _gateway(  # noqa: PLR0913, PLR0917 - what it takes to run one
    name: str,
    command: Sequence[str],
    folder: Path,
    port: int,
    alive: str,
    environ: Mapping[str, str] | None = None,
) -> Iterator[Gateway]:
    started = time.perf_counter()
    with _child(command, folder, environ or {}) as process:
        gateway = Gateway(name, port, process.pid)
        while not _answers(gateway, alive):
            if process.poll() is not None or time.perf_counter() - started > STARTS_IN_S:
                raise SystemExit(f"it does not start: {' '.join(command)}")
            time.sleep(LOOK_S)
        gateway.start_s = time.perf_counter() - started
        yield gateway


@contextmanager
def _child(
    command: Sequence[str], folder: Path, environ: Mapping[str, str], out: int = subprocess.DEVNULL
) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(
        command,
        cwd=folder,
        env=environment(folder) | dict(environ),
        stdout=out,
        stderr=(folder / "stderr.log").open("ab"),
        start_new_session=True,
    )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(STOPS_IN_S)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        if process.stdout:
            process.stdout.close()


def _answers(gateway: Gateway, path: str) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=1)
    try:
        connection.request("GET", path)
        return bool(connection.getresponse().status)
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _filled(name: str, words: Mapping[str, object]) -> str:
    text = (HERE / name).read_text()
    for word, value in words.items():
        text = text.replace(f"@{word}@", str(value))
    return text
