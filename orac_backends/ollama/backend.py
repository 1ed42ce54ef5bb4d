"""The backend of kind ``ollama``: drives an Ollama through its own API."""

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import AsyncExitStack, aclosing, asynccontextmanager, contextmanager, suppress
from time import monotonic

from attrs import define, evolve, field

from orac_core import (
    BackendError,
    BackendUnavailable,
    Chunk,
    Embeddings,
    EmbedRequest,
    GenerateRequest,
    Host,
    InstanceHealth,
    InvalidRequest,
    LoadedInfo,
    LoadProgress,
    LoadRequest,
    ModelFile,
    ModelInfo,
    ModelNotFound,
    OracError,
    PullProgress,
    PullRequest,
    hookimpl,
)

from .._contents import validated
from .._http import HttpClient
from .._request import check_load
from . import dressing, question, runners
from .address import Address, find
from .answer import StreamedAnswer
from .api import OllamaApi
from .embedding import embedded
from .importing import Import
from .listing import Inventory, listed, words
from .machine import Recovery
from .placement import held_bytes
from .pulling import Pulling
from .question import Loading
from .replies import Installed, Running
from .roster import Roster, Served
from .settings import OllamaSettings
from .supervision import Supervisor, supervised
from .surroundings import Surroundings
from .versions import holes, parsed

logger = logging.getLogger("orac.ollama")

_WATCH_S = 5.0
_LOAD_BYTES_PER_S = 25 << 20
_GONE_S = 50.0
_FIRST_PAUSE_S = 0.02
_LONGEST_PAUSE_S = 0.5
_CLOSE_S = 10.0
_CONNECT_S = 2.0


@define(eq=False)
class OllamaBackend:
    """Serves the models of one Ollama, and the GGUF files that it can be given.

    Attributes:
        settings: From the manifest.
        host: Lends the model files.
        api: The server.
        around: What is known of the machine it runs on.
        supervisor: What keeps the server running, when that is ORAC's to do.
    """

    settings: OllamaSettings
    host: Host
    api: OllamaApi
    around: Surroundings
    supervisor: Supervisor | None = None
    _roster: Roster = field(init=False)
    _version: str = field(default="", init=False)
    _last_unload: dict[str, object] | None = field(default=None, init=False)

    def __attrs_post_init__(self) -> None:
        self._roster = Roster(self.api)

    @hookimpl
    async def models(self) -> list[ModelInfo]:
        """List Ollama's models and the files that it could be given."""
        found = await self._look()
        infos = listed(found, self._roster.loadings, expect_gpu=self.around.expect_gpu)
        return [self._with_usual(info) for info in infos]

    @hookimpl
    async def load(self, request: LoadRequest) -> AsyncGenerator[LoadProgress, None]:
        """Hand the file over when Ollama lacks it, then load, and check that it is there."""
        check_load(request)
        dressing.check(request.adapters or ())
        if request.parallel is not None:
            raise _no_parallel()
        found = await self._look()
        model, file = found.model(request.model)
        if file is not None:
            async with aclosing(self._handed_over(file, known=model is not None)) as stages:
                async for progress in stages:
                    yield progress
            found = await self._roster.look([file])
            model = found.model(request.model)[0]
        if model is None:
            raise ModelNotFound(request.model)
        if request.adapters:
            async with aclosing(dressing.dressed(self.api, found, model, request.adapters)) as made:
                async for progress in made:
                    yield progress
            found = await self._look()
            model = dressing.found(found, model, request.adapters)
        yield LoadProgress("start", message="Ollama is loading it")
        await self._into_memory(request, found, model, file)

    @hookimpl
    async def unload(self, model: str) -> None:
        """Return when Ollama no longer lists it and its memory is back; never delete it."""
        found = await self._look()
        known = found.model(model)[0]
        runner = found.runner(known)
        if known is None or runner is None:
            return
        recovery = self._recovery(runner)
        await self.api.unload(found.in_memory(known).name)
        await self._until_gone(runner)
        self._roster.gone(runner.digest)
        if recovery is not None:
            self._note(model, recovery.held, await recovery.wait(), recovery)

    @hookimpl
    async def generate(self, request: GenerateRequest) -> AsyncGenerator[Chunk, None]:
        """Stream the answer; a request for a model that is not loaded does not load it."""
        self._require_running()
        served = self._roster.served(request.model)
        path, body = question.question(request, served.loading, served.capabilities)
        limits = question.most_calls(request), request.top_logprobs
        answer = StreamedAnswer(self.api.client.server, *limits)
        with self._noticing(served):
            stream = self.api.lines(
                path,
                body,
                first_s=self.settings.first_token_timeout_s,
                idle_s=self.settings.idle_timeout_s,
            )
            async with aclosing(stream) as reads:
                async for lines in reads:
                    if (chunk := answer.take(lines)) is not None:
                        yield chunk
                    if answer.last is not None:
                        break
        yield answer.last_chunk()

    @hookimpl
    async def embed(self, request: EmbedRequest) -> Embeddings:
        """Return a vector for each text."""
        self._require_running()
        served = self._roster.served(request.model)
        with self._noticing(served):
            return await embedded(
                self.api, request, served.loading, self.settings.first_token_timeout_s
            )

    @hookimpl
    async def pull(self, request: PullRequest) -> AsyncGenerator[PullProgress, None]:
        """Fetch a model from Ollama's registry, or hand over the file that has its name."""
        self._require_running()
        offered = self.settings.import_files
        work = Pulling(self.api, self.host, self._look, self._handed_over, takes_files=offered)
        async with aclosing(work.run(request)) as steps:
            async for step in steps:
                yield step

    @hookimpl
    async def health(self) -> InstanceHealth:
        """Say whether the server answers. What it lists as loaded is no sign of health."""
        details = self._details()
        try:
            self._require_running()
            self._version = await self.api.version()
            details |= await self._running_details()
        except OracError as error:
            return InstanceHealth(usable=False, message=str(error), details=details)
        return InstanceHealth(
            usable=True, version=self._version, details=details, warnings=holes(self._version)
        )

    async def watch(self) -> None:
        """Look at the server every few seconds while something is loaded, for ever."""
        while True:
            await asyncio.sleep(_WATCH_S)
            if self._roster.loadings:
                with suppress(OracError):  # who asks next is told
                    await self._look()

    async def close(self) -> None:
        """Unload what this backend loaded."""
        with suppress(OracError, TimeoutError):
            async with asyncio.timeout(_CLOSE_S):
                for name in self._roster.ours:
                    await self.api.unload(name)

    def forget(self) -> None:
        """Take note that the server has ended, and all that it had in memory with it."""
        self._roster.clear()

    def _with_usual(self, info: ModelInfo) -> ModelInfo:
        settings = self.settings
        context = question.context_length(None, settings.context_length, info.context_length)
        would_use = LoadedInfo(context_length=context, gpu_layers=settings.gpu_layers)
        return evolve(info, would_use=would_use, remote=self.around.remote)

    def _require_running(self) -> None:
        """Raise when ORAC's own Ollama does not run: who listens there then is somebody else's."""
        if self.supervisor is not None and not self.supervisor.running:
            why = self.supervisor.problem or "ORAC is starting Ollama; ask again in a moment"
            raise BackendUnavailable(why)

    def _details(self) -> dict[str, object]:
        details: dict[str, object] = {"url": self.api.client.url}
        if self.supervisor is not None:
            details |= {"pid": self.supervisor.pid, "restarts": self.supervisor.restarts}
        if self._last_unload is not None:
            details["last_unload"] = self._last_unload
        return details

    async def _running_details(self) -> dict[str, object]:
        """Return what tells of GPU and memory: whether a GPU is in use, runners without a model."""
        running = await self.api.running()
        details: dict[str, object] = {"gpu": True} if any(it.vram_bytes for it in running) else {}
        if self.around.available is None:  # its processes are on another machine
            return details
        listed = [self._roster.blobs(it.digest) for it in running]
        left = runners.leftovers(await asyncio.to_thread(runners.seen), listed)
        return details if left is None else {**details, "leftovers": [*map(runners.told, left)]}

    async def _look(self) -> Inventory:
        self._require_running()
        return await self._roster.look(await self._files())

    async def _files(self) -> tuple[ModelFile, ...]:
        return await self.host.files.all() if self.settings.import_files else ()

    async def _handed_over(
        self, file: ModelFile, *, known: bool
    ) -> AsyncGenerator[LoadProgress, None]:
        async with aclosing(validated(self.host.files, file)) as stages:
            async for progress in stages:
                yield progress
        if known:
            return
        version = parsed(self._version or await self.api.version())
        work = Import(self.api, self.host.files, file, self.around.store, version)
        async with aclosing(work.run()) as stages:
            async for progress in stages:
                yield progress

    async def _into_memory(
        self, request: LoadRequest, found: Inventory, model: Installed, file: ModelFile | None
    ) -> None:
        capabilities = words(found.capabilities(model))
        trained = found.trained_context(model, file)
        loading = Loading(
            model.name,
            question.context_length(request.context_length, self.settings.context_length, trained),
            self.settings.gpu_layers if request.gpu_layers is None else request.gpu_layers,
            self.settings.keep_alive,
            request.adapters or (),
        )
        path, body = question.load(loading, embeds=question.only_embeds(capabilities))
        patience = self.settings.load_timeout_s + (model.size_bytes or 0) / _LOAD_BYTES_PER_S
        try:
            await self.api.load(body, patience, path)
        except BackendUnavailable as error:
            raise _not_loaded(request.model, error) from error
        await self._confirm(request.model, model)
        served = Served(loading, model.digest, capabilities, ours=True)
        self._roster.loaded(request.model, served)

    async def _confirm(self, id_: str, model: Installed) -> None:
        """Raise unless the server lists the model as loaded; "loaded" alone is just a word."""
        if not any(each.digest == model.digest for each in await self.api.running()):
            raise BackendError(
                f"{self.api.client.server} said that {id_} is loaded, and does not list it as "
                "loaded; another client may have driven it out: load it again",
            )

    async def _until_gone(self, runner: Running) -> None:
        """Wait until the server no longer lists a model; it ends running answers first."""
        pause, ends_at = _FIRST_PAUSE_S, monotonic() + _GONE_S
        while any(each.digest == runner.digest for each in await self.api.running()):
            if monotonic() > ends_at:
                raise BackendError(
                    f"{runner.name} is still in memory {_GONE_S:g} s after {self.api.client.server}"
                    " was told to unload it; an answer for another client may keep it: stop that, "
                    "or restart Ollama",
                )
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE_S)

    def _recovery(self, runner: Running) -> Recovery | None:
        if self.around.available is None:
            return None
        held = held_bytes(runner, shared=self.around.shared_memory)
        return Recovery(held, self.around.available)

    def _note(self, model: str, held: int, back: int, recovery: Recovery) -> None:
        """Keep and log what came back."""
        self._last_unload = {"model": model, "held_bytes": held, "returned_bytes": back}
        if not recovery.enough(back):
            logger.warning(
                "%d of %d MiB came back when %s was unloaded; a runner that hangs or another "
                "program may hold the rest",
                back >> 20,
                held >> 20,
                model,
            )

    @contextmanager
    def _noticing(self, served: Served) -> Iterator[None]:
        """Forget a model that turns out to be gone."""
        try:
            yield
        except BackendUnavailable:
            self._roster.gone(served.digest)
            raise


@asynccontextmanager
async def open_backend(settings: OllamaSettings, host: Host) -> AsyncIterator[OllamaBackend]:
    """Open a backend; leaving unloads what it loaded, and ends an Ollama that ORAC started."""
    address = find(settings.url, host.environ)
    async with AsyncExitStack() as stack:
        client = HttpClient.open(f"Ollama at {address.url}", address.url, connect_s=_CONNECT_S)
        stack.push_async_callback(client.close)
        around = Surroundings.of(settings, address, host.environ)
        backend = OllamaBackend(settings, host, OllamaApi(client), around)
        if settings.spawn:
            await stack.enter_async_context(_spawned(backend, address))
        await stack.enter_async_context(_watched(backend))
        yield backend


@asynccontextmanager
async def _spawned(backend: OllamaBackend, address: Address) -> AsyncIterator[None]:
    """Have an Ollama of ORAC's own run; it is up, or has a problem, when this yields."""
    environ = backend.host.environ
    running = supervised(backend.settings, address, environ, backend.api, backend.forget)
    async with running as backend.supervisor:
        await backend.supervisor.settled()
        backend.around = Surroundings.of(backend.settings, address, environ)  # there is a store now
        yield


@asynccontextmanager
async def _watched(backend: OllamaBackend) -> AsyncIterator[None]:
    watch = asyncio.create_task(backend.watch(), name=f"watch {backend.api.client.url}")
    try:
        yield
    finally:
        watch.cancel()
        await asyncio.wait([watch])
        await backend.close()


def _not_loaded(id_: str, error: BackendUnavailable) -> OracError:
    """Return what a refusal to load means: a model that is not found is gone."""
    if "not found" in str(error):
        return ModelNotFound(id_)
    return error


def _no_parallel() -> InvalidRequest:
    return InvalidRequest(
        "Ollama decides for all models how many answers it gives at once; leave `parallel` out, "
        "or start Ollama with OLLAMA_NUM_PARALLEL",
        {"parallel": "can not be chosen for a model of Ollama"},
    )
