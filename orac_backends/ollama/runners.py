"""The processes that Ollama runs its models in, and which of them serve no model.

``ollama runner --model …/blobs/sha256-…`` up to 0.30, then ``llama-server --model`` with such a
path. A runner lives on when its server is killed, and for as long as an answer takes whose client
has gone.
"""

import re
from collections.abc import Collection, Iterable, Sequence
from typing import Any

from attrs import frozen

_PROGRAMS = ("ollama", "llama-server", "ollama_llama_se")
_BLOB = re.compile(r"sha256-[0-9a-f]{64}$")
_SUBCOMMANDS = 3


@frozen
class Process:
    """A process that may be of Ollama.

    Attributes:
        pid: Its number.
        words: Its command line.
        began_at: When it was started, in seconds since 1970.
        bytes: What it has of the machine's memory; None where that is not known.
    """

    pid: int
    words: tuple[str, ...]
    began_at: float = 0.0
    bytes: int | None = None

    @property
    def blob(self) -> str | None:
        """Name of the model's file in Ollama's store; None where the command line has none."""
        found = (_BLOB.search(word) for word in self.words)
        return next((match[0] for match in found if match), None)

    @property
    def is_runner(self) -> bool:
        """Whether it runs a model of Ollama's: others have a llama-server, too."""
        return "runner" in self.words[:_SUBCOMMANDS] or self.blob is not None

    @property
    def is_server(self) -> bool:
        """Whether it is an Ollama itself."""
        return "serve" in self.words[:_SUBCOMMANDS] and not self.is_runner


def leftovers(
    processes: Sequence[Process], listed: Iterable[Collection[str]]
) -> list[Process] | None:
    """Return the runners that serve none of the models that Ollama lists; None for not known.

    It is not known where more than one Ollama runs, as a runner may be of another, where a runner
    does not say its file, and where fewer are seen than there have to be. Of two that run the same
    file the older one is left over. Pure.

    Args:
        processes: What runs on the machine.
        listed: For each model that is loaded, the names of the files that it is made of.
    """
    wanted = [set(each) for each in listed]
    runners = sorted((it for it in processes if it.is_runner), key=lambda it: -it.began_at)
    servers = sum(it.is_server for it in processes)
    if servers > 1 or not all(it.blob for it in runners) or not all(wanted):
        return None
    left = [it for it in runners if not _taken(it, wanted)]
    return None if wanted else left


def seen() -> list[Process]:
    """Return the processes of this machine that may be of Ollama; it reads much of ``/proc``."""
    import psutil  # noqa: PLC0415 - only where an Ollama is on this machine

    found = psutil.process_iter(["name"])
    own = [it for it in found if str(it.info["name"]).startswith(_PROGRAMS)]
    return [it for each in own if (it := _looked_at(each)) is not None]


def told(process: Process) -> dict[str, object]:
    """Return a leftover runner in plain JSON values."""
    return {"name": "ollama runner", "pid": process.pid, "bytes": process.bytes}


def _looked_at(process: Any) -> Process | None:
    import psutil  # noqa: PLC0415 - as above

    try:
        with process.oneshot():
            words, began_at = tuple(process.cmdline()), process.create_time()
            return Process(process.pid, words, began_at, process.memory_info().rss)
    except psutil.Error:
        return None


def _taken(runner: Process, wanted: list[set[str]]) -> bool:
    """Let *runner* serve the first of the models that *wanted* one with its file."""
    for blobs in wanted:
        if runner.blob in blobs:
            wanted.remove(blobs)
            return True
    return False
