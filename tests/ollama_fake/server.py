"""The server: which path leads where, who may come, and what a test can see and set."""

import asyncio
import posixpath
import re
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import unquote

import orjson
from aiohttp import web
from attrs import define, field, setters

from .answers import Answers
from .engines import Engine
from .faults import Faults
from .files import examine
from .generations import GENERATIONS
from .library import Library
from .making import Making, pulled_model
from .model import Model
from .names import Name
from .refusal import Panicked, Refusal
from .runners import Runner, Runners
from .store import Store
from .when import now
from .wire import TEXT, Wire

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_LOOPBACK = ("127.0.0.1", "localhost", "::1")
_LOCAL_HOST = re.compile(
    r"(localhost|[\w.-]+\.(localhost|local|internal)|127\.[\d.]+|\[::1\]|0\.0\.0\.0)(:\d+)?"
)
_LOCAL_ORIGIN = re.compile(
    r"(https?://(localhost|127\.0\.0\.1|0\.0\.0\.0)(:\d+)?|(app|file|tauri)://.*)"
)
_BLOB = "/api/blobs/{digest}"


@define(eq=False)
class FakeOllama:
    """One server.

    Attributes:
        version: Which recorded version it is like: "0.32.15" or "0.24.0".
        store: Folder for blobs and manifests; None for one that goes with the server.
        faults: What goes wrong; its attributes are to be set, not itself.
        registry: Models that can be pulled: name → arguments of `add_model`.
        clock: What time it is; a `ManualClock` lets models expire at a test's word.
        engine: Makes what stands for an engine process, given the digest of the weights.
        host: Where to listen.
        port: Where to listen; 0 for a free one, which is then kept.
        requests: Method, path and parsed body (None for none) of each request so far.
        died: Whether a request made the server panic.
    """

    version: str = "0.32.15"
    store: Path | None = None
    faults: Faults = field(factory=Faults, on_setattr=setters.frozen)
    registry: Mapping[str, Mapping[str, Any]] = field(factory=dict)
    clock: Callable[[], datetime] = now
    engine: Callable[[str], Engine] = Engine
    host: str = "127.0.0.1"
    port: int = 0
    requests: list[tuple[str, str, Any]] = field(factory=list, init=False)
    died: asyncio.Event = field(factory=asyncio.Event, init=False)
    runners: Runners = field(init=False)
    answers: Answers = field(init=False)
    blobs: Store = field(init=False)
    _library: Library = field(init=False)
    _making: Making = field(init=False)
    _wire: Wire = field(init=False)
    _temporary: tempfile.TemporaryDirectory | None = field(default=None, init=False)
    _listening: web.AppRunner | None = field(default=None, init=False)
    _open: set[asyncio.BaseTransport] = field(factory=set, init=False)
    _routes: dict[str, dict[str, Handler]] = field(init=False)
    _dying: asyncio.Task[None] | None = field(default=None, init=False)

    def __attrs_post_init__(self) -> None:
        if self.store is None:
            self._temporary = tempfile.TemporaryDirectory(prefix="fake-ollama-")
            self.store = Path(self._temporary.name)
        self.blobs = Store(self.store)
        self._wire = Wire(self.faults)
        generation = GENERATIONS[self.version]
        self.runners = Runners(generation, self.faults, self.clock, self.engine, self._examine)
        parts = (self.blobs, self.runners, self.faults, self._wire)
        self.answers = Answers(*parts)
        self._library = Library(*parts, self.version)
        self._making = Making(*parts, self.registry)
        self._routes = self._table()

    def _examine(self, model: Model) -> None:
        if model.on_disk:
            examine(self.blobs.blob(model.weights), self.runners.generation)

    def _table(self) -> dict[str, dict[str, Handler]]:
        library, answers, making = self._library, self.answers, self._making
        return {
            "/": {"GET": library.root, "HEAD": library.root},
            "/api/version": {"GET": library.tell_version, "HEAD": library.tell_version},
            "/api/status": {"GET": library.status},
            "/api/tags": {"GET": library.tags, "HEAD": library.tags},
            "/api/ps": {"GET": library.ps},
            "/api/show": {"POST": library.show},
            "/api/copy": {"POST": library.copy},
            "/api/delete": {"DELETE": library.delete},
            _BLOB: {"HEAD": library.has_blob, "POST": library.put_blob},
            "/api/create": {"POST": making.create},
            "/api/pull": {"POST": making.pull},
            "/api/generate": {"POST": answers.generate},
            "/api/chat": {"POST": answers.chat},
            "/api/embed": {"POST": answers.embed},
        }

    # What a test sees

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}"

    @property
    def uploads(self) -> int:
        """Uploads that came to their end."""
        return self.blobs.uploads

    @property
    def bytes_uploaded(self) -> int:
        return self.blobs.bytes_uploaded

    @property
    def largest_read(self) -> int:
        """The most bytes of an upload that were in memory at once."""
        return self.blobs.largest_read

    @property
    def creates(self) -> int:
        return self._making.creates

    @property
    def deletes(self) -> int:
        return self._library.deletes

    @property
    def loads(self) -> int:
        """Models loaded, reloads among them."""
        return self.runners.loads

    @property
    def reloads(self) -> int:
        """Loads that only other options made necessary."""
        return self.runners.reloads

    @property
    def streams_running(self) -> int:
        return self.answers.streams_running

    @property
    def streams_abandoned(self) -> int:
        """Streams that were not sent to their end: the client left, or a fault cut them."""
        return self.answers.streams_abandoned

    @property
    def held_bytes(self) -> int:
        """Memory of all that is loaded."""
        return sum(runner.size for runner in self.runners.held())

    @property
    def loaded(self) -> list[str]:
        """Names under which models are loaded."""
        return [runner.wanted.name.short for runner in self.runners.held()]

    # What a test does

    def add_model(self, name: str, **facts: Any) -> Model:
        """Add a model that nobody uploaded.

        Args:
            name: Its name.
            facts: ``size``, ``digest``, ``capabilities``, and other attributes of `Model`.
        """
        parsed = _name(name)
        return self.blobs.put(parsed, pulled_model(parsed, **facts), self.clock())

    def remove_model(self, name: str) -> None:
        """Remove a model behind everybody's back."""
        self.blobs.remove(_name(name))

    def model(self, name: str) -> Model:
        """Return what is known about a model in the store."""
        found = self.blobs.find(_name(name))
        assert found is not None, f"there is no {name}"
        return found[1]

    def runner(self, name: str) -> Runner | None:
        """Return what is loaded under a name."""
        return self.runners.named(_name(name))

    def kill_runner(self, name: str) -> None:
        """Let the engine process of a model die, as by the kernel's hand."""
        runner = self.runner(name)
        assert runner is not None, f"{name} is not loaded"
        runner.engine.kill()

    @asynccontextmanager
    async def serving(self) -> AsyncIterator["FakeOllama"]:
        """Listen while the context lasts."""
        await self.start()
        try:
            yield self
        finally:
            await self.stop()
            if self._temporary is not None:
                self._temporary.cleanup()

    async def start(self) -> None:
        """Listen; OSError when the port is taken."""
        app = web.Application(client_max_size=1 << 30)
        app.router.add_route("*", "/{rest:.*}", self._serve)
        app.on_response_prepare.append(_stay_anonymous)
        listening = web.AppRunner(
            app, handler_cancellation=True, access_log=None, shutdown_timeout=0.1
        )
        await listening.setup()
        try:
            await web.TCPSite(listening, self.host, self.port).start()
        except OSError:
            await listening.cleanup()
            raise
        self._listening = listening
        self.port = listening.addresses[0][1]

    async def stop(self) -> None:
        """End: connections are closed where they are, nothing stays loaded."""
        listening, self._listening = self._listening, None
        if listening is None:
            return
        for transport in list(self._open):
            transport.close()
        self.runners.clear()
        await listening.cleanup()

    async def restart(self) -> None:
        """End and begin anew on the same port and store."""
        await self.stop()
        await self.start()

    # Serving

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        transport = request.transport
        if transport is None:
            raise asyncio.CancelledError
        self._open.add(transport)
        try:
            return await self._answered(request)
        except Panicked:
            self._panic(transport)
        finally:
            self._open.discard(transport)

    def _panic(self, transport: asyncio.BaseTransport) -> NoReturn:
        transport.close()
        self._dying = asyncio.create_task(self._die())
        raise asyncio.CancelledError

    async def _die(self) -> None:
        self.runners.abandon()
        await self.stop()
        self.died.set()

    async def _answered(self, request: web.Request) -> web.StreamResponse:
        await self._remember(request)
        if not self._may_come(request):
            return web.Response(status=403)
        try:
            instead = await self._wire.instead(request)
            return instead or await self._dispatch(request)
        except Refusal as refusal:
            return await self._wire.answer(request, {"error": refusal.text}, refusal.status)

    async def _remember(self, request: web.Request) -> None:
        upload = request.path.startswith("/api/blobs/")
        raw = b"" if upload else await request.read()
        try:
            body = orjson.loads(raw) if raw else None
        except orjson.JSONDecodeError:
            body = None
        self.requests.append((request.method, request.path, body))

    def _may_come(self, request: web.Request) -> bool:
        """Whether the request is from here, or the server is for everybody."""
        if self.host not in _LOOPBACK:
            return True
        origin = request.headers.get("Origin")
        local = origin is None or _LOCAL_ORIGIN.fullmatch(origin) is not None
        return local and _LOCAL_HOST.fullmatch(request.host) is not None

    async def _dispatch(self, request: web.Request) -> web.StreamResponse:
        path = unquote(request.raw_path.partition("?")[0])
        if ".." in request.raw_path.split("/"):
            return web.Response(status=307, headers={"Location": posixpath.normpath(path)})
        is_blob = re.fullmatch(r"/api/blobs/[^/]+", path)
        methods = self._routes.get(_BLOB if is_blob else path)
        if methods is None:
            return await self._wire.whole(request, "404 page not found", 404, TEXT)
        handler = methods.get(request.method)
        if handler is None:
            allowed = {"Allow": ", ".join(methods)}
            return await self._wire.whole(request, "405 method not allowed", 405, TEXT, **allowed)
        return await handler(request)


def _name(text: str) -> Name:
    name = Name.of(text)
    assert name is not None, f"{text} is no name of a model"
    return name


async def _stay_anonymous(request: web.Request, response: web.StreamResponse) -> None:
    """Leave out the name of the server, which the real one does not tell."""
    response.headers.pop("Server", None)
