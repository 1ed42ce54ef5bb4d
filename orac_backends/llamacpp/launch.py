"""How to start an engine: the one that comes with ORAC, or a ``llama-server`` of the user's."""

import json
import os
import re
import socket
import sys
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Protocol

from attrs import define, field

from orac_core import Adapter, BackendError, BackendUnavailable

from .._launch import ANY_HOST, Launch
from .._process import ChildProcess, child_environment, tethered
from .plan import Plan
from .vectors import Vectors

_WORKER = Path(__file__).with_name("worker.py")
_LOOPBACK = "127.0.0.1"
_PROBE_S = 20.0
_HELP_LINES = 5000
_FLAG = re.compile(r"(?<![\w-])--?[a-z][a-z0-9-]*")
_PAIRED = "--lora-scaled FNAME:SCALE"
_BUILD = re.compile(r"version:\s*(.+)")

# An engine that aborts would call a debugger on itself, which takes seconds and hides the reason.
_QUIET = {"GGML_NO_BACKTRACE": "1"}

# What is asked of a `llama-server` that knows the flag; they come and go between its versions.
_OPTIONAL_FLAGS = (
    ("--offline",),
    ("--no-ui",),
    ("--no-webui",),
    ("--no-slots",),
    ("--no-context-shift",),
    ("--no-prefill-assistant",),
    ("--cache-ram", "0"),
    ("--ctx-checkpoints", "2"),
    ("--no-mmap",),
    ("--sse-ping-interval", "1"),
    ("--reasoning-budget", "0"),
    ("--batch-size", "512"),
    ("--jinja",),
)


class Engine(Protocol):
    """Something that serves a model in a process of its own.

    Attributes:
        gpu_layers: Layers that it puts on a GPU when nobody says how many; None for those that fit.
    """

    gpu_layers: int | None

    async def version(self) -> str:
        """Return its version; raises `BackendUnavailable` when it can not be started."""

    async def launch(self, plan: Plan, key: str, at: Path) -> Launch:
        """Return how to start it, guarded by *key*, preferably on the Unix socket *at*."""


@define(eq=False)
class EmbeddedEngine:
    """The engine that comes with ORAC: ``xllamacpp``, imported by its worker alone.

    Its wheels are built for the CPU.
    """

    gpu_layers: int | None = 0

    async def version(self) -> str:
        """Return the version of the package.

        Raises:
            BackendUnavailable: when it is not installed.
        """
        if find_spec("xllamacpp") is None:
            raise BackendUnavailable(
                "the package xllamacpp is not installed; install it, or set server_binary to a "
                "llama-server",
            )
        return f"xllamacpp {installed_version()}"

    async def launch(self, plan: Plan, key: str, at: Path) -> Launch:
        """Return how to start the worker.

        It is run by its path, not as a module: its package would bring all of ORAC with it.
        """
        wishes = {
            "model": str(plan.file.path),
            "socket": str(at),
            "api_key": key,
            "total_context": plan.total_context,
            "parallel": plan.parallel,
            "gpu_layers": plan.gpu_layers,
            "threads": plan.threads,
            "cache_type": plan.cache_type,
            "parent": os.getpid(),
            "pooling": plan.vectors.pooling if plan.vectors else None,
            "batch": plan.vectors.batch if plan.vectors else None,
            "adapters": [[it.path, it.scale] for it in plan.adapters],
        }
        return Launch(
            argv=(sys.executable, "-P", str(_WORKER)),
            environment=child_environment() | _QUIET,
            socket=at,
            stdin=json.dumps(wishes).encode() + b"\n",
        )


@define(eq=False)
class ServerBinary:
    """A ``llama-server`` of the user's.

    Attributes:
        path: The program.
    """

    path: Path
    gpu_layers: int | None = None
    _seen: tuple[object, str, frozenset[str], bool] | None = field(default=None, init=False)

    async def version(self) -> str:
        """Return what it says of its version.

        Raises:
            BackendUnavailable: when it can not be run.
        """
        return (await self._probed())[1]

    async def launch(self, plan: Plan, key: str, at: Path) -> Launch:
        """Return how to start it: on a socket where it knows how to, else on a loopback port.

        Raises:
            BackendUnavailable: when it can not be run.
        """
        _, _, flags, knows_sockets = await self._probed()
        host = str(at) if knows_sockets else _LOOPBACK
        port = 0 if knows_sockets else _free_port()
        return Launch(
            argv=tethered((str(self.path), *_arguments(plan, host, port, flags))),
            environment=child_environment() | _QUIET | {"LLAMA_API_KEY": key},
            base_url=ANY_HOST if knows_sockets else f"http://{_LOOPBACK}:{port}",
            socket=at if knows_sockets else None,
            grace_s=2.0,
        )

    async def _probed(self) -> tuple[object, str, frozenset[str], bool]:
        """Return what it says of itself; it is asked again only when the file has changed."""
        identity = self._identity()
        if self._seen is None or self._seen[0] != identity:
            said = await self._output("--version")
            build = _BUILD.search(said)
            told = await self._output("--help")
            self._seen = (
                identity,
                f"llama-server {build[1].strip() if build else 'of unknown version'}",
                frozenset(_FLAG.findall(told)) | {it for it in (_PAIRED,) if it in told},
                "unix socket" in told.lower(),
            )
        return self._seen

    def _identity(self) -> object:
        try:
            status = self.path.stat()
        except OSError as error:
            raise BackendUnavailable(
                f"server_binary {self.path} cannot be used: {error.strerror}",
            ) from error
        if not os.access(self.path, os.X_OK) or not self.path.is_file():
            raise BackendUnavailable(
                f"server_binary {self.path} is not a program; `chmod +x` it, or correct the path",
            )
        return status.st_mtime_ns, status.st_size, status.st_ino

    async def _output(self, flag: str) -> str:
        """Return what the program prints for *flag*."""
        try:
            child = await ChildProcess.start(
                f"{self.path.name} {flag}",
                tethered((str(self.path), flag)),
                environment=child_environment(),
                keep_lines=_HELP_LINES,
            )
        except BackendError as error:
            raise BackendUnavailable(str(error)) from error
        try:
            if not await child.ended_within(_PROBE_S):
                raise BackendUnavailable(f"{self.path} {flag} took longer than {_PROBE_S:g} s")
        finally:
            await child.stop()
        if child.returncode:
            raise BackendUnavailable(
                f"{self.path} {flag} ended with {child.how_it_ended()}: {child.last_lines(3)}",
            )
        return "\n".join(child.tail.lines)


def installed_version() -> str | None:
    """Return the version of the engine that comes with ORAC, without importing it."""
    try:
        return version("xllamacpp")
    except PackageNotFoundError:
        return None


def _arguments(plan: Plan, host: str, port: int, flags: frozenset[str]) -> tuple[str, ...]:
    fixed = {
        "--model": str(plan.file.path),
        "--ctx-size": str(plan.total_context),
        "--parallel": str(plan.parallel),
        "--threads": str(plan.threads),
        "--host": host,
        "--port": str(port),
    }
    if plan.gpu_layers is not None:
        fixed["--n-gpu-layers"] = str(plan.gpu_layers)
    optional = tuple(part for wish in _OPTIONAL_FLAGS if wish[0] in flags for part in wish)
    # The last word counts: a batch that vectors need comes after the usual one.
    named = (part for pair in fixed.items() for part in pair)
    more = (*_for_cache(plan, flags), *_for_adapters(plan.adapters, flags))
    asked = (*named, *optional, *more)
    return asked if plan.vectors is None else (*asked, *_for_vectors(plan.vectors, flags))


def _for_adapters(adapters: Sequence[Adapter], flags: frozenset[str]) -> tuple[str, ...]:
    """Return the words that put adapters on the model.

    Newer servers read ``--lora-scaled FILE:SCALE,…``, older ones ``--lora-scaled FILE SCALE``.
    """
    if not adapters:
        return ()
    if (flag := "--lora-scaled") not in flags:
        raise BackendUnavailable(
            f"this server_binary puts no adapters on models: it does not know {flag}; update it, "
            "or take the engine that comes with ORAC",
        )
    if _PAIRED not in flags:
        return tuple(word for it in adapters for word in (flag, it.path, repr(it.scale)))
    if odd := [it.path for it in adapters if "," in it.path or ":" in it.path]:
        raise BackendUnavailable(
            f"llama-server can not be told of {odd[0]}: it takes commas and colons for its own; "
            "rename the adapter",
        )
    return flag, ",".join(f"{it.path}:{it.scale!r}" for it in adapters)


def _for_cache(plan: Plan, flags: frozenset[str]) -> tuple[str, ...]:
    if plan.cache_type == "f16":
        return ()
    if "--cache-type-k" not in flags or "--cache-type-v" not in flags:
        raise BackendUnavailable(
            "this server_binary keeps its cache in f16 only: it does not know --cache-type-k; "
            "update it, or take cache_type out of the manifest",
        )
    return "--cache-type-k", plan.cache_type, "--cache-type-v", plan.cache_type


def _for_vectors(wanted: Vectors, flags: frozenset[str]) -> tuple[str, ...]:
    asked = {
        "--embeddings": (),
        "--pooling": (wanted.pooling,),
        "--batch-size": (str(wanted.batch),),
        "--ubatch-size": (str(wanted.batch),),
    }
    if missing := [flag for flag in asked if flag not in flags]:
        raise BackendUnavailable(
            f"this server_binary makes no vectors: it does not know {', '.join(missing)}; "
            "update it, or take the engine that comes with ORAC",
        )
    return tuple(part for flag, values in asked.items() for part in (flag, *values))


def _free_port() -> int:
    """Return a port that is free now; whoever takes it before the engine does not get the key."""
    with socket.socket() as probe:
        probe.bind((_LOOPBACK, 0))
        return int(probe.getsockname()[1])
