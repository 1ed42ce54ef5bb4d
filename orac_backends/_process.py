"""One child process: started, watched and stopped, with the last lines it wrote.

The child leads a session of its own, so Ctrl-C in a terminal reaches ORAC alone, and ORAC decides
when the child ends. Whatever it prints is kept, bounded, for the day it dies.
"""

import asyncio
import os
import signal
import sys
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Self, cast

from attrs import define, field

from orac_core import BackendError

_TETHER = Path(__file__).with_name("_tether.py")
_KEEPER = Path(__file__).with_name("_keeper.py")
_REAP_S = 10.0
_DRAIN_S = 1.0
_SECRET_WORDS = ("TOKEN", "SECRET", "PASSWORD", "API_KEY")
_OTHERS_SETTINGS = ("ORAC_", "LLAMA_")


def child_environment(environ: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return ORAC's environment without secrets, and without what would configure an engine.

    Args:
        environ: What to take for ORAC's environment, in place of the process's own.
    """
    return {
        name: value
        for name, value in (os.environ if environ is None else environ).items()
        if not name.startswith(_OTHERS_SETTINGS)
        and not any(word in name.upper() for word in _SECRET_WORDS)
    }


def tethered(argv: Sequence[str]) -> tuple[str, ...]:
    """Return the command that runs *argv* so that the kernel kills it when ORAC dies."""
    return (sys.executable, "-I", "-S", str(_TETHER), str(os.getpid()), *argv)


def kept(argv: Sequence[str], grace_s: float) -> tuple[str, ...]:
    """Return the command that runs *argv* so that nothing it started outlives it, nor ORAC.

    For a program that starts others. It is asked to end when ORAC dies, and has *grace_s* to do so.
    """
    return (sys.executable, "-I", "-S", str(_KEEPER), str(os.getpid()), str(grace_s), *argv)


@define(eq=False)
class Tail:
    """The last lines of an output, control characters escaped.

    Attributes:
        limit: Number of lines that are kept.
        line_length: Characters that are kept of each.
        count: Number of whole lines so far.
    """

    limit: int = 200
    line_length: int = 400
    count: int = field(default=0, init=False)
    _lines: deque[str] = field(init=False)
    _rest: bytes = field(default=b"", init=False)

    def __attrs_post_init__(self) -> None:
        self._lines = deque(maxlen=self.limit)

    def feed(self, data: bytes) -> list[str]:
        """Take in what was read; return the whole lines that it completes."""
        *whole, rest = (self._rest + data).split(b"\n")
        shown = [self._shown(line) for line in whole if line.strip()]
        self._lines.extend(shown)
        self.count += len(shown)
        # Four bytes a character are enough for any line that will be shown.
        self._rest = rest[: 4 * self.line_length]
        return shown

    @property
    def lines(self) -> tuple[str, ...]:
        """All lines kept, the last one even when it was not ended."""
        unfinished = (self._shown(self._rest),) if self._rest.strip() else ()
        return (*self._lines, *unfinished)

    def since(self, count: int) -> tuple[str, ...]:
        """Return the whole lines, of those kept, that came after the first *count*."""
        new = self.count - count
        return tuple(self._lines)[-new:] if new > 0 else ()

    def _shown(self, line: bytes) -> str:
        text = line[: 4 * self.line_length].decode(errors="replace").strip()[: self.line_length]
        return "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in text)


@define(eq=False)
class ChildProcess(asyncio.SubprocessProtocol):
    """A process that ORAC started.

    Attributes:
        name: What it is called in messages.
        tail: The last lines of its standard output and error.
        on_exit: Called once, as soon as it has ended, for whatever reason.
        on_line: Called with each whole line that it writes.
    """

    name: str
    tail: Tail
    on_exit: Callable[[], None]
    on_line: Callable[[str], None]
    _transport: asyncio.SubprocessTransport | None = field(default=None, init=False)
    _ended: asyncio.Event = field(factory=asyncio.Event, init=False)
    _drained: asyncio.Event = field(factory=asyncio.Event, init=False)

    @classmethod
    async def start(  # noqa: PLR0913 - named in every call but the first two
        cls,
        name: str,
        argv: Sequence[str],
        *,
        environment: Mapping[str, str],
        stdin: bytes = b"",
        on_exit: Callable[[], None] = lambda: None,
        on_line: Callable[[str], None] = lambda _: None,
        keep_lines: int = 200,
    ) -> Self:
        """Start *argv*, without a shell; its standard input gets *stdin* and stays open.

        Raises:
            BackendError: when it can not be started.
        """
        loop = asyncio.get_running_loop()
        try:
            transport, child = await loop.subprocess_exec(
                lambda: cls(name, Tail(keep_lines), on_exit, on_line),
                *argv,
                env=dict(environment),
                start_new_session=True,
            )
        except (OSError, ValueError) as error:
            raise BackendError(f"cannot start {name} ({argv[0]}): {error}") from error
        child._transport = transport  # noqa: SLF001 - one's own
        # Not tested for its class: uvloop's own is none of asyncio's.
        pipe = cast("asyncio.WriteTransport", transport.get_pipe_transport(0))
        pipe.write(stdin)
        return child

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Remember how to reach it; asyncio calls this."""
        self._transport = cast("asyncio.SubprocessTransport", transport)

    def pipe_data_received(self, fd: int, data: bytes) -> None:  # noqa: ARG002 - asyncio's
        """Keep what it wrote; asyncio calls this."""
        for line in self.tail.feed(data):
            self.on_line(line)

    def process_exited(self) -> None:
        """Take note of its end; asyncio calls this."""
        self._signal_group(signal.SIGKILL)  # whatever it started goes with it
        self._ended.set()
        self.on_exit()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's
        """Take note that there is nothing more to read; asyncio calls this."""
        self._drained.set()

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._running_transport().get_pid()

    @property
    def returncode(self) -> int | None:
        """Its exit code, or minus the signal that killed it; None while it runs."""
        return self._running_transport().get_returncode()

    @property
    def ended(self) -> bool:
        """Whether it has ended and is reaped."""
        return self._ended.is_set()

    async def ended_within(self, seconds: float | None) -> bool:
        """Wait for its end, but no longer than that; return whether it came.

        None is for as long as it takes.

        What it wrote last has arrived by then, too.
        """
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._ended.wait()
        if self.ended:
            with suppress(TimeoutError):  # a grandchild may hold on to the pipe
                async with asyncio.timeout(_DRAIN_S):
                    await self._drained.wait()
        return self.ended

    async def stop(self, grace_s: float = 0.0, *, group: bool = True) -> None:
        """End it and return when it is gone; at once, unless it is given time to end by itself.

        Args:
            grace_s: That time.
            group: Whether what it has started is asked to end as well; not where it needs that to
                end in order.

        Raises:
            BackendError: when the kernel does not let it go, as with a driver that hangs.
        """
        try:
            if grace_s and not self.ended:
                self._ask_to_end(group=group)
                await self.ended_within(grace_s)
            self.kill()
            gone = await self.ended_within(_REAP_S)
        finally:  # whoever is tired of waiting is not tired of the memory
            self.kill()
            self._running_transport().close()
        if not gone:
            raise BackendError(
                f"{self.name} (process {self.pid}) does not die; a driver may hang: "
                "restart the machine to get its memory back",
            )

    def kill(self) -> None:
        """Kill it without waiting."""
        if not self.ended:
            self._signal_group(signal.SIGKILL)

    def memory_bytes(self) -> int | None:
        """Return the memory it holds (resident set); None once it has ended."""
        import psutil  # noqa: PLC0415 - 10 ms that only a loaded model costs

        try:
            return int(psutil.Process(self.pid).memory_info().rss)
        except psutil.Error:
            return None

    def mapped_bytes(self) -> int | None:
        """Return how much of that is pages of files; None where the system does not say."""
        import psutil  # noqa: PLC0415 - as above

        try:
            info = psutil.Process(self.pid).memory_info()
        except psutil.Error:
            return None
        return getattr(info, "shared", None)

    def how_it_ended(self) -> str:
        """Say how it ended, such as ``exit code 3`` or ``signal SIGSEGV``."""
        code = self.returncode
        if code is None:
            return "no exit code"
        if code >= 0:
            return f"exit code {code}"
        try:
            return f"signal {signal.Signals(-code).name}"
        except ValueError:
            return f"signal {-code}"

    def last_lines(self, count: int = 8) -> str:
        """Return the last lines it wrote, joined by `` | ``."""
        return " | ".join(self.tail.lines[-count:])

    def _ask_to_end(self, *, group: bool) -> None:
        if group:
            self._signal_group(signal.SIGTERM)
        else:
            with suppress(ProcessLookupError):
                self._running_transport().send_signal(signal.SIGTERM)

    def _signal_group(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, number)

    def _running_transport(self) -> asyncio.SubprocessTransport:
        if self._transport is None:
            raise BackendError(f"{self.name} was not started")
        return self._transport
