"""The backend of kind ``llamacpp``: one worker process for each model that is loaded."""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from functools import partial
from pathlib import Path

from attrs import Factory, define, evolve, field

from orac_core import (
    Chunk,
    Embeddings,
    EmbedRequest,
    GenerateRequest,
    Host,
    InstanceHealth,
    InvalidRequest,
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
from .._cores import free_cores
from .._fetching import Fetching
from .._folder import socket_folder
from .._workers import Workers
from .embedding import embeddings
from .launch import EmbeddedEngine, Engine, ServerBinary
from .listing import listed
from .plan import Plan, plan, usual
from .settings import LlamaCppSettings
from .vectors import pooling_of
from .worker_process import Worker


@define(eq=False)
class LlamaCppBackend:
    """Serves the GGUF files that ORAC finds, each by a process of its own.

    Attributes:
        settings: From the manifest.
        host: Lends the model files.
        engine: What serves a model.
        folder: For the sockets of the workers.
    """

    settings: LlamaCppSettings
    host: Host
    engine: Engine
    folder: Path
    _workers: Workers[Worker] = field(
        default=Factory(lambda self: Workers(self.folder), takes_self=True), init=False
    )

    @hookimpl
    async def models(self) -> list[ModelInfo]:
        """List every file found, and every worker whose file is gone."""
        files = {file.id: file for file in await self.host.files.all()}
        for worker in self._workers.values():
            files.setdefault(worker.file.id, worker.file)
        return [self._listed(file) for file in files.values()]

    @hookimpl
    async def load(self, request: LoadRequest) -> AsyncGenerator[LoadProgress, None]:
        """Start a worker for a model: validate its file, read it, start the engine.

        Raises:
            ModelNotFound: when there is no such file.
            ModelFileInvalid: when it can not be used.
            InvalidRequest: when an option is out of range.
            BackendError: when the engine can not be started.
        """
        file = await self._found(request.model)
        wanted = plan(file, request, self.settings, free_cores())
        async with self._workers.turn(file.id):
            if self._workers.is_ready(file.id):
                return
            async with aclosing(self._loaded(file, wanted)) as stages:
                async for progress in stages:
                    yield progress

    @hookimpl
    async def unload(self, model: str) -> None:
        """Kill the worker of a model, also one that is still starting; return when it is gone.

        Raises:
            BackendError: when it does not die.
        """
        await self._workers.stop(model)

    @hookimpl
    async def generate(self, request: GenerateRequest) -> AsyncGenerator[Chunk, None]:
        """Ask the worker of a model.

        Raises:
            InvalidRequest: when the request is malformed, or too long for the context.
            BackendUnavailable: when the model is not loaded, or its worker dies.
            BackendError: when the engine fails.
        """
        worker = self._workers[request.model]
        if worker.only_embeds:
            raise _only_embeds(request.model)
        async with aclosing(worker.answer(request)) as chunks:
            async for chunk in chunks:
                yield chunk

    @hookimpl
    async def embed(self, request: EmbedRequest) -> Embeddings:
        """Ask the worker of a model for vectors.

        Raises:
            InvalidRequest: when a text is empty or too long, or the model makes no vectors.
            BackendUnavailable: when the model is not loaded, or its worker dies.
            BackendError: when the engine fails.
        """
        return await embeddings(self._workers[request.model], request)

    @hookimpl
    async def pull(self, request: PullRequest) -> AsyncGenerator[PullProgress, None]:
        """Fetch the file of a model from where the manifest says.

        Raises:
            InvalidRequest: when it names no source, or one that makes no sense.
            ModelFileInvalid: when the file is not what it should be.
            BackendError: when it can not be fetched.
        """
        async with aclosing(Fetching(self.host).pull(request)) as stages:
            async for progress in stages:
                yield progress

    @hookimpl
    async def health(self) -> InstanceHealth:
        """Say whether the engine could be started."""
        details = self._details()
        try:
            version = await self.engine.version()
        except OracError as error:
            return InstanceHealth(usable=False, message=str(error), details=details)
        return InstanceHealth(usable=True, version=version, details=details)

    async def close(self) -> None:
        """Kill every worker."""
        await self._workers.close()

    def _details(self) -> dict[str, object]:
        """Return what only this backend knows; of a GPU the worker that was started last tells."""
        told = [it.sees_gpu for it in self._workers.values() if it.sees_gpu is not None]
        gpu = {"gpu": told[-1]} if told else {}
        return {"workers": len(self._workers), **gpu}

    def _listed(self, file: ModelFile) -> ModelInfo:
        would_use = usual(file, self.settings, self.engine.gpu_layers)
        pooling = pooling_of(file.header, self.settings)
        info = listed(file, self._workers.get(file.id), pooling)
        return evolve(info, would_use=would_use)

    async def _found(self, model: str) -> ModelFile:
        file = await self.host.files.find(model)
        if file is None:
            raise ModelNotFound(model)
        return file

    async def _loaded(self, file: ModelFile, wanted: Plan) -> AsyncGenerator[LoadProgress, None]:
        worker = await self._workers.new(file.id, partial(self._worker, wanted))
        steps = validated(self.host.files, file), worker.start()
        async with aclosing(self._workers.loaded(worker, *steps)) as stages:
            async for progress in stages:
                yield progress

    def _worker(self, wanted: Plan, socket: Path) -> Worker:
        return Worker(socket, wanted, self.engine, self.settings.idle_timeout_s)


@asynccontextmanager
async def open_backend(settings: LlamaCppSettings, host: Host) -> AsyncIterator[LlamaCppBackend]:
    """Open a backend; leaving kills its workers and removes their sockets."""
    binary = settings.server_binary
    engine = EmbeddedEngine() if binary is None else ServerBinary(binary.expanduser())
    with socket_folder() as folder:
        backend = LlamaCppBackend(settings, host, engine, folder)
        try:
            yield backend
        finally:
            await backend.close()


def _only_embeds(model: str) -> InvalidRequest:
    return InvalidRequest(
        f"{model} makes vectors of texts, and continues none; take a model that lists the "
        "capability `completion`",
        {"model": "makes vectors only"},
    )
