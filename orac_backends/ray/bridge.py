"""The bridge to a cluster as ORAC sees it: a process that is started, asked, and started again."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager, suppress
from importlib.util import find_spec
from pathlib import Path

from attrs import define, field

from orac_core import BackendError, BackendUnavailable

from .._process import ChildProcess, child_environment, kept
from .._ray.frames import read_frame, write_frame
from .._ray.told import Cluster
from .._ray.wire import END, ERROR, ITEM, Failure, Question, packed, unpacked
from .settings import RaySettings

_GRACE_S = 15.0
_AGAIN_S = 5.0
_LOOK_S = 0.1
_WAIT_S = 5.0
ANSWER_S = 30.0
"""Longest time for an answer that is no text: the bridge itself gives Ray less."""


class Joining(BackendUnavailable):
    """The cluster is being joined for the first time."""


@define(eq=False)
class Bridge:
    """The bridge of one backend.

    Attributes:
        settings: From the manifest.
        folder: For its socket.
    """

    settings: RaySettings
    folder: Path
    _process: ChildProcess | None = field(default=None, init=False)
    _starting: "asyncio.Task[Path] | None" = field(default=None, init=False)
    _starts: int = field(default=0, init=False)
    _again_at: float = field(default=float("-inf"), init=False)
    _obituary: str = field(default="", init=False)
    _joined_at: float | None = field(default=None, init=False)

    async def look(self, within_s: float = _WAIT_S) -> Cluster:
        """Return how the cluster is; raises as `ask` does."""
        return unpacked(await self.ask(Question("look"), within_s, ANSWER_S), Cluster)

    async def ask(
        self, question: Question, within_s: float = _WAIT_S, answer_s: float | None = None
    ) -> bytes:
        """Return what the last message of the answer carries.

        Args:
            question: What to ask.
            within_s: Longest time until there is a bridge.
            answer_s: Longest time for its answer after that; None for no limit.

        Raises:
            BackendUnavailable: when there is no bridge or no answer in time, or it dies.
            OracError: what the bridge answers.
        """
        try:
            async with asyncio.timeout(None if answer_s is None else within_s + answer_s):
                return await self._last(question, within_s)
        except TimeoutError:
            raise BackendUnavailable(
                f"the bridge to Ray did not answer within {answer_s:g} s; if that lasts, end the "
                "process `orac_backends._ray`, and it is started again",
            ) from None

    async def _last(self, question: Question, within_s: float) -> bytes:
        async with self._asked(question, within_s) as reader:
            while True:
                message = await read_frame(reader)
                if message[:1] == ERROR:
                    raise unpacked(message[1:], Failure).error()
                if message[:1] == END:
                    return message[1:]

    async def stream(self, question: Question) -> AsyncGenerator[bytes, None]:
        """Yield what the pieces of the answer carry; raises as `ask` does."""
        async with self._asked(question, _WAIT_S) as reader:
            while (message := await read_frame(reader))[:1] == ITEM:
                yield message[1:]
            if message[:1] == ERROR:
                raise unpacked(message[1:], Failure).error()
            yield message[1:]

    def start(self) -> None:
        """Begin to start it, unless it runs or has just failed."""
        if self._starting is None and asyncio.get_running_loop().time() >= self._again_at:
            self._starting = asyncio.create_task(self._started(), name="join the cluster")
            self._starting.add_done_callback(_forget)

    async def close(self) -> None:
        """End it."""
        if self._starting is not None:
            self._starting.cancel()
            await asyncio.wait([self._starting])
        await self._cleared()

    async def _cleared(self) -> None:
        """End the process that there is, or was, and let go of its pipes.

        Not its group: a driver can not leave a cluster of its own that is gone before it.
        """
        if self._process is not None:
            with suppress(BackendError):
                await self._process.stop(_GRACE_S, group=False)

    @asynccontextmanager
    async def _asked(
        self, question: Question, within_s: float
    ) -> "AsyncGenerator[asyncio.StreamReader, None]":
        """Yield what comes as the answer; leaving gives it up."""
        socket = await self._there(within_s)
        try:
            reader, writer = await asyncio.open_unix_connection(socket, limit=1 << 20)
        except OSError as error:
            raise self._gone() from error
        try:
            await write_frame(writer, packed(question))
            yield reader
        except (OSError, asyncio.IncompleteReadError) as error:
            raise self._gone() from error
        except ValueError as error:
            raise BackendError(f"{error} can not cross to Ray; ask for less at once") from error
        finally:
            writer.close()

    async def _there(self, within_s: float) -> Path:
        """Return its socket once it listens."""
        self.start()
        if self._starting is None:
            raise self._gone()
        try:
            async with asyncio.timeout(within_s):
                return await asyncio.shield(self._starting)
        except TimeoutError:
            where = f"the cluster at {self.settings.address}" if self.settings.address else "Ray"
            kind = Joining if self._joined_at is None else BackendUnavailable
            raise kind(f"{where} is still being connected to; ask again") from None

    async def _started(self) -> Path:
        try:
            async with asyncio.timeout(self.settings.connect_timeout_s):
                return await self._start()
        except (TimeoutError, BackendError) as error:
            self._obituary = str(error) or (
                f"it took longer than {self.settings.connect_timeout_s:g} s; raise "
                "connect_timeout_s where Ray is that slow"
            )
            await self._forgotten()
            raise self._gone() from error

    async def _start(self) -> Path:
        if find_spec("ray") is None:
            raise BackendUnavailable("Ray is not installed: `pip install 'orac[ray]'`")
        await self._cleared()
        self._starts += 1
        socket = self.folder / f"{self._starts}.sock"
        self._process = await ChildProcess.start(
            "the bridge to Ray",
            kept((sys.executable, "-P", "-m", "orac_backends._ray"), _GRACE_S),
            environment=child_environment() | _for_ray(os.environ),
            stdin=self._wishes(socket),
            on_exit=self._ended,
        )
        while not await self._listens(socket):
            if await self._process.ended_within(_LOOK_S):
                raise BackendUnavailable(self._last_words())
        if self._process.ended:  # in that moment: nobody else would notice
            raise BackendUnavailable(self._last_words())
        self._joined_at = asyncio.get_running_loop().time()
        return socket

    def _wishes(self, socket: Path) -> bytes:
        wishes = {
            "address": self.settings.address,
            "namespace": self.settings.prefix,
            "patience_s": self.settings.patience_s,
            "socket": str(socket),
        }
        return json.dumps(wishes).encode() + b"\n"

    async def _listens(self, socket: Path) -> bool:
        try:
            _, writer = await asyncio.open_unix_connection(socket)
        except OSError:
            return False
        writer.close()
        return True

    async def _forgotten(self) -> None:
        """End what did not start, and wait before it is tried again."""
        self._again_at = asyncio.get_running_loop().time() + _AGAIN_S
        self._starting = None
        await self._cleared()

    def _ended(self) -> None:
        """Take note that it ended by itself: it is started again when it is asked.

        At once, unless it has only just joined: the next one would do no better.
        """
        if self._starting is not None and self._starting.done():
            self._obituary = self._last_words()
            self._again_at = (self._joined_at or 0.0) + _AGAIN_S
            self._starting = None

    def _last_words(self) -> str:
        lines = self._process.tail.lines if self._process else ()
        said = next((it for it in reversed(lines) if it.startswith("bridge: ")), "")
        return said.removeprefix("bridge: ") or " | ".join(lines[-3:]) or "it said nothing"

    def _gone(self) -> BackendUnavailable:
        where = self.settings.address or "a cluster of this machine alone"
        left_s = self._again_at - asyncio.get_running_loop().time()
        soon = f" in {left_s:.0f} s" if left_s >= 1 else ""
        return BackendUnavailable(
            f"the bridge to Ray ({where}) is not there: {self._obituary or 'it has just ended'}; "
            f"it is started again{soon}, with the next request",
        )


def _for_ray(environ: Mapping[str, str]) -> dict[str, str]:
    """Return what is meant for Ray, also the token of a cluster, which others are not told."""
    return {name: value for name, value in environ.items() if name.startswith("RAY_")}


def _forget(task: "asyncio.Task[Path]") -> None:
    if not task.cancelled():
        task.exception()  # who asks is told; nobody may
