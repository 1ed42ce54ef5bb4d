"""A spawned Ollama: started, watched, started again when it dies, ended with all that it started.

A keeper stands between ORAC and ``ollama serve``. Ollama's runners hold the memory of the models,
and they live on when Ollama is killed; the keeper clears them away, and outlives ORAC as long as
that takes.
"""

import asyncio
import errno
import logging
import os
import shutil
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from itertools import islice
from pathlib import Path
from time import monotonic

from attrs import define, evolve, field, frozen

from orac_core import BackendError, ConfigurationError, OracError

from .._process import ChildProcess, child_environment, kept
from .address import Address
from .api import OllamaApi
from .settings import OllamaSettings

logger = logging.getLogger("orac.ollama")
_log = logging.getLogger("orac.ollama.log")

_WINDOW_S = 600.0
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.5, 30.0
_LOOK_S = 0.05
_CLEARING_S = 2.0  # the keeper kills when the grace is over, and waits until all are gone
_STORE = "OLLAMA_MODELS"


@frozen
class Pace:
    """What time is for the supervision.

    Attributes:
        clock: Tells the time in seconds.
        sleep: Waits for so many seconds.
        grace_s: Time that Ollama has to end by itself.
    """

    clock: Callable[[], float] = monotonic
    sleep: Callable[[float], Awaitable[object]] = asyncio.sleep
    grace_s: float = 10.0


@frozen
class Ending:
    """How one attempt to have Ollama run ended.

    Attributes:
        reason: What to tell.
        died: Whether it ran and failed; one that can not even be started may be tried for ever.
    """

    reason: str
    died: bool


@define(eq=False)
class Patience:
    """When to start again what has ended, and when to give up.

    Attributes:
        limit: How many deaths within ten minutes are followed by another start.
    """

    limit: int
    _ends: list[tuple[float, bool]] = field(factory=list, init=False)

    def pause(self, now: float, *, died: bool) -> float | None:
        """Return the seconds to wait after an end, twice those of the last; None to give up.

        What is ten minutes past does not count.
        """
        self._ends = [end for end in self._ends if now - end[0] < _WINDOW_S]
        if died and sum(end[1] for end in self._ends) >= self.limit:
            return None
        self._ends.append((now, died))
        return min(_FIRST_PAUSE_S * 2.0 ** min(len(self._ends) - 1, 10), _LONGEST_PAUSE_S)


@define(eq=False)
class Supervisor:
    """Keeps one ``ollama serve`` running.

    Attributes:
        problem: Why it does not run, and what to do; None while it runs or first starts.
        restarts: How often it was started again.
        running: Whether it runs and has answered.
    """

    _settings: OllamaSettings
    _address: Address
    _environ: Mapping[str, str] = field(repr=False)
    _api: OllamaApi
    _on_exit: Callable[[], None]
    _pace: Pace
    problem: str | None = field(default=None, init=False)
    restarts: int = field(default=0, init=False)
    running: bool = field(default=False, init=False)
    _stopping: bool = field(default=False, init=False)
    _child: ChildProcess | None = field(default=None, init=False)
    _settled: asyncio.Event = field(factory=asyncio.Event, init=False)

    @property
    def pid(self) -> int | None:
        """The leader of the process group that Ollama and its runners are in; None without one."""
        return None if self._child is None else self._child.pid

    async def settled(self) -> None:
        """Return when the first start has succeeded or failed."""
        await self._settled.wait()

    async def run(self) -> None:
        """Start it, and again whenever it ends; return when that has become pointless."""
        patience = Patience(self._settings.restarts)
        try:
            while True:
                ending = await self._life()
                pause = patience.pause(self._pace.clock(), died=ending.died)
                self._tell(ending, pause)
                if pause is None:
                    return
                await self._pace.sleep(pause)
                self.restarts += 1
        finally:
            self._settled.set()

    async def _life(self) -> Ending:
        """Start it and wait for its end; return how that came."""
        self._stopping = False
        try:
            child = self._child = await self._started()
        except (OracError, OSError) as error:
            return Ending(str(error), died=False)
        try:
            if not await self._answers(child):
                return await self._failed(child)
            self.running, self.problem = True, None
            self._settled.set()
            logger.info("Ollama runs at %s, started by ORAC", self._address.url)
            await child.ended_within(None)
            return Ending(_how(child), died=True)
        finally:
            await self._stop(child)

    async def _started(self) -> ChildProcess:
        program = _program(self._settings.program, self._environ)
        await self._require_port()
        where = (self._settings, self._address, self._environ)
        environment = await asyncio.to_thread(environment_for, *where)
        return await ChildProcess.start(
            "Ollama",
            kept((program, "serve"), self._pace.grace_s),
            environment=environment,
            on_exit=self._ended,
            on_line=_log.debug,
        )

    async def _require_port(self) -> None:
        """Refuse to start beside another: what it answers would be taken for Ollama's own."""
        if not _is_taken(self._address):
            return
        try:
            await self._api.version()
        except OracError:
            raise BackendError(
                f"another program than Ollama listens at {self._address.authority} already: "
                "end it, or set another port in `url`"
            ) from None
        raise BackendError(_rival(self._address))

    async def _answers(self, child: ChildProcess) -> bool:
        """Wait until it answers; False when it ends before, or takes too long."""
        with suppress(TimeoutError):
            async with asyncio.timeout(self._settings.start_timeout_s):
                while not await child.ended_within(_LOOK_S):
                    with suppress(OracError):
                        await self._api.version()
                        return not child.ended
        return False

    async def _failed(self, child: ChildProcess) -> Ending:
        """Return why it did not come to answer."""
        if not child.ended:
            reason = (
                f"Ollama did not answer within {self._settings.start_timeout_s:g} s of its start; "
                f"raise `start_timeout_s` if it is slow here. {_last(child)}"
            )
            return Ending(reason, died=True)
        await child.ended_within(0)  # for its last words
        if any("address already in use" in line for line in child.tail.lines):
            return Ending(_rival(self._address), died=False)
        return Ending(_how(child), died=True)

    async def _stop(self, child: ChildProcess) -> None:
        self.running, self._stopping = False, True
        try:
            await child.stop(self._pace.grace_s + _CLEARING_S)
        except BackendError as error:
            logger.warning("%s", error)
        finally:
            self._child = None

    def _ended(self) -> None:
        """Take note of its end, as soon as it comes."""
        self.running = False
        if not self._stopping:
            self._on_exit()

    def _tell(self, ending: Ending, pause: float | None) -> None:
        """Say what is wrong; once, as long as it stays the same."""
        problem = ending.reason
        if pause is None:
            problem = (
                f"Ollama is not started again: it failed {self._settings.restarts + 1} times "
                f"within {_WINDOW_S / 60:g} minutes. Repair the cause and restart ORAC. "
                f"The last time: {problem}"
            )
        if problem != self.problem:
            logger.warning("%s", problem)
        self.problem = problem
        self._settled.set()


@asynccontextmanager
async def supervised(  # noqa: PLR0913 - what it takes to run one
    settings: OllamaSettings,
    address: Address,
    environ: Mapping[str, str],
    api: OllamaApi,
    on_exit: Callable[[], None],
    *,
    pace: Pace | None = None,
) -> AsyncIterator[Supervisor]:
    """Have an Ollama run at *address* as long as the context lasts, and nothing of it afterwards.

    It does not wait for the start, nor does it fail with it: see `Supervisor.settled` and
    `Supervisor.problem`.

    Args:
        settings: From the manifest.
        address: Where it is to listen.
        environ: ORAC's environment; no secret of it is handed on.
        api: A client to that address.
        on_exit: Called whenever it ends without having been told to.
        pace: What time is, for tests.

    Raises:
        ConfigurationError: when it can not listen at *address*.
    """
    supervisor = Supervisor(settings, _own(address), environ, api, on_exit, pace or Pace())
    task = asyncio.create_task(supervisor.run(), name=f"supervise {address.url}")
    try:
        yield supervisor
    finally:
        await _over(task)


async def _over(task: asyncio.Task[None]) -> None:
    task.cancel()
    try:
        await asyncio.wait([task])
    except asyncio.CancelledError:
        task.cancel()  # whoever can not wait has it killed
        raise
    if not task.cancelled():
        task.result()


def environment_for(
    settings: OllamaSettings, address: Address, environ: Mapping[str, str]
) -> dict[str, str]:
    """Return the environment of a spawned Ollama; its store is made if need be.

    It blocks while it looks at folders, so call it in a thread.

    Raises:
        ConfigurationError: when there is no folder that it could keep its models in.
    """
    store, has_home = _store(settings.store, environ), _has_home(environ)
    if store is None and not has_home:
        raise ConfigurationError(
            "a spawned Ollama has no folder for its models: OLLAMA_MODELS is no store and HOME no "
            "folder that ORAC may write to; set `store` to one"
        )
    environment = child_environment(environ) | {"OLLAMA_HOST": address.authority}
    environment.pop(_STORE, None)
    if store is not None:
        environment[_STORE] = str(store)
    if not has_home:  # Ollama does not start without: it keeps a pair of keys there
        environment["HOME"] = str(store)
    return environment


def _store(chosen: Path | None, environ: Mapping[str, str]) -> Path | None:
    """Return the folder for the models; None to leave it to Ollama."""
    if chosen is not None:
        return _made(_expanded(chosen))
    named = environ.get(_STORE)
    if not named or _holds_gguf(Path(named)):
        return None
    with suppress(ConfigurationError):
        return _made(_expanded(named))
    return None


def _made(folder: Path) -> Path:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        why = f"it can not be made: {error.strerror}"
    else:
        if _is_writable(folder):
            return folder
        why = "ORAC may not write to it"
    raise ConfigurationError(
        f"{folder} can not be the store of a spawned Ollama: {why}; set `store` to a folder that "
        "ORAC may write to"
    )


def _holds_gguf(folder: Path) -> bool:
    """Whether it is a folder of model files rather than a store."""
    walk = islice(os.walk(folder), 1000)
    return any(name.lower().endswith(".gguf") for *_, names in walk for name in names)


def _has_home(environ: Mapping[str, str]) -> bool:
    """Whether Ollama can keep what it keeps in the home folder."""
    home = Path(environ.get("HOME") or "/nonexistent")
    own = home / ".ollama"
    return _is_writable(own if os.access(own, os.F_OK) else home)


def _is_writable(folder: Path) -> bool:
    return os.access(f"{folder}/.", os.W_OK | os.X_OK)  # of what is no folder it is not true


def _expanded(path: Path | str) -> Path:
    return Path(os.path.expanduser(path)).absolute()  # noqa: PTH111 - pathlib's needs a home


def _program(named: str, environ: Mapping[str, str]) -> str:
    wanted = str(_expanded(named)) if "/" in named else named
    found = shutil.which(wanted, path=environ.get("PATH", os.defpath))
    if found is None:
        raise ConfigurationError(
            f"cannot find the program {named} to start Ollama with: install Ollama "
            "(https://ollama.com/download), set `program` to where it is, or set spawn = false"
        )
    return found


def _own(address: Address) -> Address:
    """Return the address in numbers; raise if it is none to listen at for this machine alone."""
    plain = address.scheme == "http" and not address.path and address.port
    if not (plain and address.on_this_machine):
        raise ConfigurationError(
            f"spawn = true starts Ollama on this machine, which can not be {address.url}: "
            "set `url` to http://127.0.0.1 and a port, or set spawn = false"
        )
    return evolve(address, host="127.0.0.1") if address.host == "localhost" else address


def _is_taken(address: Address) -> bool:
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    with socket.socket(family) as bound:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            bound.bind((address.host, address.port))
        except OSError as error:
            return error.errno == errno.EADDRINUSE
    return False


def _rival(address: Address) -> str:
    return (
        f"ORAC can not start Ollama at {address.authority}: an Ollama is running there already: "
        "set spawn = false to use it, or another port in `url`"
    )


def _how(child: ChildProcess) -> str:
    how = child.how_it_ended()
    by = " (the kernel, when memory runs out?)" if "SIGKILL" in how else ""
    return f"Ollama ended with {how}{by}. {_last(child)}"


def _last(child: ChildProcess) -> str:
    return f"Its last lines: {child.last_lines(3) or 'none'}"
