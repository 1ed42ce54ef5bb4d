"""One model in a process of its own: read ahead, started, watched and stopped."""

import asyncio
import secrets
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from pathlib import Path

from attrs import define, evolve, field, frozen

from orac_core import (
    BackendError,
    BackendUnavailable,
    LoadedInfo,
    LoadProgress,
    ModelState,
    OracError,
)

from ._http import HttpClient, Reply
from ._launch import Launch
from ._process import ChildProcess, Tail
from ._reading import read_ahead

OK = 200
_ASK_S = 5.0
_FIRST_PAUSE_S = 0.02
_LONGEST_PAUSE_S = 0.25
_EXIT_NOTICED_S = 1.0


@frozen
class Served:
    """What a process serves, and by what.

    Attributes:
        engine: Name of the software, for messages.
        model: Id of the model.
        parts: Its files with weights.
        start_timeout_s: Time that the engine has to start.
    """

    engine: str
    model: str
    parts: tuple[Path, ...]
    start_timeout_s: float


@define(eq=False)
class ModelProcess(ABC):
    """A model that is being loaded, is loaded, or has failed.

    Attributes:
        socket: Where it shall listen, if it knows how to.
        state: What it is doing.
    """

    socket: Path
    state: ModelState = field(default=ModelState.STARTING, init=False)
    _failure: str | None = field(default=None, init=False)
    _process: ChildProcess | None = field(default=None, init=False)
    _grace_s: float = field(default=0.0, init=False)
    _client: HttpClient | None = field(default=None, init=False)
    _applied: LoadedInfo = field(factory=LoadedInfo, init=False)
    _gpu_bytes: int = field(default=0, init=False)
    _spawning: asyncio.Lock = field(factory=asyncio.Lock, init=False)

    @property
    @abstractmethod
    def served(self) -> Served:
        """What it serves."""

    @abstractmethod
    async def _launch(self, key: str) -> Launch:
        """Return how to start it, guarded by *key*."""

    @abstractmethod
    async def _told(self) -> LoadedInfo:
        """Return what it says it uses, when it has started."""

    @abstractmethod
    def _failed_start(self) -> OracError:
        """Return why it could not start."""

    @abstractmethod
    def _last_words(self) -> str:
        """Return what it wrote last."""

    @property
    def reason(self) -> str | None:
        """Why it has failed; None while it has not."""
        if self.state is not ModelState.FAILED:
            return None
        return self._failure or self._obituary()

    @property
    def loaded(self) -> LoadedInfo | None:
        """What the engine uses for it; None unless it is ready."""
        if self.state is not ModelState.READY or self._process is None:
            return None
        resident = self._process.memory_bytes()
        return evolve(
            self._applied,
            memory_bytes=None if resident is None else resident + self._gpu_bytes,
            mapped_bytes=self._process.mapped_bytes(),
        )

    async def start(self) -> AsyncGenerator[LoadProgress, None]:
        """Load the model; whoever closes this early stops the process as well.

        Raises:
            ModelFileInvalid: when the engine can not use the model's files.
            BackendUnavailable: when something of the engine is not installed.
            BackendError: when the engine can not be started, or is stopped meanwhile.
        """
        async with aclosing(read_ahead(self.served.parts)) as reading:
            async for progress in reading:
                self._require_wanted()
                yield progress
        yield LoadProgress("start", message=f"{self.served.engine} is starting")
        async with self._spawning:  # whoever stops it waits until there is something to kill
            self._require_wanted()
            await self._spawn()
        self._require_wanted()
        await self._until_ready()
        self._applied = await self._told()
        self._require_wanted()
        self.state = ModelState.READY

    async def stop(self) -> None:
        """Kill the process and return when it is gone; may be called at any time, and again.

        Raises:
            BackendError: when the process does not die.
        """
        self.state = ModelState.STOPPING
        async with self._spawning:
            if self._process is not None:
                await self._process.stop(self._grace_s)
            if self._client is not None:
                await self._client.close()
        self.socket.unlink(missing_ok=True)
        self.state = ModelState.STOPPED

    def fail(self, reason: str) -> None:
        """Remember why the model could not be loaded."""
        self.state, self._failure = ModelState.FAILED, reason

    def _ready(self) -> HttpClient:
        """Return how to ask it.

        Raises:
            BackendUnavailable: when the model is not ready.
        """
        if self.state is not ModelState.READY or self._client is None:
            raise self._unavailable()
        return self._client

    @asynccontextmanager
    async def _noticing_an_end(
        self, failure: type[BackendError] = BackendUnavailable
    ) -> AsyncIterator[None]:
        """Turn a *failure* within into what is known of the end of the process, if it ended."""
        try:
            yield
        except failure as error:
            if await self._has_ended():
                raise self._unavailable() from error
            raise

    async def _get(self, path: str) -> Reply:
        if self._client is None:
            raise self._unavailable()
        return await self._client.request("GET", path, timeout_s=_ASK_S)

    async def _spawn(self) -> None:
        key = secrets.token_urlsafe(32)
        launch = await self._launch(key)
        self._grace_s = launch.grace_s
        self._client = _client(self._name, launch, key)
        self._process = await ChildProcess.start(
            self._name,
            launch.argv,
            environment=launch.environment,
            stdin=launch.stdin,
            on_exit=self._on_exit,
        )

    async def _until_ready(self) -> None:
        served = self.served
        try:
            async with asyncio.timeout(served.start_timeout_s):
                await self._poll()
        except TimeoutError:
            raise BackendError(
                f"{served.engine} did not start with {served.model} within "
                f"{served.start_timeout_s:.0f} s ({self._last_words()}); raise "
                "start_timeout_s if the machine is that slow",
            ) from None

    async def _poll(self) -> None:
        pause = _FIRST_PAUSE_S
        while not await self._healthy():
            if await self._has_ended(pause):
                self._require_wanted()
                raise self._failed_start()
            pause = min(pause * 1.5, _LONGEST_PAUSE_S)

    async def _healthy(self) -> bool:
        try:
            return (await self._get("/health")).status == OK
        except BackendUnavailable:
            return False

    async def _has_ended(self, within: float = _EXIT_NOTICED_S) -> bool:
        return self._process is not None and await self._process.ended_within(within)

    def _on_exit(self) -> None:
        if self.state is ModelState.READY:
            self.state = ModelState.FAILED

    def _require_wanted(self) -> None:
        if self.state is not ModelState.STARTING:
            raise BackendError(f"{self.served.model} was unloaded while it was loading")

    def _unavailable(self) -> BackendUnavailable:
        match self.state:
            case ModelState.FAILED:
                why = f"has failed: {self.reason}; load it again"
            case ModelState.STARTING:
                why = "is still being loaded; ask again when it is ready"
            case _:
                why = "is not loaded any more; load it first"
        return BackendUnavailable(f"{self.served.model} {why}")

    def _obituary(self) -> str:
        return f"{self._name} ended with {self._how_it_ended()}; {self._last_words()}"

    def _how_it_ended(self) -> str:
        how = self._process.how_it_ended() if self._process else "no process"
        # Nobody else sends this signal to a process of ORAC's.
        return f"{how} (the kernel, when memory runs out?)" if "SIGKILL" in how else how

    @property
    def _tail(self) -> Tail:
        return self._process.tail if self._process else Tail()

    @property
    def _name(self) -> str:
        return f"the {self.served.engine} worker of {self.served.model}"


def _client(server: str, launch: Launch, key: str) -> HttpClient:
    """Return a client; the engine closes a connection after each stream, so none is kept."""
    return HttpClient.open(
        server,
        launch.base_url,
        socket=launch.socket,
        headers={"authorization": f"Bearer {key}"},
        keep_alive=False,
    )
